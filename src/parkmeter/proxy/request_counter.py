"""How many requests each endpoint let in during which minute, put down as the minutes pass.

Nothing is counted on the way of a prompt: what `traffic` counts anyway is looked at once a minute,
and the difference belongs to the minute that has passed. For one event loop, which never waits for
the book.
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

_MOST_WAITING = 1440
"""Minutes that wait for a book that cannot be written; then the oldest are let go."""


class RequestCounter:
    """Implements `ports.RequestCounts` over the traffic of all endpoints.

    `now` reads the wall clock (aware, UTC). What was not put down yet is known all the same; a
    gateway that is killed loses a minute at most.
    """

    def __init__(
        self, traffic: Mapping[str, Traffic], book: RequestBook, now: Callable[[], datetime]
    ) -> None:
        self._traffic = traffic
        self._book = book
        self._now = now
        self._minute = slot_at(now(), _MINUTE)
        self._seen: dict[str, int] = {}
        self._waiting: list[tuple[datetime, Mapping[str, int]]] = []
        self._writing = threading.Lock()  # never taken on the loop
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Count from now on. On the loop."""
        self.look()
        loop = asyncio.get_running_loop()
        if self._waiting:
            loop.run_in_executor(None, self.put_down)
        rest = (self._minute + _MINUTE - self._now()).total_seconds()
        self._timer = loop.call_later(min(max(rest, 0.01), 60), self.begin)

    def close(self) -> None:
        """Count no more. On the loop; `put_down` then keeps what is left."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """If a minute has passed, what it brought waits to be put down."""
        minute = slot_at(self._now(), _MINUTE)
        if minute != self._minute:
            self._take()
            self._minute = minute

    def finish(self) -> None:
        """Put down all there is, also of the minute that is not over."""
        self._take()
        self.put_down()

    def put_down(self) -> None:
        """Write what waits; what cannot be written now goes on waiting."""
        with self._writing:
            while self._waiting and self._put_down_one():
                pass

    def _put_down_one(self) -> bool:
        """Whether the oldest was written."""
        minute, counts = self._waiting[0]
        try:
            self._book.add(minute, counts)
        except StoreBusyError:
            log.warning("how many requests came at %s is written later", minute)
            del self._waiting[:-_MOST_WAITING]
            return False
        del self._waiting[0]
        return True

    def of(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> list[Count]:
        """See `ports.RequestCounts`."""
        fresh = Counter({self._minute: self._new(name)})
        with self._writing:  # or what is being put down would count twice, or not at all
            for minute, counts in tuple(self._waiting):
                fresh[minute] += counts.get(name, 0)
            written = self._book.of(name, begin, end, slot)
        unwritten = [Count(at, count) for at, count in fresh.items() if begin <= at < end]
        return in_slots([*written, *unwritten], slot)

    def _take(self) -> None:
        counts = {name: new for name in tuple(self._traffic) if (new := self._new(name))}
        for name, new in counts.items():
            self._seen[name] = self._seen.get(name, 0) + new
        if counts:
            self._waiting.append((self._minute, counts))

    def _new(self, name: str) -> int:
        traffic = self._traffic.get(name)
        return 0 if traffic is None else traffic.let_in - self._seen.get(name, 0)
