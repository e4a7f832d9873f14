"""One admitted request on its way to the model server, and the answer on its way back.

Both bodies stream, and whoever is slow slows the other down. It may not know tokens or meters.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter

from parkmeter.errors import UpstreamError, UpstreamTimeoutError
from parkmeter.web.asgi_types import Send
from parkmeter.web.caller import Caller, ClientGoneError
from parkmeter.web.fields import Fields, answer_fields
from parkmeter.web.patience import Patience, Rounds
from parkmeter.web.refusals import upload_stalled
from parkmeter.web.routes import Timeouts
from parkmeter.web.upstream import Address, UpstreamPool
from parkmeter.web.upstream_connection import State, UpstreamConnection

REPLAYED_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""What may be sent twice when a kept-alive connection turns out closed before a byte of the answer:
only what changes nothing by definition (RFC 9110, 9.2.1), and only with its whole body in hand. A
POST may have run already; its client is told 502 and decides."""

_ASKED, _DONE = State.ASKED, State.DONE
_REFUSED = 300
"""From this status on an answer that comes before the end of the request wants no more of it."""


class Exchange:
    """Carries one request and its answer.

    ::

        reading ──▶ asking ──▶ awaiting ──▶ answering ──▶ over
        client's    connect,   the head     pieces as
        1st piece   send                    they come

    The server's task walks this line. Beside it there is at most one other task: it brings the rest
    of the client's body upstream and then watches for the client to leave. A request that is whole
    at once gets that task only if it is still there when `Patience` is looked at.

    `started`: the answer's head is on its way to the client. What breaks from then on must break
    visibly, nothing else can be said. `status`, `head_at` (`time.perf_counter`): what that head
    says, and when it came.
    """

    __slots__ = (
        "_address",
        "_caller",
        "_connection",
        "_feeder",
        "_patience",
        "_pool",
        "_send",
        "_timeouts",
        "head_at",
        "started",
        "status",
    )

    def __init__(  # noqa: PLR0913 (what it connects; each is used under its own name)
        self,
        *,
        pool: UpstreamPool,
        rounds: Rounds,
        address: Address,
        timeouts: Timeouts,
        caller: Caller,
        send: Send,
    ) -> None:
        self._pool = pool
        self._address = address
        self._timeouts = timeouts
        self._caller = caller
        self._send = send
        self._patience = Patience(rounds, self._watch)
        self._connection: UpstreamConnection | None = None
        self._feeder: asyncio.Task[None] | None = None
        self.started = False
        self.status = 0
        self.head_at = 0.0

    async def run(self, method: str, head: bytes, stamp: Callable[[], Fields]) -> None:
        """Carry the request with this head, without its framing and last line; stream the answer.

        `stamp` gives the headers that the answer gets on top of its own.

        Raises:
            ClientGoneError: the client left. The model server's connection is closed.
            UpstreamError: no answer, or one that broke off.
            UpstreamTimeoutError: a side was silent for longer than its time-out.
            TooLargeError: a body without a length passed the limit.
            InvalidRequestError: the body was not as long as announced.
            UploadStalledError: the client stopped sending its body.

        """
        with self._patience:
            try:
                self._patience.allow(self._timeouts.upload_seconds, upload_stalled)
                piece = await self._caller.read()
                connection = await self._ask(method, self._framed(head, piece))
                await self._answer(connection, stamp)
            finally:
                if self._feeder is not None:
                    self._feeder.cancel()
                if self._connection is not None:
                    # Kept only if question and answer are complete, closed in every other case.
                    self._pool.give_back(self._address, self._connection)

    def _framed(self, head: bytes, piece: bytes) -> bytes:
        """Head, framing and the first piece of the body: one write for most requests."""
        caller = self._caller
        if caller.declared is not None:
            return b"%bContent-Length: %d\r\n\r\n%b" % (head, caller.declared, piece)
        if not caller.chunked:
            return head + b"\r\n"
        if caller.whole:
            return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(piece), piece)
        return b"%bTransfer-Encoding: chunked\r\n\r\n%b" % (head, _chunk(piece, last=False))

    async def _ask(self, method: str, request: bytes) -> UpstreamConnection:
        """Send, and wait for the answer's head."""
        whole = self._caller.whole
        connection = self._pool.reuse(self._address)
        while True:
            if connection is None:
                self._patience.allow(self._timeouts.connect_seconds, _no_connection)
                connection = await self._pool.open(self._address)
            self._connection = connection
            connection.ask(request, headless=method == "HEAD")
            connection.request_sent = whole
            self._patience.allow(self._timeouts.first_byte_seconds, _no_answer)
            if not whole:
                self._feeder = asyncio.create_task(self._feed(connection))
            try:
                await connection.head()
            except UpstreamError:
                stale = connection.reused and not connection.heard
                if not stale or not whole or method not in REPLAYED_METHODS:
                    raise
                connection = None
            else:
                return connection

    async def _answer(self, connection: UpstreamConnection, stamp: Callable[[], Fields]) -> None:
        """Stream the answer to the client as it comes."""
        patience, send, idle = self._patience, self._send, self._timeouts.idle_seconds
        fields = answer_fields(connection.status, connection.headers)
        fields += stamp()
        self.started = True
        self.status = connection.status
        self.head_at = perf_counter()
        await send({"type": "http.response.start", "status": connection.status, "headers": fields})
        more = True
        while more:
            patience.allow(idle, _stuck)  # for a piece to come, and for the client to take it
            piece = await connection.piece()
            more = connection.state is not _DONE
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    def _watch(self) -> None:
        """See whether the client goes away; called at every look."""
        if self._feeder is None and self._caller.whole:
            self._feeder = asyncio.create_task(self._feed(None))

    async def _feed(self, connection: UpstreamConnection | None) -> None:
        """Bring the rest of the body upstream, then wait until the client leaves."""
        try:
            if connection is not None:
                await self._upload(connection)
            await self._caller.leaves()
        except Exception as error:  # noqa: BLE001 (raised again by the task that is interrupted)
            self._patience.interrupt(error)
        else:
            self._patience.interrupt(ClientGoneError())

    async def _upload(self, connection: UpstreamConnection) -> None:
        caller, timeouts, patience = self._caller, self._timeouts, self._patience
        while not caller.whole:
            # Once the answer has begun its patience counts, not the upload's.
            if connection.state is _ASKED:
                patience.allow(timeouts.upload_seconds, upload_stalled)
            piece = await caller.read()
            if connection.status >= _REFUSED:
                continue  # read all the same: many clients listen only after their last byte
            connection.write(_chunk(piece, last=caller.whole) if caller.chunked else piece)
            if connection.state is _ASKED:
                patience.allow(timeouts.upload_seconds, _not_taken_upstream)
            await connection.drain()
        connection.request_sent = connection.status < _REFUSED
        if connection.state is _ASKED:
            patience.allow(timeouts.first_byte_seconds, _no_answer)


def _chunk(piece: bytes, *, last: bool) -> bytes:
    """The bytes of a chunked body; an empty chunk would end it too early."""
    chunk = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
    return chunk + b"0\r\n\r\n" if last else chunk


def _no_connection(seconds: float) -> Exception:
    return UpstreamTimeoutError(f"The model server took no connection within {seconds:g} seconds.")


def _not_taken_upstream(seconds: float) -> Exception:
    return UpstreamTimeoutError(
        f"The model server read nothing of the body for {seconds:g} seconds."
    )


def _no_answer(seconds: float) -> Exception:
    return UpstreamTimeoutError(f"The model server began no answer within {seconds:g} seconds.")


def _stuck(seconds: float) -> Exception:
    return UpstreamTimeoutError(f"The answer stood still for {seconds:g} seconds.")
