"""Per-minute counts of requests and of their usage, written to the store once a minute.

Nothing is counted on the way of a prompt: once a minute the numbers of `traffic` are compared with
the minute before, and the difference belongs to the minute that has passed. For one event loop,
which never waits for the store.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from parkmeter.core.request_counts import KEPT, Count, in_slots, slot_at
from parkmeter.core.usage import NOTHING, Used, UsedAt
from parkmeter.errors import StoreBusyError
from parkmeter.ports import RequestBook
from parkmeter.proxy.traffic import Traffic

log = logging.getLogger(__name__)

_Found = TypeVar("_Found")

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)

_QUEUE_LIMIT = 1440
"""Minutes that wait for a store that cannot be written; then the oldest are dropped."""

_TRIES = 3
"""Of reading counts while minutes are written, once each."""


@dataclass(frozen=True, slots=True)
class _Minute:
    """Counts by endpoint, and usage by endpoint and name of the token, of the minute `at`."""

    at: datetime
    counts: Mapping[str, int]
    used: Mapping[tuple[str, str], Used]


class RequestCounter:
    """Implements `ports.RequestCounts` and `ports.UsageCounts` over the traffic of all endpoints.

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
        self._used: dict[tuple[str, str], Used] = {}
        self._queue: list[_Minute] = []
        self._writing = threading.Lock()  # never taken on the loop
        self._moved = 0
        """Minutes that went from the queue into the store."""
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
        minute = self._queue[0]
        try:
            self._book.add(minute.at, minute.counts, minute.used)
        except StoreBusyError:
            log.warning("request counts of %s are not written yet: the store is busy", minute.at)
            del self._queue[:-_QUEUE_LIMIT]
            return False
        del self._queue[0]
        self._moved += 1
        return True

    # ── Reading, from any thread ────────────────────────────────────────────────────────────────

    def of(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> list[Count]:
        """See `ports.RequestCounts`."""

        def read() -> list[Count]:
            written = self._book.of(name, begin, end, slot)
            fresh = Counter({self._minute: self._new(name)})
            for minute in tuple(self._queue):
                fresh[minute.at] += minute.counts.get(name, 0)
            unwritten = [Count(at, count) for at, count in fresh.items() if begin <= at < end]
            return in_slots([*written, *unwritten], slot)

        return self._undisturbed(read)

    def used_by(self, name: str, begin: datetime, end: datetime) -> dict[str, Used]:
        """See `ports.UsageCounts`."""
        first, last = self._as_kept(begin, end)

        def read() -> dict[str, Used]:
            found = dict(self._book.used_by(name, first, last))
            for at, who, used in self._unwritten(name):
                if first <= at < last:
                    found[who] = found.get(who, NOTHING) + used
            return found

        return self._undisturbed(read)

    def used_at(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> list[UsedAt]:
        """See `ports.UsageCounts`."""
        first, last = self._as_kept(begin, end)
        first = max(first, self._minute - KEPT + _MINUTE)  # of older ones only days are known

        def read() -> list[UsedAt]:
            found = {one.at: one.used for one in self._book.used_at(name, first, last, slot)}
            for at, _, used in self._unwritten(name):
                if first <= at < last:
                    begun = slot_at(at, slot)
                    found[begun] = found.get(begun, NOTHING) + used
            return [UsedAt(at, used) for at, used in sorted(found.items())]

        return self._undisturbed(read)

    def since(self) -> datetime:
        """See `ports.UsageCounts`."""
        return self._book.since()

    def _undisturbed(self, read: Callable[[], _Found]) -> _Found:
        # Without a lock, or a reader would wait for a store that cannot be written. Read again if
        # a minute was written meanwhile: it would count twice, or not at all.
        for _ in range(_TRIES - 1):
            moved = self._moved
            found = read()
            if self._moved == moved:
                return found
        return read()

    def _as_kept(self, begin: datetime, end: datetime) -> tuple[datetime, datetime]:
        """Return a period of whole minutes; where it is old, of whole days."""
        old = self._minute - KEPT
        first, last = (slot_at(at, _MINUTE if at > old else _DAY) for at in (begin, end))
        return first, last + _MINUTE if last >= self._minute else last

    # ── What is not written yet ─────────────────────────────────────────────────────────────────

    def _unwritten(self, name: str) -> Iterator[tuple[datetime, str, Used]]:
        for minute in tuple(self._queue):
            for (endpoint, who), used in minute.used.items():
                if endpoint == name:
                    yield minute.at, who, used
        for who, used in self._new_usage(name):
            yield self._minute, who, used

    def _enqueue(self) -> None:
        counts = {name: new for name in tuple(self._traffic) if (new := self._new(name))}
        for name, new in counts.items():
            self._counted[name] = self._counted.get(name, 0) + new
        used = {
            (name, who): new for name in tuple(self._traffic) for who, new in self._new_usage(name)
        }
        for key, more in used.items():
            self._used[key] = self._used.get(key, NOTHING) + more
        if counts or used:
            self._queue.append(_Minute(self._minute, counts, used))

    def _new(self, name: str) -> int:
        traffic = self._traffic.get(name)
        return 0 if traffic is None else traffic.admitted - self._counted.get(name, 0)

    def _new_usage(self, name: str) -> Iterator[tuple[str, Used]]:
        traffic = self._traffic.get(name)
        for who, count in () if traffic is None else tuple(traffic.usage.items()):
            if new := count.used() - self._used.get((name, who), NOTHING):
                yield who, new
