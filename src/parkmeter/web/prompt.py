"""One permitted request up to the moment it is let through: checked, held if wished, or refused.

Knows the gate and the client's side; nothing of model servers, and the token was checked before.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from parkmeter.errors import InvalidRequestError
from parkmeter.web import refusals
from parkmeter.web.asgi_types import Receive, Scope
from parkmeter.web.caller import Caller
from parkmeter.web.exchange import Exchange
from parkmeter.web.fields import NOTHING_PREFERRED, Fields, prefer_of, upgrade_wanted
from parkmeter.web.gate import LocalGate, Seat, Standing, standing
from parkmeter.web.routes import Route, Target

_DOT_SEGMENT = re.compile(rb"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_SHORTEST_WAIT = 0.01
"""Seconds; a clock that stands still must not make a held request spin."""


class Prompt:
    """One request whose client may use this route. `exchange` is set once it is forwarded."""

    __slots__ = ("_gate", "_now", "exchange", "prefer", "route", "scope", "target")

    def __init__(
        self,
        target: Target,
        route: Route,
        scope: Scope,
        gate: LocalGate,
        now: Callable[[], datetime],
    ) -> None:
        self.target = target
        self.route = route
        self.scope = scope
        self._gate = gate
        self._now = now
        self.prefer = NOTHING_PREFERRED
        self.exchange: Exchange | None = None

    def caller(self, named: Mapping[bytes, bytes], receive: Receive) -> Caller:
        """The client's side, after everything that can be refused without asking the meter.

        Raises:
            Refusal: the method, an upgrade or a transfer coding nobody serves here.
            InvalidRequestError: a path or a framing that two readers could read differently.
            TooLargeError: the declared length is over the limit.

        """
        fields: Fields = self.scope["headers"]
        if self.target.prompt:
            if self.scope["method"] != "POST":
                raise refusals.method_not_allowed()
        elif _DOT_SEGMENT.search(self.target.path):
            raise InvalidRequestError(
                "A path with . or .. means different things to different servers; send the path "
                "they stand for."
            )
        if b"upgrade" in named and upgrade_wanted(fields):
            raise refusals.no_upgrade()
        if b"prefer" in named:
            self.prefer = prefer_of(fields)
        return Caller(named, receive, self.route.limits.max_body_bytes)

    async def admitted(self, caller: Caller) -> Seat:
        """A seat that was not to be had at once, waited for if the client prefers that.

        Raises:
            MeterClosedError: there is no time on the meter, or it was used up meanwhile.
            NotServingError: the endpoint does not serve, or not soon enough.
            ClientGoneError: the client went away while its request was held.

        """
        name = self.route.name
        wait = self._wait()
        if wait:
            await self._hold(caller, wait)
            seat = self._gate.admit(name)
            if seat is not None:
                return seat
        now, view = self._now(), self._gate.view(name)
        if standing(view, now) is Standing.CLOSED:
            raise refusals.meter_closed(self.route, view, self.scope)
        raise refusals.not_serving(self.route, view, now)

    def stamp(self) -> Fields:
        """The headers that tell how the meter stands, and whether a wish to wait was heard."""
        fields: Fields = []
        view = self._gate.view(self.route.name)
        if view is not None:
            left = max(0, int((view.expires_at - self._now()).total_seconds()))
            fields = [
                (b"parkmeter-seconds-left", b"%d" % left),
                (b"parkmeter-expires-at", _timestamp(view.expires_at)),
            ]
        if self.prefer.wait is not None:
            fields.append((b"preference-applied", b"wait=%d" % self._wait()))
        return fields

    def _wait(self) -> int:
        if self.prefer.wait is None:
            return 0
        return min(self.prefer.wait, self.route.limits.max_wait_seconds)

    async def _hold(self, caller: Caller, seconds: int) -> None:
        """Until the endpoint serves, its meter closes or the time is over. Not in flight."""
        gate, name = self._gate, self.route.name
        place = gate.hold(name, self.route.limits.max_waiting)
        if place is None:
            raise refusals.crowded(self.route, gate.view(name))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        with place:
            while gate.standing(name) is Standing.WAITING and not gate.dismissed:
                left = deadline - loop.time()
                if left <= 0:
                    return
                events: set[asyncio.Future[Any]] = {place.change()}
                stirring = caller.stirring()
                if stirring is not None:
                    events.add(stirring)
                view = gate.view(name)
                if view is not None:
                    # It closes by itself, whether anybody shows that or not.
                    closes = (view.open_until - self._now()).total_seconds()
                    left = min(left, max(closes, _SHORTEST_WAIT))
                await asyncio.wait(events, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                caller.heed()


@lru_cache(maxsize=256)
def _timestamp(moment: datetime) -> bytes:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()
