"""One endpoint as people are shown it: status, time left, hours. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from parkmeter import schedule
from parkmeter.hours import Window
from parkmeter.meter import (
    Meter,
    Price,
    Shown,
    Spec,
    Status,
    closes_at,
    price_of,
    shown,
    time_left,
)


@dataclass(frozen=True, slots=True)
class Report:
    """One endpoint as people are shown it, as of `at`."""

    spec: Spec
    meter: Meter
    at: datetime
    shown: Shown
    closes_at: datetime
    left: timedelta
    window: Window | None = None
    next_window: Window | None = None
    held: bool = False

    @property
    def price(self) -> Price:
        """What an hour costs as things stand."""
        return price_of(self.spec, self.meter)

    @classmethod
    def of(cls, spec: Spec, meter: Meter, now: datetime) -> Self:
        """The report on a meter as read."""
        return cls(
            spec=spec,
            meter=meter,
            at=now,
            shown=_shown_with_hours(spec, meter, now),
            closes_at=closes_at(meter, now),
            left=time_left(meter, now),
            window=None if spec.hours is None else spec.hours.window(now),
            next_window=None if spec.hours is None else spec.hours.next_window(now),
            held=schedule.held(spec, meter, now),
        )


def _shown_with_hours(spec: Spec, meter: Meter, now: datetime) -> Shown:
    """As `shown`, and for what waits for a window, for which one."""
    seen, run = shown(meter, now), meter.run
    if spec.hours is None or seen.status is not Status.STOPPED or run.reason or run.trouble:
        return seen
    if meter.removed or schedule.pending_window(spec, meter, now) is not None:
        return seen
    begin = spec.hours.local(spec.hours.next_window(now).begin)
    why = "ejected" if schedule.held(spec, meter, now) else "outside its hours"
    return replace(seen, reason=f"{why}; starts {begin} by itself")
