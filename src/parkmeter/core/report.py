"""The report on one endpoint for people: status, time left, hours. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from parkmeter.core import schedule
from parkmeter.core.hours import Window
from parkmeter.core.meter import EJECTED, Meter, Price, Spec, Status, closes_at, price_of, time_left
from parkmeter.core.status import Shown, shown


@dataclass(frozen=True, slots=True)
class Report:
    """The state of one endpoint as shown to people, as of `at`."""

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
        """Return the present price of an hour."""
        return price_of(self.spec, self.meter)

    @classmethod
    def of(cls, spec: Spec, meter: Meter, now: datetime) -> Self:
        """Return the report on a meter as read."""
        return cls(
            spec=spec,
            meter=meter,
            at=now,
            shown=_shown(spec, meter, now),
            closes_at=closes_at(meter, now),
            left=time_left(meter, now),
            window=None if spec.hours is None else spec.hours.window(now),
            next_window=None if spec.hours is None else spec.hours.next_window(now),
            held=schedule.held_closed(spec, meter, now),
        )


def _shown(spec: Spec, meter: Meter, now: datetime) -> Shown:
    """Return the status; a stopped one's reason names what starts it besides a top-up."""
    seen, run = shown(meter, now), meter.run
    if seen.status is not Status.STOPPED or run.reason or run.trouble or meter.removed:
        return seen
    if schedule.pending_window(spec, meter, now) is not None:
        return replace(seen, cause="its hours have begun; it starts as soon as it can")
    held = schedule.held_closed(spec, meter, now)
    wakes = spec.wake is not None and not (held and meter.ended == EJECTED)
    if spec.hours is not None:
        why = meter.ended or ("no time on the meter" if held else "outside its hours")
        # With its zone: all other times here are in the reader's own.
        begin = f"{spec.hours.local(spec.hours.next_window(now).begin)} {spec.hours.zone}"
        or_woken = ", or on a prompt" if wakes else ""
        return replace(seen, cause=f"{why}; starts {begin}{or_woken}")
    if not wakes:
        return seen
    if meter.ended:
        return replace(seen, cause=f"{meter.ended}; a prompt starts it")
    return replace(seen, cause=f"{seen.reason}, or send a prompt")
