"""The exchange with a model server: one request sent on as it comes, its answer passed back.

Both connections call it, so it never waits and is no task. It may not know gates or tokens, nor how
either connection reads its bytes.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter

from parkmeter.errors import UpstreamError
from parkmeter.proxy.answer_stage import REFUSED, AnswerStage
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.request_body import RequestBody
from parkmeter.proxy.request_stage import Stage
from parkmeter.proxy.upstream_connection import UpstreamConnection
from parkmeter.proxy.upstream_pool import Address
from parkmeter.web import refusals
from parkmeter.web.problems import Problem, problem_of

REPLAYED_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that may be sent twice when a kept-alive connection turns out closed before the answer:
those that change nothing (RFC 9110, 9.2.1), with the whole body at hand. A POST may have run."""

_DENIED, _READING, _CONNECTING = Stage.DENIED, Stage.READING, Stage.CONNECTING
_REQUESTED, _ANSWERING, _OVER = Stage.REQUESTED, Stage.ANSWERING, Stage.OVER


class Exchange(AnswerStage):
    """The stages of a `Relay` from READING to ANSWERING. Implements `Requester`.

    All fields are set by `Relay`, in one call for each request.
    """

    __slots__ = (
        "_address",
        "_body",
        "_connecting",
        "_first",
        "_head",
        "_plane",
        "_upload_from",
        "response_complete",
    )

    _plane: DataPlane
    _body: RequestBody
    _head: bytes
    _first: bytes
    """What was sent first, as long as it may be sent again."""
    _address: Address
    _connecting: asyncio.Task[None] | None
    _upload_from: float
    """Time from which the body's least rate counts."""
    response_complete: bool

    # ── From the client ─────────────────────────────────────────────────────────────────────────

    def add(self, piece: bytes) -> None:
        """Take a piece of the request's body; `client_sent` or `end` follows."""
        if not self.response_complete:
            self._body.add(piece)

    def end(self) -> None:
        """Take note that the request is complete."""
        self._body.complete = True
        self._guarded(self._proceed)

    def take_whole(self, body: bytes) -> None:
        """Take the whole body: `add` and `end` in one."""
        if self._stage is _OVER:
            return
        self._body.fill(body)
        try:
            self._proceed()
        except Exception as error:  # noqa: BLE001 (as `_guarded`)
            self._fail_with(error)

    def client_sent(self) -> None:
        """Go on with what one read of the client's connection brought."""
        self._guarded(self._proceed)

    def client_full(self) -> None:
        """Slow down: the client does not take the answer as fast as it comes."""
        if self._connection is not None:
            self._connection.pause_reading()

    def client_free(self) -> None:
        """Go on: the client has caught up."""
        if self._connection is not None:
            self._connection.resume_reading()

    # ── From the model server ───────────────────────────────────────────────────────────────────

    def failed(self, error: UpstreamError) -> None:
        """See `Requester`."""
        connection, self._connection = self._connection, None
        stale = connection is not None and connection.reused and not connection.got_bytes
        if stale and self._first:
            self._guarded(self._connect)
        else:
            self._fail(problem_of(error))

    def server_full(self) -> None:
        """See `Requester`."""
        self._client.pause()
        if self._stage is _REQUESTED and not self._body.complete:
            self._allow(self._timeouts.upload_seconds, refusals.upload_not_taken)

    def server_free(self) -> None:
        """See `Requester`."""
        self._client.resume()
        if self._stage is _REQUESTED and not self._body.complete:
            self._upload_from = perf_counter()  # it was not the client that was slow
            self._await_body()

    # ── The request ─────────────────────────────────────────────────────────────────────────────

    def _proceed(self) -> None:
        body, stage = self._body, self._stage
        if body.unsized:
            body.check_size()
        if stage is _READING:
            if body.waiting or body.complete:
                idle = self._plane.pool.reuse(self._address)
                if idle is not None:
                    self._send(idle)
                else:
                    self._connect()
            else:
                self._allow(self._timeouts.upload_seconds, refusals.upload_stalled)
        elif stage is _REQUESTED or stage is _ANSWERING:
            self._upload()
        elif stage is _DENIED:
            self._send_refusal()
        else:
            self._read_ahead()

    def _connect(self) -> None:
        self._stage = _CONNECTING
        self._allow(self._timeouts.connect_seconds, refusals.no_connection)
        self._connecting = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        try:
            connection = await self._plane.pool.open(self._address)
        except Exception as error:  # noqa: BLE001 (this task is never awaited)
            self._connecting = None
            self._fail_with(error)
        else:
            self._connecting = None
            self._guarded(lambda: self._send(connection))

    def _send(self, connection: UpstreamConnection) -> None:
        """Send what there is: head, framing and the first of the body in one write."""
        body, method = self._body, self._request.method
        complete = body.complete
        first = self._first or body.first(self._head)
        if complete:
            self._first = first if method in REPLAYED_METHODS else b""
            self._timeout_error = refusals.no_answer  # as `_allow` does: a call less
            self._allowed_seconds = seconds = self._timeouts.first_byte_seconds
            self._client.timer.restart(seconds)
        else:
            self._allow(self._timeouts.upload_seconds, refusals.upload_stalled)
            self._client.resume()
        self._connection = connection
        self._stage = _REQUESTED
        connection.begin(self, first, headless=method == "HEAD")
        connection.request_sent = complete

    def _upload(self) -> None:
        connection, body = self._connection, self._body
        if connection is None:
            return
        refused = connection.status >= REFUSED
        if body.complete:
            connection.request_sent = not refused
        if self._stage is _REQUESTED:  # later the limit on the answer counts, not on the upload
            if body.complete:
                self._allow(self._timeouts.first_byte_seconds, refusals.no_answer)
            else:
                self._await_body()
        if refused:
            body.discard()  # read all the same: many clients listen only after their last byte
        else:
            connection.write(body.take())

    # ── Limits and failures ─────────────────────────────────────────────────────────────────────

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run a step; an error in it ends the request."""
        if self._stage is _OVER:
            return
        try:
            step()
        except Exception as error:  # noqa: BLE001 (the client gets every error as a problem)
            self._fail_with(error)

    def _allow(self, seconds: float, error: Callable[[float], Exception]) -> None:
        """Limit the stage that begins now; `error(seconds)` is raised after it."""
        self._allowed_seconds = seconds
        self._timeout_error = error
        self._client.timer.restart(seconds)

    def _await_body(self) -> None:
        """Limit the wait for more of the body: for its next piece, and by the least rate."""
        seconds = self._timeouts.upload_seconds
        left = self._body.time_left(perf_counter() - self._upload_from)
        if left < seconds:
            self._allow(max(left, 0), refusals.upload_too_slow)
        else:
            self._allow(seconds, refusals.upload_stalled)

    def _raise_timeout(self) -> None:
        raise self._timeout_error(self._allowed_seconds)

    def _fail(self, problem: Problem) -> None:
        """Send the problem, or break off visibly if the answer has begun."""
        raise NotImplementedError

    def _send_refusal(self) -> None:
        """Send the problem of a request that its head alone had refused."""
        raise NotImplementedError

    def _read_ahead(self) -> None:
        """Take note of a body that comes before it can be forwarded."""
        raise NotImplementedError
