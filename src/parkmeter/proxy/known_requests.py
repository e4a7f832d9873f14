"""The short way of a request whose head was read before on its connection: past the parser.

A read that is one such request as a whole begins here; every other one is read on by the parser. It
may not know how a head is read or compared.
"""

from parkmeter.proxy.client_connection import ClientConnection, Reading
from parkmeter.proxy.client_server import ClientServer
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.front_relay import FrontRelay
from parkmeter.proxy.head_memo import HeadMemo
from parkmeter.proxy.relay import Relay

_BETWEEN, _BODY = Reading.BETWEEN, Reading.BODY


class KnownRequests(ClientConnection):
    """A connection that looks at each read first; `GatewayProtocol` has the parser."""

    def __init__(self, plane: DataPlane, server: ClientServer) -> None:
        super().__init__(plane.edge.connections, server)
        self.url = b""
        self._plane = plane
        self._memo = HeadMemo() if plane.memo else None
        self._length: bytes | None = None
        """The present request's Content-Length, as it was sent."""
        self._heads_begun = 0
        """Of the present read, by the parser."""

    def data_received(self, data: bytes) -> None:
        """Begin the request, or have the parser read on."""
        memo = self._memo
        if memo is None:
            self._read(data)
            return
        between = self._active is None and self._reading is _BETWEEN
        if between and self._begin_known(memo, data):
            return
        self._read(data)
        if between and self._reading is _BETWEEN and self._heads_begun == 1 and not self._behind:
            self._learn(memo, data)

    def _begin_known(self, memo: HeadMemo, data: bytes) -> bool:
        """Begin the request that a read is, if it is one whole request with a known head.

        The parser stands between two requests and nothing is being answered.
        """
        plane = self._plane
        if self.pipeline or self._behind or self.flow.write_paused or self.transport.is_closing():
            return False
        found = memo.find(data, plane.book.edition)
        if found is None:
            return False
        request, body = found
        target = request.target
        if target is None or request.routes is not plane.routes:
            memo.forget()
            return False
        # What the parser would bring about: a head, all of its body, and the end of both.
        self.url = request.url
        self._length = b"%d" % len(body)
        self._reading = _BODY
        relay = (FrontRelay if target.front else Relay)(plane, self, request, target, self._length)
        if not self._server.turns.take():
            self._reading = _BETWEEN
            self._take_turn(relay, at_once=False)
            relay.take_whole(body)
            return True
        self.cycle = relay
        self._active = relay
        relay.begin()
        if self._reading is _BODY:  # else the connection has ended
            self._reading = _BETWEEN
        relay.take_whole(body)
        return True

    def _learn(self, memo: HeadMemo, data: bytes) -> None:
        """Keep the head of a read that was one whole request."""
        relay, edition = self.cycle, self._plane.book.edition
        if isinstance(relay, Relay) and relay.may_repeat and self.cached_token.edition is edition:
            memo.learn(data, relay.request)

    def _read(self, data: bytes) -> None:
        """Have the parser read on."""
        raise NotImplementedError
