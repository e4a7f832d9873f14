"""Per-minute request counts, written to the store once a minute.

Nothing is counted on the way of a prompt: once a minute the numbers of `traffic` are compared with
the minute before, and the difference belongs to the minute that has passed. For one event loop,
which never waits for the store.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from parkmeter.core.request_counts import Count, in_slots, slot_at
from parkmeter.errors import StoreBusyError
from parkmeter.ports import RequestBook
from parkmeter.proxy.traffic import Traffic

log = logging.getLogger(__name__)

_MINUTE = timedelta(minutes=1)

_QUEUE_LIMIT = 1440
"""Minutes that wait for a store that cannot be written; then the oldest are dropped."""

_TRIES = 3
"""Of reading counts while minutes are written, once each."""


class RequestCounter:
    """Implements `ports.RequestCounts` over the traffic of all endpoints.

    `now` reads the wall clock (aware, UTC). Counts not written yet are included in every answer; a
    gateway that is killed loses a minute at most.
    """

    def __init__(
        self, traffic: Mapping[str, Traffic], book: RequestBook, now: Callable[[], datetime]
    ) -> None:
        self._traffic = traffic
        self._book = book
        self._now = now
        self._minute = slot_at(now(), _MINUTE)
        self._counted: dict[str, int] = {}
        self._queue: list[tuple[datetime, Mapping[str, int]]] = []
        self._writing = threading.Lock()  # never taken on the loop
        self._moved = 0
        """Counts of minutes that went from the queue into the store."""
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Count from now on. On the loop."""
        self.roll_over()
        loop = asyncio.get_running_loop()
        if self._queue:
            loop.run_in_executor(None, self.flush)
        rest = (self._minute + _MINUTE - self._now()).total_seconds()
        self._timer = loop.call_later(min(max(rest, 0.01), 60), self.start)

    def close(self) -> None:
        """Stop the timer. On the loop; `finish` then writes what is left."""
        if self._timer is not None:
            self._timer.cancel()

    def roll_over(self) -> None:
        """Queue the counts of the minute, if it has passed."""
        minute = slot_at(self._now(), _MINUTE)
        if minute != self._minute:
            self._enqueue()
            self._minute = minute

    def finish(self) -> None:
        """Write all there is, including the current minute."""
        self._enqueue()
        self.flush()

    def flush(self) -> None:
        """Write the queue; what cannot be written now stays in it."""
        with self._writing:
            while self._queue and self._write_oldest():
                pass

    def _write_oldest(self) -> bool:
        """Return True if it was written."""
        minute, counts = self._queue[0]
        try:
            self._book.add(minute, counts)
        except StoreBusyError:
            log.warning("request counts of %s are not written yet: the store is busy", minute)
            del self._queue[:-_QUEUE_LIMIT]
            return False
        del self._queue[0]
        self._moved += 1
        return True

    def of(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> list[Count]:
        """See `ports.RequestCounts`."""
        # Without a lock, or a reader would wait for a store that cannot be written. Read again if
        # a minute was written meanwhile: it would count twice, or not at all.
        for _ in range(_TRIES - 1):
            moved = self._moved
            counts = self._read(name, begin, end, slot)
            if self._moved == moved:
                return counts
        return self._read(name, begin, end, slot)

    def _read(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> list[Count]:
        written = self._book.of(name, begin, end, slot)
        fresh = Counter({self._minute: self._new(name)})
        for minute, counts in tuple(self._queue):
            fresh[minute] += counts.get(name, 0)
        unwritten = [Count(at, count) for at, count in fresh.items() if begin <= at < end]
        return in_slots([*written, *unwritten], slot)

    def _enqueue(self) -> None:
        counts = {name: new for name in tuple(self._traffic) if (new := self._new(name))}
        for name, new in counts.items():
            self._counted[name] = self._counted.get(name, 0) + new
        if counts:
            self._queue.append((self._minute, counts))

    def _new(self, name: str) -> int:
        traffic = self._traffic.get(name)
        return 0 if traffic is None else traffic.admitted - self._counted.get(name, 0)
