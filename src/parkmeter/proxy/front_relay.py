"""A request below `/v1`, where one address stands for all endpoints.

Which endpoint it is for stands in its body (`model`), or in an id that an endpoint gave. From there
on it is a request like any other. It may not know how bodies or ids are read.
"""

import asyncio
from time import perf_counter

from parkmeter.core.tokens import Scope, Token, require
from parkmeter.errors import TokenMissingError, TokenRefusedError, TooLargeError
from parkmeter.proxy.client_side import ClientSide
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.held_body import HeldBody
from parkmeter.proxy.model_lister import LISTING_SECONDS
from parkmeter.proxy.relay import Relay
from parkmeter.proxy.request_head import RequestHead
from parkmeter.proxy.request_stage import Stage
from parkmeter.proxy.upstream_connection import UpstreamConnection
from parkmeter.web import refusals
from parkmeter.web.model_ids import ModelNotNamedError, UnknownModelError
from parkmeter.web.routed_body import Asked, asked_in
from parkmeter.web.routes import Target, Timeouts

_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})
_TIMEOUTS = Timeouts()
_ROUTING, _READING, _REQUESTED = Stage.ROUTING, Stage.READING, Stage.REQUESTED


class FrontRelay(Relay):
    """Carries one request below `/v1`: a `Relay` with one more stage before it is admitted.

    ::

           begin()            last piece              permit
        NEW ───────▶ ROUTING ────────────▶ (HELD) ──────────▶ READING ─▶ … as `Relay`
             token           endpoint,                 id of its server
             has `invoke`    scope, path               instead of a name

    ROUTING holds the body, and with it a share of the memory for such bodies, which is given back
    once the model server has taken the body. A request that has an id of an endpoint in its path
    skips it: its body stays unread, as that of any other request.
    """

    __slots__ = ("_asked", "_full", "_held_bytes", "_held_for", "_listing")

    _body_type = HeldBody
    _body: HeldBody
    _asked: Asked | None
    """What the body asks for, where another id is to stand in it."""
    _held_for: str
    """The token that has taken the room for the body."""

    def __init__(
        self,
        plane: DataPlane,
        client: ClientSide,
        request: RequestHead,
        target: Target,
        length: bytes | None,
    ) -> None:
        super().__init__(plane, client, request, target, length)
        self._held_bytes = 0
        self._asked = None
        self._full = False
        self._listing: asyncio.Future[None] | None = None

    # ── To the endpoint ─────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        request, plane = self._request, self._plane
        first = request.routed is None
        if first:
            request.check_names()
        if not self._authenticate():
            return
        if first:
            request.check_upgrade()
        token = self._token
        assert token is not None  # noqa: S101 (it was authenticated)
        if not self._client.cached_token.invokes:
            require(token, Scope.INVOKE)
        name = plane.given_ids.endpoint_in(request.location.path)
        if name is not None and token.covers(name):
            self._go_to(name)
            self._body.frame(request.named, self._route.limits.max_body_bytes)
            self._seek_permit()
            return
        if request.method not in _WITH_BODY:
            raise self._not_named()
        _ = request.form_type  # may refuse it
        most = min(plane.routes.most_body_bytes, plane.held_bytes.per_token)
        self._body.frame(request.named, most)
        self._take_room(token)
        self._stage = _ROUTING
        self._timeouts = _TIMEOUTS
        self._upload_from = perf_counter()
        if self._body.awaits_continue:
            self._invite()

    def _authenticate(self) -> bool:
        """Return whether the token is valid; the request is refused if it is not."""
        client = self._client
        try:
            self._token = self._plane.authenticate(self._request.authorization, client.cached_token)
        except (TokenMissingError, TokenRefusedError) as error:
            self._refuse_token(error)
            return False
        return True

    def _proceed(self) -> None:
        if self._stage is _ROUTING:
            if self._body.unsized and self._token is not None:
                self._take_room(self._token)
            if not self._body.complete:
                self._await_body()
                return
            self._route_by_body()
        if self._stage is _READING and self._asked is not None and not self._rename(self._asked):
            return
        super()._proceed()

    def _route_by_body(self) -> None:
        """Find the endpoint; then the request is like one whose path has it."""
        plane, request, body = self._plane, self._request, self._body
        asked = asked_in(body.whole(), request.form_type)
        if not self._authenticate():  # it may have been revoked meanwhile
            return
        token = self._token
        assert token is not None  # noqa: S101 (it was authenticated)
        if asked.model is None:
            given = (plane.given_ids.endpoint_of(id_) for id_ in asked.ids)
            name = next((name for name in given if name and token.covers(name)), None)
            if name is None:
                raise self._not_named()
        else:
            name, served = plane.model_ids().find(asked.model, token.covers, plane.holds_time)
            if not served:
                self._asked = asked
        self._go_to(name)
        if body.waiting > (most := self._route.limits.max_body_bytes):
            raise TooLargeError(most)
        self._seek_permit()

    def _go_to(self, name: str) -> None:
        """Aim at an endpoint; check what a request is checked for whose path names it.

        Raises:
            ParkmeterError, Refusal: the token or the request is refused there.

        """
        plane, request, cached_token = self._plane, self._request, self._client.cached_token
        route = plane.routes.named(name)
        if route is None:  # a reload has just removed it
            raise UnknownModelError(name, self._covered())
        target = request.routed
        if target is None or target.route is not route:
            target = Target(name, route, request.location.path, prompt=False)
        self._target = target
        self._route = plane.admit_to(target, cached_token)
        self._permitted = True
        if request.checked_for is not target:
            request.check_form(target)
            request.routed = target
        if request.needs_admin:
            plane.require_admin(route, cached_token)

    def _covered(self) -> list[str]:
        token = self._token
        return [] if token is None else self._plane.model_ids().covered(token.covers)

    def _not_named(self) -> ModelNotNamedError:
        """Return a 404 with the paths at which a request without a `model` goes to an endpoint."""
        token, path = self._token, self._request.location.path.decode("latin-1")
        return ModelNotNamedError(
            f"/{route.api_resource}{path}"
            for route in self._plane.routes.all
            if token is not None and token.covers(route.name) and "/" not in route.api_resource
        )

    # ── To its server ───────────────────────────────────────────────────────────────────────────

    def _rename(self, asked: Asked) -> bool:
        """Put in the id that the server knows; return whether the body can go.

        Not while the server is being asked for its ids, just after it became ready.
        """
        plane, name = self._plane, self._target.name
        if not self._route.models:
            listing = self._listing or plane.model_lister.listing(name, self._address)
            if not listing.done():
                if self._listing is None:
                    self._listing = listing
                    listing.add_done_callback(lambda _done: self._guarded(self._proceed))
                    self._allow(2 * LISTING_SECONDS, refusals.no_answer)  # it ends before
                return False
        self._asked = None
        if (served := plane.model_ids().served_id(name)) is not None:
            self._body.replace(*asked.renamed(served))
        return True

    def _send(self, connection: UpstreamConnection) -> None:
        self._full = False
        super()._send(connection)
        if self._body.waiting:
            for piece in self._body.rest():
                connection.write(piece)
            self._first = b""  # without the rest it cannot be sent again
        if not self._full:
            self._let_go()

    def server_full(self) -> None:
        """See `Requester`. A whole body needs no pause, in which the client's leaving is unseen."""
        self._full = True
        if not self._body.complete:
            super().server_full()

    def server_free(self) -> None:
        """See `Requester`."""
        self._full = False
        self._let_go()
        super().server_free()

    def _release(self) -> None:
        if self._held_bytes:
            self._let_go()
        super()._release()

    # ── The memory for its body ─────────────────────────────────────────────────────────────────

    def _take_room(self, token: Token) -> None:
        """Take room for what is announced of the body, or has come."""
        body = self._body
        if body.unsized:
            body.check_size()
        if more := body.size - self._held_bytes:
            self._plane.held_bytes.hold(token.id, more)
            self._held_for = token.id
            self._held_bytes += more

    def _let_go(self) -> None:
        if self._held_bytes:
            self._plane.held_bytes.let_go(self._held_for, self._held_bytes)
            self._held_bytes = 0
