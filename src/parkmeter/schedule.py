"""What the windows of `hours` mean for a meter: each has its turn once. Pure.

That a window had its turn is kept with the meter, so that what was ejected in it stays closed until
the next one, whoever forgets what.
"""

from dataclasses import replace
from datetime import datetime

from parkmeter.hours import Window
from parkmeter.meter import ZERO, Meter, Spec, is_open, latest_close, opened


def pending_window(spec: Spec, meter: Meter, now: datetime) -> Window | None:
    """The window of `hours` that is on and has not had its turn with this meter yet.

    One that had it has it again only where the configuration made it longer and it still runs.
    """
    window = spec.hours.window(now) if spec.hours is not None and not meter.removed else None
    if window is None or meter.windows_until >= window.end:
        return None
    begun = meter.windows_until > window.begin
    return None if begun and not is_open(meter, now) else window


def give_window(spec: Spec, meter: Meter, window: Window, now: datetime) -> Meter:
    """Give a window its turn: the meter holds at least until its end, as far as `max_ahead` goes.

    A window ends when it ends: there is no start-up credit beyond it.
    """
    seen = replace(meter, windows_until=window.end)
    until = min(window.end, now + spec.max_ahead)
    if not is_open(meter, now):
        return replace(opened(spec, seen, until, now), credit_left=ZERO)
    if latest_close(meter) >= until:
        return seen
    return replace(seen, expires_at=until, set_at=now, credit_left=ZERO)


def refuse_window(spec: Spec, meter: Meter, now: datetime) -> Meter:
    """Let the window that is on pass without its turn, as whoever ejects in it wants."""
    window = pending_window(spec, meter, now)
    return meter if window is None else replace(meter, windows_until=window.end)


def held(spec: Spec, meter: Meter, now: datetime) -> bool:
    """Whether it was ended in a window, and so stays closed until the next one or a top-up."""
    window = spec.hours.window(now) if spec.hours is not None else None
    return (
        window is not None and not is_open(meter, now) and pending_window(spec, meter, now) is None
    )
