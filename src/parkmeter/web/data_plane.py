"""What all prompts of one gateway share: routes, tokens, gate, model servers' connections, counts.

It asks only the gate and the token book, both in memory, and never the core.
"""

from collections.abc import Callable
from datetime import datetime

from parkmeter.errors import TokenRefusedError, UnknownEndpointError
from parkmeter.tokens import Scope
from parkmeter.web.auth import Holder, TokenBook, require
from parkmeter.web.gate import LocalGate
from parkmeter.web.minutes import RequestsByMinute
from parkmeter.web.routes import Route, Routes, Target
from parkmeter.web.traffic import TrafficByEndpoint
from parkmeter.web.upstream import UpstreamPool


class DataPlane:
    """Serves the paths that `routes` know; each request is carried by a `Relay`. One event loop.

    `routes` may be replaced at any time, from any thread; requests under way keep what they began
    with. `now` reads the clock (aware, UTC). `traffic` counts what came of requests for endpoints
    there are; to be read on the loop.
    """

    def __init__(
        self,
        routes: Routes,
        book: TokenBook,
        gate: LocalGate,
        now: Callable[[], datetime],
        pool: UpstreamPool | None = None,
    ) -> None:
        self.routes = routes
        self.gate = gate
        self.now = now
        self.pool = pool or UpstreamPool()
        self.traffic = TrafficByEndpoint()
        self.minutes = RequestsByMinute(self.traffic, now)
        self._book = book

    def permitted(self, target: Target, header: bytes, holder: Holder) -> Route:
        """The route to a target, if the token in this Authorization header may use it.

        `holder` is the connection's own, where it is remembered.

        Raises:
            TokenMissingError, TokenRefusedError, ScopeMissingError: it may not.
            UnknownEndpointError: there is no such endpoint.

        """
        now, edition = self.now(), self._book.edition
        token = holder.token
        if token is None or holder.header != header or holder.edition is not edition:
            token = self._book.check(header.decode("latin-1"), now)
            holder.remember(header, edition, token)
        elif not token.alive(now):
            raise TokenRefusedError
        if target.route is None:
            raise UnknownEndpointError(target.name, filter(token.covers, self.routes.names))
        if target.name not in holder.invokes:
            require(token, Scope.INVOKE, target.name)
            holder.invokes.add(target.name)
        return target.route

    def begin(self) -> None:
        """Count by the minute from now on. On the loop."""
        self.minutes.begin()

    def close(self) -> None:
        """Begin the end: held requests are told 503 now, connections are kept no more. On the loop.

        What is in flight is not disturbed.
        """
        self.minutes.close()
        self.gate.dismiss()
        self.pool.close()
