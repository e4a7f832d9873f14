"""The clock of one invocation: runs each name's next step when it is due, many at a time.

It waits within the invocation for what falls due before its horizon, so that an endpoint is stopped
to the second although the function is called only every minute. What is due later is left to a
later invocation. Knows names, no meters.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from parkmeter.core.due_queue import DueQueue

log = logging.getLogger(__name__)

WORKERS = 16
"""A call that hangs must delay no other meter; AWS would throttle many more."""

LATEST = timedelta(seconds=30)
"""A step due before the horizon begins at most this long after it: by then the next run has begun,
and this one must end before Lambda's timeout."""

_LONGEST_PAUSE = 1.0
"""Seconds between two looks at the time while nothing is due."""

_LONGEST_RETRY = 30


class InvocationClock:
    """Implements `ports.Clock` for the duration of one invocation.

    `pause` sleeps the given seconds. What is due after `until` is not waited for.
    """

    def __init__(
        self, now: Callable[[], datetime], pause: Callable[[float], None], until: datetime
    ) -> None:
        self._now = now
        self._pause = pause
        self._until = until
        self._lock = threading.Lock()
        self._queue = DueQueue()

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return self._now()

    def wake(self, name: str, at: datetime | None = None) -> None:
        """See `ports.Clock`."""
        with self._lock:
            self._queue.add(name, at or self._now())

    def run(self, step: Callable[[str], datetime | None]) -> set[str]:
        """Run `step` for each woken name, and again at the time it returns, until the horizon.

        Returns the names whose last step failed. A failed step is retried with growing delays and
        delays no other name.
        """
        failures: dict[str, int] = {}
        steps: dict[Future[datetime | None], str] = {}
        with ThreadPoolExecutor(WORKERS) as workers:
            while True:
                # Not more than there are workers: the name that is due next waits behind none.
                while len(steps) < WORKERS and (name := self._take()):
                    steps[workers.submit(step, name)] = name
                left = self._until_next()
                if steps:
                    timeout = None if len(steps) == WORKERS else left
                    for done in wait(steps, timeout, FIRST_COMPLETED).done:
                        self._finish(steps.pop(done), done, failures)
                elif left is None:
                    return set(failures)
                else:
                    self._pause(min(left, _LONGEST_PAUSE))

    def _finish(self, name: str, step: Future[datetime | None], failures: dict[str, int]) -> None:
        try:
            again = step.result()
        except Exception:
            log.exception("%s could not be reconciled; it is retried", name)
            failures[name] = failures.get(name, 0) + 1
            retry = min(2 ** (failures[name] - 1), _LONGEST_RETRY)
            again = self._now() + timedelta(seconds=retry)
        else:
            failures.pop(name, None)
        with self._lock:
            self._queue.done(name, again)

    def _take(self) -> str | None:
        """Return the next name that is due, and mark it as running."""
        now = self._now()
        with self._lock:
            return None if self._first(now) is None else self._queue.take(now)

    def _until_next(self) -> float | None:
        """Return the seconds until the next name is due; None if none is before the horizon."""
        now = self._now()
        with self._lock:
            at = self._first(now)
        return None if at is None else max(0.0, (at - now).total_seconds())

    def _first(self, now: datetime) -> datetime | None:
        """Return when the first name is due; None if no further step may begin in this run."""
        at = self._queue.next_due()
        return None if at is None or at > self._until or now > self._until + LATEST else at
