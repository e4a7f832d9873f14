"""One request that waits until its endpoint serves, or until it is woken. It is not in flight."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from parkmeter.proxy.gate import LocalGate, Standing
from parkmeter.proxy.waker import WITHIN, Waking
from parkmeter.web import refusals
from parkmeter.web.routes import Route

_SHORTEST = 0.01
"""Seconds; a clock that stands still must not make a held request spin."""


class HeldRequest:
    """Holds a request for at most so many `seconds`; `changed` is called after each new view.

    `wake` is called once it has its place: the time counts from the end of that waking, after which
    `changed` is called too.

    Raises at construction:
        NotServingError: as many as may be are held already.
    """

    __slots__ = ("_gate", "_loop", "_name", "_now", "_place", "_seconds", "_until", "_waking")

    def __init__(  # noqa: PLR0913, PLR0917 (what there is to wait for)
        self,
        gate: LocalGate,
        route: Route,
        seconds: float,
        now: Callable[[], datetime],
        changed: Callable[[], None],
        wake: Callable[[], Waking] | None = None,
    ) -> None:
        place = gate.hold(route.name, route.limits.max_waiting, changed)
        if place is None:
            raise refusals.too_many_waiting(route, gate.view(route.name))
        self._place = place
        self._gate = gate
        self._name = route.name
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._until = self._loop.time() + seconds
        self._waking = wake() if wake is not None else None
        if self._waking is not None:
            self._waking.add_done_callback(lambda _waking: changed())

    def left(self) -> float:
        """Seconds until one must look again; not above 0 when there is nothing to wait for.

        Raises:
            ParkmeterError: it was not woken, and why.

        """
        gate = self._gate
        if self._waking is not None and not gate.dismissed:
            if not self._waking.done():
                return WITHIN
            waking, self._waking = self._waking, None
            self._until = self._loop.time() + self._seconds
            waking.result()
        if gate.dismissed or gate.standing(self._name) is not Standing.WAITING:
            return 0
        left = self._until - self._loop.time()
        view = gate.view(self._name)
        if view is not None:
            # It closes by itself, whether anybody shows that or not.
            closes = (view.open_until - self._now()).total_seconds()
            left = min(left, max(closes, _SHORTEST))
        return left

    def leave(self) -> None:
        """Hold no longer; harmless twice."""
        self._place.leave()
