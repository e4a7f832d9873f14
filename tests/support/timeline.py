"""Simulated time for concurrent runs: it advances only when each of them sleeps or has ended.

Each run has a thread of its own. What it sleeps is not waited for: time jumps to the next moment at
which a run wakes, so that runs overlap as they do on AWS, and every run of a test is alike.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from tests.support.wound_sagemaker import Wound

_STUCK_AFTER = 60.0
"""Seconds of real time."""


class EndedError(BaseException):
    """Raised in a sleeping run when the test is over. No `Exception`: no handler catches it."""


class Timeline:
    """Runs on a clock that the test moves. `broken` holds the exceptions of runs."""

    def __init__(self, wound: Wound) -> None:
        self._wound = wound
        self._changed = threading.Condition()
        self._awake = 0
        self._sleeping: dict[threading.Thread, datetime] = {}
        self._over = False
        self.broken: list[BaseException] = []

    def spawn(self, run: Callable[[], None]) -> None:
        """Start a run now."""
        with self._changed:
            self._awake += 1
        threading.Thread(target=self._run, args=(run,), daemon=True).start()

    def sleep(self, seconds: float) -> None:
        """Sleep, in a run."""
        me = threading.current_thread()
        with self._changed:
            self._sleeping[me] = self._wound.now() + timedelta(seconds=seconds)
            self._awake -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or me not in self._sleeping)
            if self._over:
                raise EndedError

    def settle(self) -> None:
        """Wait until every run sleeps or has ended; reraise an exception of a run."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._awake == 0, _STUCK_AFTER), "a run is stuck"
        if self.broken:
            raise self.broken.pop()

    def asleep(self) -> int:
        """Return the number of runs that have not ended."""
        with self._changed:
            return len(self._sleeping)

    def next_wake(self) -> datetime | None:
        """Return the time at which the next run wakes."""
        with self._changed:
            return min(self._sleeping.values(), default=None)

    def go_to(self, moment: datetime) -> None:
        """Set the time; runs that slept until then continue."""
        with self._changed:
            self._wound.time = moment
            for thread, wake in list(self._sleeping.items()):
                if wake <= moment:
                    del self._sleeping[thread]
                    self._awake += 1
            self._changed.notify_all()

    def end(self) -> None:
        """End every run."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _run(self, run: Callable[[], None]) -> None:
        try:
            run()
        except EndedError:
            return
        except BaseException as error:  # noqa: BLE001 (kept for the test)
            self.broken.append(error)
        with self._changed:
            self._awake -= 1
            self._changed.notify_all()
