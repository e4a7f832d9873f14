"""State shared by all prompts of one gateway: routes, tokens, gate, pool of connections, counts.

It asks only the gate and the token book, both in memory, and never waits for the core.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from parkmeter.core.status import View
from parkmeter.core.tokens import Scope, Token, require
from parkmeter.errors import ParkmeterError, TokenRefusedError, UnknownEndpointError
from parkmeter.proxy.edge import Edge
from parkmeter.proxy.gate import LocalGate, Standing
from parkmeter.proxy.given_ids import GivenIds
from parkmeter.proxy.held_bytes import HeldBytes
from parkmeter.proxy.model_lister import ModelLister
from parkmeter.proxy.request_head import RequestHead
from parkmeter.proxy.traffic import TrafficByEndpoint
from parkmeter.proxy.upstream_pool import UpstreamPool
from parkmeter.proxy.waker import WakeAttempt, Waker
from parkmeter.web.auth import CachedToken, TokenBook
from parkmeter.web.headers import Fields
from parkmeter.web.meter_headers import MeterStamp
from parkmeter.web.model_ids import LearnedIds, ModelIds
from parkmeter.web.refusals import PathClosedError
from parkmeter.web.routes import Route, Routes, Target


class DataPlane:
    """Serves the paths that `routes` know; each request is carried by a `Relay`. One event loop.

    `routes` may be replaced at any time, from any thread; requests under way keep what they began
    with. `now` reads the clock (aware, UTC). `traffic` counts the outcomes of requests for known
    endpoints; to be read on the loop. `stamps`: the lines of a head that show each meter. `edge`:
    the rules for requests without a valid token. `usual_starts`: the usual duration of a start by
    endpoint, where it is known. `memo`: heads that were read before, of requests and of answers,
    are not parsed again; without it every byte goes through the parsers, and all else is the same.
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
        edge: Edge | None = None,
        usual_starts: Mapping[str, timedelta] | None = None,
        memo: bool = True,
    ) -> None:
        self.routes = routes
        self.memo = memo
        self.gate = gate
        self.now = now
        self.pool = pool or UpstreamPool()
        if not memo:
            self.pool.heads = None
        self.traffic = TrafficByEndpoint()
        self.stamps = defaultdict[str, MeterStamp](MeterStamp)
        self.edge = edge or Edge()
        self.usual_starts: Mapping[str, timedelta] = {} if usual_starts is None else usual_starts
        self.held_bytes = HeldBytes()
        self.given_ids = GivenIds()
        self._learned = LearnedIds()
        self.model_lister = ModelLister(gate, self.pool, self._learned.learn, self._own_lines)
        self.book = book
        self._waker = waker
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connections: Collection[Any] = ()

    def authorize(self, target: Target, header: bytes, cached: CachedToken) -> Route:
        """Return the route to a target, if the token in this Authorization header may use it.

        `cached` belongs to the client's connection; the token is kept there.

        Raises:
            TokenMissingError, TokenRefusedError, ScopeMissingError: it may not.
            UnknownEndpointError: there is no such endpoint.

        """
        token = cached.token
        if (
            token is not None
            and cached.header == header
            and cached.edition is self.book.edition
            and target.name in cached.invokes
            and target.route is not None
            and (token.expires_at is None or token.alive(self.now()))
        ):
            return target.route  # as for the request before
        self.authenticate(header, cached)
        return self.admit_to(target, cached)

    def admit_to(self, target: Target, cached: CachedToken) -> Route:
        """Return the route to a target, if the token that was just authenticated may use it.

        Raises:
            ScopeMissingError, UnknownEndpointError: see `authorize`.

        """
        token = cached.token
        assert token is not None  # noqa: S101 (see above)
        if target.route is None:
            raise UnknownEndpointError(target.name, filter(token.covers, self.routes.names))
        if target.name not in cached.invokes:
            require(token, Scope.INVOKE, target.name)
            cached.invokes.add(target.name)
        return target.route

    def authenticate(self, header: bytes, cached: CachedToken) -> Token:
        """Return the token in this Authorization header, whatever it may do.

        Raises:
            TokenMissingError, TokenRefusedError: there is none that is valid.

        """
        edition, token = self.book.edition, cached.token
        if token is None or cached.header != header or cached.edition is not edition:
            token = self.book.check(header.decode("latin-1"), self.now())
            cached.remember(header, edition, token)
        elif token.expires_at is not None and not token.alive(self.now()):
            raise TokenRefusedError
        return token

    def model_ids(self) -> ModelIds:
        """Return the ids by which requests below `/v1` find their endpoint; from any thread."""
        return self._learned.ids(self.routes)

    def holds_time(self, name: str) -> bool:
        """Return whether the meter of an endpoint holds time."""
        return self.gate.standing(name) is not Standing.CLOSED

    def lists(self, target: Target, request: RequestHead) -> bool:
        """Return whether a server itself lists its models: it is there, or is to be waited for."""
        serving = self.gate.standing(target.name) is Standing.SERVING
        return serving or bool(request.prefer.wait) or request.method not in {"GET", "HEAD"}

    def view_changed(self, name: str) -> None:
        """Take note of an endpoint's new view in the gate; from any thread."""
        view = self.gate.view(name)
        if (
            self._loop is None
            or self._loop.is_closed()
            or (view is not None and view.address is None)  # many that stop do not wake the loop
        ):
            return
        # Closed between the two lines, it asks no servers either.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.model_lister.look, name)

    def recognize(self, header: bytes, cached: CachedToken) -> bool:
        """Return True if this Authorization header has a valid token; it is cached as well."""
        if not header:
            return False
        now, edition = self.now(), self.book.edition
        token = cached.token
        if token is not None and cached.header == header and cached.edition is edition:
            return token.alive(now)
        try:
            token = self.book.check(header.decode("latin-1"), now)
        except ParkmeterError:
            return False
        cached.remember(header, edition, token)
        return True

    def require_admin(self, route: Route, cached: CachedToken) -> None:
        """Raise PathClosedError unless the token has `admin`, which alone its path is open to.

        `cached`: the token as `authorize` keeps it.
        """
        if cached.token is None or not cached.token.may(Scope.ADMIN, route.name):
            raise PathClosedError(route.name)

    def wake_call(
        self, route: Route, token: Token | None, address: str, fields: Fields
    ) -> Callable[[], WakeAttempt] | None:
        """Return a callable that tops up the closed meter for this token, or None if it may not.

        `address` and `fields`: the request's TCP peer and header; they may name a person.
        """
        waker = self._waker
        if not route.wakes or waker is None or token is None:
            return None
        if self.gate.shutting_down or self.gate.standing(route.name) is not Standing.CLOSED:
            return None
        if not token.may(Scope.TOP_UP, route.name):
            return None
        named = self.edge.persons.speaking(address, fields, token)
        return lambda: waker.wake(route.name, named)

    def device_holder(self, route: Route) -> View | None:
        """Return another endpoint with an open meter on this one's device, or None.

        While there is one, a top-up of this endpoint is refused; see `core.device`.
        """
        if route.device is None:
            return None
        now = self.now()
        for name, device in self.routes.devices.items():
            view = self.gate.view(name)
            if name == route.name or view is None or now >= view.open_until:
                continue
            if route.device in {device, view.device}:
                return view
        return None

    def _own_lines(self, name: str) -> tuple[bytes, ...]:
        route = self.routes.named(name)
        return () if route is None else route.own_headers.lines

    def serve(self, connections: Collection[Any]) -> None:
        """Use this collection of the clients' connections, as it is filled. On the loop."""
        self._loop = asyncio.get_running_loop()
        self._connections = connections

    def cut(self, token_id: str) -> None:
        """Break off what the token with this id is being answered; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cut, token_id)

    def _cut(self, token_id: str) -> None:
        for connection in tuple(self._connections):
            connection.cut(token_id)

    def close(self) -> None:
        """Start shutdown: answer held requests with 503, stop reusing connections. On the loop.

        Requests in flight are not disturbed.
        """
        self.gate.shut_down()
        self.model_lister.close()
        if self._waker is not None:
            self._waker.close()
        self.pool.close()

    def join(self, within: float) -> None:
        """Wait up to `within` seconds until prompts no longer top up meters; see `Waker.join`."""
        if self._waker is not None:
            self._waker.join(within)
