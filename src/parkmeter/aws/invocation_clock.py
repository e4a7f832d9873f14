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

from parkmeter.aws.worker_pool import Crew
from parkmeter.core.due_queue import DueQueue

log = logging.getLogger(__name__)

LATEST = timedelta(seconds=30)
"""So long after the horizon looks are begun that were due before it. Then the next run has begun
long ago, and this one must come to its end before Lambda ends it."""

_LONGEST_PAUSE = 1.0
"""Seconds. Nothing sleeps longer without comparing the time again."""

_LONGEST_RETRY = 30


class Round:
    """Implements `ports.Clock` for as long as one invocation lasts.

    `pause` sleeps for some seconds. What is due after `until` is not waited for.
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
        self._lock = threading.Lock()
        self._queue = DueQueue()

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return self._now()

    def wake(self, name: str, at: datetime | None = None) -> None:
        """See `ports.Clock`."""
        with self._lock:
            self._queue.add(name, at or self._now())

    def run(self, look: Callable[[str], datetime | None]) -> set[str]:
        """Look at every name that was woken, and again when it says so, until the horizon.

        Returns the names whose last look failed. One that fails is looked at again soon, and keeps
        no other from being looked at.
        """
        failures: dict[str, int] = {}
        looks: dict[Future[datetime | None], str] = {}
        while True:
            # No more than can be begun at once: whoever falls due next shall not wait behind all.
            while len(looks) < self._crew.workers and (name := self._taken()):
                looks[self._crew.begin(look, name)] = name
            left = self._until_next()
            if looks:
                busy = len(looks) == self._crew.workers
                for finished in self._crew.wait(looks, None if busy else left):
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
        with self._lock:
            self._queue.done(name, again)

    def _taken(self) -> str | None:
        """The next name whose time has come."""
        now = self._now()
        with self._lock:
            at = self._queue.next_due()
            if at is None or at > self._until or now > self._until + LATEST:
                return None
            return self._queue.take(now)

    def _until_next(self) -> float | None:
        """Seconds until something else is due; None if nothing is before the horizon."""
        now = self._now()
        with self._lock:
            at = self._queue.next_due()
        if at is None or at > self._until or now > self._until + LATEST:
            return None
        return max(0.0, (at - now).total_seconds())
