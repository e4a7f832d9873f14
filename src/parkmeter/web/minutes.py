"""How many requests each endpoint let in during which minute of the last day. On one event loop.

Nothing is counted on the way of a prompt: what `traffic` counts anyway is looked at once a minute,
and the difference belongs to the minute that has passed.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from parkmeter.web.traffic import Traffic

_MINUTE = timedelta(minutes=1)
_KEPT = 1440


@dataclass(frozen=True, slots=True)
class Count:
    """Requests that were let in during the minute from `at` on; refused ones are none."""

    at: datetime
    count: int


class RequestsByMinute:
    """Over the traffic of all endpoints; `now` reads the wall clock (aware, UTC)."""

    def __init__(self, traffic: Mapping[str, Traffic], now: Callable[[], datetime]) -> None:
        self._traffic = traffic
        self._now = now
        self._minute = _minute_of(now())
        self._counted: dict[str, int] = {}
        self._kept: dict[str, deque[Count]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Count from now on. On the loop."""
        self.look()
        rest = (self._minute + _MINUTE - self._now()).total_seconds()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(max(rest, 0.01), 60), self.begin)

    def close(self) -> None:
        """Count no more. On the loop."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """If a minute has passed, put down what it brought."""
        minute = _minute_of(self._now())
        if minute == self._minute:
            return
        for name, traffic in self._traffic.items():
            total = traffic.let_in
            if total > self._counted.get(name, 0):
                self._kept[name].append(Count(self._minute, total - self._counted.get(name, 0)))
            self._counted[name] = total
        self._minute = minute

    def of(self, name: str) -> list[Count]:
        """The last 1440 minutes that brought any, oldest first; the last one may not be over."""
        kept = list(self._kept[name]) if name in self._kept else []
        traffic = self._traffic.get(name)
        fresh = traffic.let_in - self._counted.get(name, 0) if traffic is not None else 0
        return [*kept, Count(self._minute, fresh)] if fresh else kept


def _minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
