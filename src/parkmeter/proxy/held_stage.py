"""The stage of a request that is held: until its endpoint serves, for a top-up, or for a place.

It may not know how a request is forwarded, nor what it is answered when it ends.
"""

from parkmeter.core.tokens import Scope, Token
from parkmeter.errors import ParkmeterError
from parkmeter.proxy.exchange import Exchange
from parkmeter.proxy.gate import Permit, Standing, standing
from parkmeter.proxy.held_request import HeldRequest, waits_unasked
from parkmeter.proxy.loading import READ_AHEAD_LIMIT, LoadingAnswer, loading_head, may_load
from parkmeter.proxy.request_stage import Stage
from parkmeter.web import refusals
from parkmeter.web.routes import Route

_AHEAD_LIMIT = 64 * 1024
"""Bytes of a body that are read before they can be forwarded."""

_HELD = Stage.HELD


class HeldStage(Exchange):
    """The stage HELD of a `Relay`; all fields are set there."""

    __slots__ = ("_held", "_loading", "_permitted", "_route", "_token")

    _held: HeldRequest | None
    _loading: LoadingAnswer | None
    """Set where the answer may begin while the endpoint starts."""
    _permitted: bool
    _route: Route
    _token: Token | None

    def _wait_for_permit(self) -> None:
        """Hold a request that got no permit, if it waits for one or wakes its endpoint.

        Raises:
            ParkmeterError: it does neither, and why it got none.

        """
        plane, request, route = self._plane, self._request, self._route
        seconds = self._wait_seconds()
        wake = None
        if request.prompt:
            wake = plane.wake_call(route, self._token, request.peer.client, request.fields)
        if request.prefer.wait is None and not waits_unasked(plane.gate, route.name, wake):
            seconds = 0
        if not seconds and wake is None:
            raise self._not_admitted()
        self._held = HeldRequest(
            plane.gate, route, self._holder(), seconds, plane.now, self._view_changed, wake
        )
        self._stage = _HELD
        if seconds and may_load(request, self._target):
            self._loading = LoadingAnswer(plane, self._target)
        self._recheck()

    def _view_changed(self) -> None:
        if self._stage is _HELD:
            self._guarded(self._recheck)

    def _recheck(self) -> None:
        """Hold on, or let go: it serves, its meter closed, the time is over, or the token is."""
        if self._held is None:
            return
        self._authorize_again()
        if (left := self._held.left()) > 0:
            if self._loading is not None:
                left = self._report_start(self._held, self._loading, left)
            self._client.timer.restart(left)
            return
        self._held.release()
        limit = self._route.limits.max_in_flight
        if limit is None:
            permit = self._plane.gate.admit(self._route.name, prompt=self._request.prompt)
        else:
            permit = self._limited(limit)
        if permit is None:
            raise self._not_admitted()
        self._admit(permit)
        self._client.resume()
        self._proceed()

    def _report_start(self, held: HeldRequest, loading: LoadingAnswer, left: float) -> float:
        """Send the head and the events that are due; return the seconds until the next check.

        Raises:
            NotServingError: the start failed.

        """
        if self._stream is None:
            self._stream = loading.begin(self._body)
            if self._stream is None:
                return left
            self._chunked = True
            self._client.write(loading_head(self._meter_headers(), keep=self.keep_alive))
            if self._request.prefer.wait is None:
                held.extend(self._route.limits.max_wait_seconds)
                left = held.left()
        if loading.has_failed:
            raise self._not_admitted()
        event, pause = loading.due()
        if event:
            self._client.write(event)
        return min(left, pause)

    def _authorize_again(self) -> None:
        """Check the token again: it may have been revoked while the request was held."""
        request, plane, cached_token = self._request, self._plane, self._client.cached_token
        self._permitted = False
        plane.authorize(self._target, request.authorization, cached_token)
        if request.needs_admin:
            plane.require_admin(self._route, cached_token)
        self._token = cached_token.token
        self._permitted = True

    def _read_ahead(self) -> None:
        if not self._body.complete:
            limit = _AHEAD_LIMIT if self._loading is None else READ_AHEAD_LIMIT
            if self._body.waiting > limit:
                self._client.pause()  # not a complete one: its client's leaving would go unseen
        elif self._loading is not None and self._stage is _HELD:
            self._recheck()

    def _limited(self, limit: int) -> Permit | None:
        """Return a permit if there is a place for this token."""
        gate, prompt = self._plane.gate, self._request.prompt
        return gate.admit_share(self._route.name, self._holder(), limit, prompt=prompt)

    def _holder(self) -> str:
        return "" if self._token is None else self._token.id

    def _wait_seconds(self) -> int:
        """Return how long this request may be held."""
        wait, limits = self._request.prefer.wait, self._route.limits
        if wait is None:
            wait = limits.wait_seconds if self._request.prompt else 0
        return min(wait, limits.max_wait_seconds)

    def _not_admitted(self) -> ParkmeterError:
        route, now = self._route, self._plane.now()
        view = self._plane.gate.view(route.name)
        if route.limits.max_in_flight is not None and standing(view, now) is Standing.SERVING:
            return refusals.too_many_in_flight(route)
        if standing(view, now) is Standing.CLOSED:
            holder = self._plane.device_holder(route)
            may_top_up = self._token is None or self._token.may(Scope.TOP_UP, route.name)
            return refusals.meter_closed(
                route, view, self._request.base, holder, may_top_up=may_top_up
            )
        if self._plane.gate.shutting_down:
            return refusals.stopping(route, view)
        usual_start = self._plane.usual_starts.get(route.name)
        return refusals.not_serving(route, view, now, usual_start=usual_start)

    def _admit(self, permit: Permit) -> None:
        """Go on to READING."""
        raise NotImplementedError
