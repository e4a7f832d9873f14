"""The clock of the local gateway: calls reconcile for each meter when its next thing is due.

Wall time is the truth (`ports.Clock`): the heap holds wall times, nothing sleeps longer than a
second without comparing again, and a jump of the wall clock is noticed and reported. It knows
nothing of meters beyond their names.
"""

import heapq
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

log = logging.getLogger(__name__)

_LONGEST_SLEEP = 1.0
"""Seconds. A suspended laptop or a set clock is noticed this soon."""

_JUMP = timedelta(seconds=5)
_SWEEP_EVERY = timedelta(minutes=1)
_AFTER_AN_ERROR = timedelta(seconds=1)
_WORKERS = 8
"""One slow endpoint must not hold up the stopping of another."""


class LocalClock:
    """Implements `ports.Clock` with one waiting thread and a few workers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._treated: set[str] = set()
        self._running = False
        self._thread: threading.Thread | None = None
        self._workers: ThreadPoolExecutor | None = None

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.now(UTC)

    def wake(self, name: str, at: datetime | None = None) -> None:
        """See `ports.Clock`."""
        with self._changed:
            self._schedule(name, at or self.now())
            self._changed.notify()

    def start(
        self,
        reconcile: Callable[[str], datetime | None],
        sweep: Callable[[], None],
        jumped: Callable[[timedelta], None],
    ) -> None:
        """Begin to call `reconcile` per name, `sweep` every minute, `jumped` after a jump."""
        self._running = True
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="reconcile")
        self._thread = threading.Thread(
            target=self._run, args=(reconcile, sweep, jumped), name="clock", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Call nothing any more; returns when what was being called has returned."""
        with self._changed:
            self._running = False
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        if self._workers is not None:
            self._workers.shutdown(wait=True)

    def _run(
        self,
        reconcile: Callable[[str], datetime | None],
        sweep: Callable[[], None],
        jumped: Callable[[timedelta], None],
    ) -> None:
        wall, monotonic = self.now(), time.monotonic()
        self._submit(sweep)
        next_sweep = wall + _SWEEP_EVERY
        while True:
            name = self._next_due()
            if not self._running:
                return
            now, ticks = self.now(), time.monotonic()
            jump = (now - wall) - timedelta(seconds=ticks - monotonic)
            wall, monotonic = now, ticks
            if abs(jump) > _JUMP:
                log.warning("the wall clock jumped by %.1f s", jump.total_seconds())
                next_sweep = now
                self._submit(jumped, jump)
            if now >= next_sweep:
                next_sweep = now + _SWEEP_EVERY
                self._submit(sweep)
            if name is not None:
                self._submit(self._treat, reconcile, name)

    def _submit(self, call: Callable[..., None], *arguments: object) -> None:
        assert self._workers is not None  # noqa: S101 (started before the thread)
        self._workers.submit(_logged, call, *arguments)

    def _treat(self, reconcile: Callable[[str], datetime | None], name: str) -> None:
        again: datetime | None = self.now() + _AFTER_AN_ERROR
        try:
            again = reconcile(name)
        finally:
            with self._changed:
                self._treated.discard(name)
                woken = self._due.pop(name, None)
                if times := [at for at in (again, woken) if at is not None]:
                    self._schedule(name, min(times))
                self._changed.notify()

    def _schedule(self, name: str, at: datetime) -> None:
        if name not in self._due or at < self._due[name]:
            self._due[name] = at
            heapq.heappush(self._heap, (at, name))

    def _next_due(self) -> str | None:
        """Wait for the next name that is due and not being treated; None after the longest sleep.

        One name is never treated twice at once: woken meanwhile, it comes again afterwards.
        """
        with self._changed:
            wait = _LONGEST_SLEEP
            while self._heap:
                at, name = self._heap[0]
                if self._due.get(name) != at:
                    heapq.heappop(self._heap)
                    continue
                left = (at - self.now()).total_seconds()
                if left > 0:
                    wait = min(wait, left)
                    break
                heapq.heappop(self._heap)
                if name in self._treated:
                    continue  # `_due` remembers that it was woken
                del self._due[name]
                self._treated.add(name)
                return name
            if self._running:
                self._changed.wait(wait)
            return None


def _logged(call: Callable[..., None], *arguments: object) -> None:
    """A failure is told and does not end the clock: the next tick comes whatever happened."""
    try:
        call(*arguments)
    except Exception:
        log.exception("%s failed; it is tried again", getattr(call, "__name__", call))
