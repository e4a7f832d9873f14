"""The clock of the local gateway: calls reconcile for each meter when its next thing is due.

Wall time is the truth (`ports.Clock`): the heap holds wall times, nothing sleeps longer than a
second without comparing again, and a jump of the wall clock is noticed and reported. It knows
nothing of meters beyond their names.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

from parkmeter.core.due_queue import DueQueue
from parkmeter.core.meter import Elapsed
from parkmeter.errors import StoreBusyError
from parkmeter.leash.elapsed import boot_id, since_boot

log = logging.getLogger(__name__)

_LONGEST_SLEEP = 1.0
"""Seconds. A suspended laptop or a set clock is noticed this soon."""

_WATCH_EVERY = 0.25
"""Seconds at least between two calls of `watch`; at most the longest sleep."""

_JUMP = timedelta(seconds=5)
_SWEEP_EVERY = timedelta(minutes=1)
_AFTER_AN_ERROR = timedelta(seconds=1)
_WORKERS = 32
"""Slow endpoints must not hold up the stopping of another. Each start waits for its leash to be up;
with eight workers the ninth of many top-ups waited a fifth of a second for one."""

_STOP_WITHIN = 5.0
"""Seconds for running calls to return. A sound one never takes longer; a stuck one must not keep
the gateway from parking its endpoints, and then from ending."""

_ALIVE_WITHIN = 5.0
"""Seconds: five times the longest sleep. A clock without a round for that long is not just late."""

_STUCK_AFTER = 15.0
"""Seconds in one call. A store or a leash that does not answer is given up after ten."""


def elapsed_now() -> Elapsed | None:
    """Return the time since the boot; None where the system has no clock that counts suspends."""
    seconds = since_boot()
    return None if seconds is None else Elapsed(boot_id(), timedelta(seconds=seconds))


_Work = tuple[Callable[..., None], tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class _Calls:
    """Callbacks of the clock; see `LocalClock.start`."""

    reconcile: Callable[[str], datetime | None]
    sweep: Callable[[], None]
    jumped: Callable[[timedelta], None]
    watch: Callable[[], None]


class LocalClock:
    """Implements `ports.Clock` with one waiting thread and a few workers.

    All are daemons, and no pool of the standard library: its threads are joined when the
    interpreter ends, so that one stuck call would keep the process for ever.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue = DueQueue()
        self._running = False
        self._ending = threading.Event()
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._sweeping = threading.Lock()
        self._busy_since: list[float | None] = [None] * _WORKERS
        self._wall = self._next_sweep = self.now()
        self._ticks = self._ticked_at = time.monotonic()
        self._watched_at = 0.0

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.now(UTC)

    def wake(self, name: str, at: datetime | None = None) -> None:
        """See `ports.Clock`."""
        with self._changed:
            self._queue.add(name, at or self.now())
            self._changed.notify()

    def start(
        self,
        reconcile: Callable[[str], datetime | None],
        sweep: Callable[[], None],
        jumped: Callable[[timedelta], None],
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin to call `reconcile` per name, `sweep` every minute, `jumped` after a jump.

        `watch` is called on the clock's own thread at least once a second; it must return at once.
        """
        self._running = True
        self._wall = self._next_sweep = self.now()
        self._ticks = self._ticked_at = time.monotonic()
        calls = _Calls(reconcile, sweep, jumped, watch)
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), name=f"reconcile-{number}")
            for number in range(_WORKERS)
        ]
        self._threads.append(threading.Thread(target=self._run, args=(calls,), name="clock"))
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def end(self) -> None:
        """Begin no further call; running ones go on."""
        with self._changed:
            self._running = False
            self._changed.notify()
        self._ending.set()

    def stop(self) -> None:
        """Stop calling, and return when running calls have returned.

        A call that takes longer than `_STOP_WITHIN` is abandoned: it ends with the process.
        """
        self.end()
        for _ in range(_WORKERS):
            self._work.put(None)
        give_up = time.monotonic() + _STOP_WITHIN
        for thread in self._threads:
            thread.join(max(0.0, give_up - time.monotonic()))
        if stuck := [thread.name for thread in self._threads if thread.is_alive()]:
            log.warning("the clock abandons calls that do not return: %s", ", ".join(stuck))

    def alive(self) -> bool:
        """Return True while it makes its rounds and not all workers are stuck; from any thread."""
        now = time.monotonic()
        stuck = all(since and now - since >= _STUCK_AFTER for since in self._busy_since)
        return self._running and now - self._ticked_at < _ALIVE_WITHIN and not stuck

    def _run(self, calls: _Calls) -> None:
        while self._running:
            try:
                self._round(calls)
                self._ticked_at = time.monotonic()
            except Exception:
                # Without this thread no meter would ever be closed again.
                log.exception("the clock failed; it goes on in a second")
                self._ending.wait(_AFTER_AN_ERROR.total_seconds())

    def _round(self, calls: _Calls) -> None:
        name = self._next_due()
        if not self._running:
            return
        try:
            self._check_time(calls)
            if name is not None:
                self._submit(self._reconcile, calls.reconcile, name)
        except Exception:
            if name is not None:
                self._reschedule(name, self.now() + _AFTER_AN_ERROR)
            raise

    def _check_time(self, calls: _Calls) -> None:
        now, ticks = self.now(), time.monotonic()
        if ticks >= self._watched_at + _WATCH_EVERY:
            self._watched_at = ticks
            calls.watch()
        jump = (now - self._wall) - timedelta(seconds=ticks - self._ticks)
        if abs(jump) > _JUMP:
            log.warning("the wall clock jumped by %.1f s", jump.total_seconds())
            self._submit(calls.jumped, jump)
            self._next_sweep = now
        self._wall, self._ticks = now, ticks
        if now >= self._next_sweep:
            self._submit(self._sweep, calls.sweep)
            self._next_sweep = now + _SWEEP_EVERY

    def _submit(self, call: Callable[..., None], *arguments: object) -> None:
        self._work.put((call, arguments))

    def _serve(self, number: int) -> None:
        while (work := self._work.get()) is not None:
            if self._running:
                self._busy_since[number] = time.monotonic()
                _logged(work[0], *work[1])
                self._busy_since[number] = None

    def _sweep(self, sweep: Callable[[], None]) -> None:
        """Sweep, unless a sweep is running: stuck ones would soon take up all workers."""
        if self._sweeping.acquire(blocking=False):
            try:
                sweep()
            finally:
                self._sweeping.release()

    def _reconcile(self, reconcile: Callable[[str], datetime | None], name: str) -> None:
        due: datetime | None = self.now() + _AFTER_AN_ERROR
        try:
            due = reconcile(name)
        finally:
            self._reschedule(name, due)

    def _reschedule(self, name: str, due: datetime | None) -> None:
        """Call it again at `due`, or earlier if it was woken meanwhile."""
        with self._changed:
            self._queue.done(name, due)
            self._changed.notify()

    def _next_due(self) -> str | None:
        """Wait for the next name that is due; None after the longest sleep.

        One name is never reconciled twice at once: woken meanwhile, it comes again afterwards.
        """
        with self._changed:
            now = self.now()
            name = self._queue.take(now)
            if name is None and self._running:
                due = min(filter(None, (self._next_sweep, self._queue.next_due())))
                wait = min(_LONGEST_SLEEP, (due - now).total_seconds())
                self._changed.wait(max(0.0, wait))
            return name


def _logged(call: Callable[..., None], *arguments: object) -> None:
    """Run a call and log its failure, which must not end the clock: the next tick comes."""
    name = getattr(call, "__name__", call)
    try:
        call(*arguments)
    except StoreBusyError as error:
        log.error("%s: %s; it will be retried", name, error.title)  # noqa: TRY400 (no fault of it)
    except Exception:
        log.exception("%s failed; it will be retried", name)
