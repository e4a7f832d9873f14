"""What an invocation of the clock does: treat each meter when its next thing is due, many at once.

It waits inside the invocation for what falls due before its horizon, so that an endpoint is stopped
to the second although the clock is only called every minute. What is due later is left to a later
invocation. Knows names, no meters.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta

from parkmeter.aws.crew import Crew

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 1.0
"""Seconds. Nothing sleeps longer without comparing the time again."""

_LONGEST_RETRY = 30


class Round:
    """Implements `ports.Clock` for as long as one invocation lasts.

    `pause` sleeps for some seconds. After `until` no new look is begun.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        pause: Callable[[float], None],
        until: datetime,
        crew: Crew,
    ) -> None:
        self._now = now
        self._pause = pause
        self._until = until
        self._crew = crew
        self._due: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return self._now()

    def wake(self, name: str, at: datetime | None = None) -> None:
        """See `ports.Clock`."""
        at = at or self._now()
        with self._lock:
            self._due[name] = min(at, self._due.get(name, at))

    def run(self, look: Callable[[str], datetime | None]) -> set[str]:
        """Look at every name that was woken, and again when it says so, until the horizon.

        Returns the names whose last look failed. One that fails is looked at again soon, and keeps
        no other from being looked at.
        """
        failures: dict[str, int] = {}
        looks: dict[Future[datetime | None], str] = {}
        while True:
            for name in self._take_due(set(looks.values())):
                looks[self._crew.begin(look, name)] = name
            left = self._until_next(set(looks.values()))
            if looks:
                for finished in self._crew.wait(looks, left):
                    self._finish(looks.pop(finished), finished, failures)
            elif left is None:
                return set(failures)
            else:
                self._pause(min(left, _LONGEST_PAUSE))

    def _finish(self, name: str, look: Future[datetime | None], failures: dict[str, int]) -> None:
        try:
            again = look.result()
        except Exception:
            log.exception("%s could not be treated; it is tried again", name)
            failures[name] = failures.get(name, 0) + 1
            retry = min(2 ** (failures[name] - 1), _LONGEST_RETRY)
            again = self._now() + timedelta(seconds=retry)
        else:
            failures.pop(name, None)
        if again is not None:
            self.wake(name, again)

    def _take_due(self, looking: set[str]) -> list[str]:
        """Names whose time has come; one name is never looked at twice at once."""
        latest = min(self._now(), self._until)
        with self._lock:
            due = [n for n, at in self._due.items() if at <= latest and n not in looking]
            for name in due:
                del self._due[name]
        return due

    def _until_next(self, looking: set[str]) -> float | None:
        """Seconds until something else is due; None if nothing is before the horizon."""
        with self._lock:
            ahead = [at for n, at in self._due.items() if at <= self._until and n not in looking]
        if not ahead:
            return None
        return max(0.0, (min(ahead) - self._now()).total_seconds())
