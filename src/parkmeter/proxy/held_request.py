"""One request that waits until its endpoint serves, for a top-up, or for a place in flight."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.proxy.gate import LocalGate, Standing
from parkmeter.proxy.waker import TIMEOUT_SECONDS, WakeAttempt
from parkmeter.web import refusals
from parkmeter.web.routes import Route

_SHORTEST = 0.01
"""Seconds; a clock that stands still must not make a held request spin."""


def waits_unasked(gate: LocalGate, name: str, wake: Callable[[], WakeAttempt] | None) -> bool:
    """Return whether a prompt waits that does not ask for it: only for a start that can succeed.

    For a place in flight it is answered at once, and so are others while the meter is closed.
    """
    match gate.standing(name):
        case Standing.SERVING:
            return False
        case Standing.CLOSED:
            return wake is not None
        case Standing.WAITING:
            view = gate.view(name)
            return view is None or view.status is not Status.FAILED or view.retry_at is not None


def _tried_within(view: View, seconds: float, now: datetime) -> bool:
    """Return whether a start that failed is tried again within these seconds."""
    return view.retry_at is not None and (view.retry_at - now).total_seconds() < seconds


class HeldRequest:
    """Holds a request for at most `seconds`; `changed` is called after each new view.

    `wake` is called once the request counts as held: the time counts from the end of that attempt,
    after which `changed` is called too.

    Raises at construction:
        NotServingError, TooManyInFlightError: the limit of held requests is reached.
    """

    __slots__ = ("_attempt", "_gate", "_loop", "_now", "_route", "_seconds", "_until", "_waiter")

    def __init__(  # noqa: PLR0913, PLR0917 (all it may wait for)
        self,
        gate: LocalGate,
        route: Route,
        holder: str,
        seconds: float,
        now: Callable[[], datetime],
        changed: Callable[[], None],
        wake: Callable[[], WakeAttempt] | None = None,
    ) -> None:
        waiter = gate.add_waiter(route.name, route.limits.max_waiting, changed, holder)
        if waiter is None:
            if gate.standing(route.name) is Standing.SERVING:
                raise refusals.too_many_in_flight(route)
            raise refusals.too_many_waiting(route, gate.view(route.name))
        self._waiter = waiter
        self._gate = gate
        self._route = route
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._until = self._loop.time() + seconds
        self._attempt = wake() if wake is not None else None
        if self._attempt is not None:
            self._attempt.add_done_callback(lambda _attempt: changed())

    def left(self) -> float:
        """Return the seconds until the next check; 0 or less when there is nothing to wait for.

        Raises:
            ParkmeterError: the top-up failed, and why, or another token got its place.

        """
        gate, name = self._gate, self._route.name
        if self._waiter.displaced:
            raise refusals.place_taken(self._route)
        if gate.shutting_down or self._waiter.turn:
            return 0
        if self._attempt is not None:
            if not self._attempt.done():
                return TIMEOUT_SECONDS
            attempt, self._attempt = self._attempt, None
            self._until = self._loop.time() + self._seconds
            attempt.result()
        limited = self._route.limits.max_in_flight is not None
        match gate.standing(name):
            case Standing.CLOSED:
                return 0
            case Standing.SERVING if not limited:
                return 0
            case Standing.SERVING | Standing.WAITING:
                pass  # until its turn comes
        left = self._until - self._loop.time()
        view = gate.view(name)
        if view is not None:
            now = self._now()
            if view.status is Status.FAILED and not _tried_within(view, left, now):
                return 0
            # It closes at that time, also if no new view comes.
            closes = (view.open_until - now).total_seconds()
            left = min(left, max(closes, _SHORTEST))
        return left

    def extend(self, seconds: float) -> None:
        """Hold for at most `seconds` from now on, or from the end of an attempt to wake it."""
        self._seconds = seconds
        self._until = self._loop.time() + seconds

    def release(self) -> None:
        """Hold no longer; harmless twice."""
        self._waiter.release()
