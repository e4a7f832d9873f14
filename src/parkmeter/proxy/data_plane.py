"""What all prompts of one gateway share: routes, tokens, gate, model servers' connections, counts.

It asks only the gate and the token book, both in memory, and never waits for the core.
"""

from collections.abc import Callable
from datetime import datetime

from parkmeter.core.tokens import Scope, Token
from parkmeter.errors import TokenRefusedError, UnknownEndpointError
from parkmeter.proxy.gate import LocalGate, Standing
from parkmeter.proxy.traffic import TrafficByEndpoint
from parkmeter.proxy.upstream_pool import UpstreamPool
from parkmeter.proxy.waker import Waker, Waking
from parkmeter.web.auth import CachedToken, TokenBook, require
from parkmeter.web.routes import Route, Routes, Target


class DataPlane:
    """Serves the paths that `routes` know; each request is carried by a `Relay`. One event loop.

    `routes` may be replaced at any time, from any thread; requests under way keep what they began
    with. `now` reads the clock (aware, UTC). `traffic` counts what came of requests for endpoints
    there are; to be read on the loop.
    """

    def __init__(  # noqa: PLR0913 (what prompts share)
        self,
        routes: Routes,
        book: TokenBook,
        gate: LocalGate,
        now: Callable[[], datetime],
        pool: UpstreamPool | None = None,
        *,
        waker: Waker | None = None,
    ) -> None:
        self.routes = routes
        self.gate = gate
        self.now = now
        self.pool = pool or UpstreamPool()
        self.traffic = TrafficByEndpoint()
        self._book = book
        self._waker = waker

    def permitted(self, target: Target, header: bytes, holder: CachedToken) -> Route:
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

    def waker(self, route: Route, token: Token | None) -> Callable[[], Waking] | None:
        """What wakes a closed meter for whoever prompts, who was permitted to; else None."""
        waker = self._waker
        if not route.wakes or waker is None or token is None:
            return None
        if self.gate.dismissed or self.gate.standing(route.name) is not Standing.CLOSED:
            return None
        if not token.may(Scope.TOP_UP, route.name):
            return None
        return lambda: waker.wake(route.name, token)

    def close(self) -> None:
        """Begin the end: held requests are told 503 now, connections are kept no more. On the loop.

        What is in flight is not disturbed.
        """
        self.gate.dismiss()
        if self._waker is not None:
            self._waker.close()
        self.pool.close()

    def join(self) -> None:
        """Wait until nothing is bought by prompts any more. After `close`, and not on the loop."""
        if self._waker is not None:
            self._waker.join()
