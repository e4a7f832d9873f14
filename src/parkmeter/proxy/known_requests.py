"""The short way of a request whose head was read before on its connection: past the parser.

A read that begins with such a head and has nothing behind the body begins here; every other one is
read on by the parser. It may not know how a head is read or compared.
"""

from parkmeter.proxy.client_connection import ClientConnection, Reading
from parkmeter.proxy.client_server import ClientServer
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.front_relay import FrontRelay
from parkmeter.proxy.head_memo import LONGEST, HeadMemo
from parkmeter.proxy.relay import Relay
from parkmeter.web.headers import Fields

_BETWEEN, _BODY = Reading.BETWEEN, Reading.BODY


class KnownRequests(ClientConnection):
    """A connection that looks at each read first; `GatewayProtocol` has the parser."""

    def __init__(self, plane: DataPlane, server: ClientServer) -> None:
        super().__init__(plane.edge.connections, server)
        self._plane = plane
        self._memo = HeadMemo() if plane.memo else None
        self._length: bytes | None = None
        """The present request's Content-Length, as it was sent."""
        self._heads_begun = 0
        """Of the present read, by the parser."""
        self._left = 0
        """Bytes still to come of the body behind a known head."""
        self._waiting = b""
        """The begin of a read whose request waits for its turn; learnt from once it is let in."""
        self._earlier_size = 0
        """Bytes of the head, of what follows a body, or of what is dropped, in reads before it."""
        self.url = b""
        self.headers: Fields = []

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        super().connection_lost(exc)
        self._waiting = b""
        if self._memo is not None:
            self._memo.forget()

    def data_received(self, data: bytes) -> None:
        """Begin the request, take more of its body, or have the parser read on."""
        memo = self._memo
        if memo is None:
            self._read(data)
            return
        if self._left:
            self._take_body(data)
            return
        between = self._active is None and self._reading is _BETWEEN
        if between and self._begin_known(memo, data):
            return
        self._read(data)
        if between and self._heads_begun == 1 and not self._behind:
            if self.pipeline:
                self._waiting = data[:LONGEST]
            else:
                self._learn(memo, data)

    def _begin_next(self) -> None:
        """See `ClientConnection`; what has waited is learnt from as what has not."""
        super()._begin_next()
        if self._waiting and not self.pipeline:
            data, self._waiting = self._waiting, b""
            if self._memo is not None:
                self._learn(self._memo, data)

    def _begin_known(self, memo: HeadMemo, data: bytes) -> bool:
        """Begin the request that a read brings, if its head is known and nothing is behind it.

        The parser stands between two requests and nothing is being answered.
        """
        plane = self._plane
        if self.pipeline or self._behind or self.flow.write_paused or self.transport.is_closing():
            return False
        found = memo.find(data, plane.book.edition)
        if found is None:
            return False
        request, length, body, left = found
        target = request.target
        if target is None or request.routes is not plane.routes:
            memo.forget()
            return False
        # What the parser would bring about: a head, and what came of its body.
        self.url, self.headers, self._length = request.url, request.fields, length
        self._earlier_size = 0
        self._reading = _BODY
        kind = FrontRelay if target.front else Relay
        relay = kind(plane, self, request, target, left + len(body))
        if self._server.turns.take():
            self.cycle = self._active = relay
            relay.begin()
        else:
            self._take_turn(relay, at_once=False, whole=not left)
        if self._reading is not _BODY:
            return True  # the connection has ended
        if not left:
            self._reading = _BETWEEN
            relay.take_whole(body)
            return True
        self._left = left
        if body:
            relay.add(body)
        if relay is self._active:
            relay.client_sent()
        return True

    def _take_body(self, data: bytes) -> None:
        """Take more of the body behind a known head; what comes behind that is the parser's."""
        if self._reading is not _BODY:  # the connection has ended
            self._left = 0
            self._read(data)
            return
        piece, behind = data[: self._left], data[self._left :]
        self._left -= len(piece)
        cycle = self.cycle
        if cycle is not None:
            cycle.add(piece)
            if self._left:
                if cycle is self._active:
                    cycle.client_sent()
            else:
                self._reading = _BETWEEN
                cycle.end()
        if behind:
            self._read(behind)

    def _learn(self, memo: HeadMemo, data: bytes) -> None:
        """Keep the head of a read that brought one request, and nothing else."""
        relay, edition = self.cycle, self._plane.book.edition
        if (
            (self._reading is _BETWEEN or self._reading is _BODY)
            and isinstance(relay, Relay)
            and relay.may_repeat
            and self.cached_token.edition is edition
        ):
            memo.learn(data, relay.request)

    def _read(self, data: bytes) -> None:
        """Have the parser read on."""
        raise NotImplementedError
