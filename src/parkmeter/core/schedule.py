"""What the windows of `hours` mean for a meter: each has its turn once. Pure.

How far the windows had their turn is kept with the meter, so that what was ended in one stays
closed until the next, whoever forgets what. So is which time only a window put there: that goes
with the window, while what people bought stays.
"""

from dataclasses import replace
from datetime import datetime

from parkmeter.core.decision import Decision, Keep
from parkmeter.core.hours import Window
from parkmeter.core.journal import Kind, new_entry
from parkmeter.core.meter import (
    ZERO,
    Meter,
    Spec,
    eject,
    is_open,
    latest_close,
    opened,
    time_left,
)

CHANGED = "its hours changed"
"""Why a meter that held nothing but a window's time is closed when the window is no more."""


def pending_window(spec: Spec, meter: Meter, now: datetime) -> Window | None:
    """The window of `hours` that is on, if it is its turn to put time on this meter.

    It is not where the meter was ended in this window, nor where it holds enough. A window longer
    than `max_ahead` is put on it piece by piece: enough is half of what it may hold.
    """
    window = _window(spec, now)
    if window is None or meter.removed or _ended_in(window, meter):
        return None
    enough = min(window.end, now + spec.max_ahead / 2)
    return window if latest_close(meter) < enough else None


def give_window(spec: Spec, meter: Meter, window: Window, now: datetime) -> Meter:
    """Give a pending window its turn: the meter holds until its end, as far as `max_ahead` goes.

    A window ends when it ends: there is no start-up credit beyond it.
    """
    until = min(window.end, now + spec.max_ahead)
    if not is_open(meter, now):
        anew = opened(spec, meter, until, now)
        return replace(anew, credit_left=ZERO, windows_until=until, window_since=now)
    since, on_top = latest_close(meter), ZERO
    if meter.window_since is not None and _has_begun(meter, window):
        # Made longer, or its next piece: what people put on top of it is the last of it now.
        since, on_top = meter.window_since, meter.expires_at - max(meter.windows_until, now)
    return replace(
        meter,
        expires_at=until,
        set_at=now,
        credit_left=ZERO,
        windows_until=until - on_top,
        window_since=since,
    )


def trimmed(spec: Spec, meter: Meter, now: datetime) -> Meter:
    """The meter without time that only a window put there and that `hours` have no more.

    What people put on top of the window comes after its end, so it moves with that.
    """
    if meter.window_since is None or not is_open(meter, now):
        return meter
    if now < meter.set_at:  # by a clock ahead of this one, which sees the window on already
        return meter
    window = _window(spec, now)
    end_now = max(now, meter.window_since, now if window is None else window.end)
    if meter.windows_until <= end_now:
        return meter
    expires_at = meter.expires_at - (meter.windows_until - end_now)
    return replace(
        meter,
        expires_at=expires_at,
        set_at=now,
        windows_until=end_now,
        ended=CHANGED if expires_at <= now else "",
    )


def at_change_of_hours(spec: Spec, meter: Meter, now: datetime) -> Decision | None:
    """Take back what only a window put there and its hours say no more; None: nothing of that.

    As for idleness, only the meter changes here; the next look sees to the endpoint.
    """
    fit = trimmed(spec, meter, now)
    if fit == meter:
        return None
    given_back = time_left(meter, now) - time_left(fit, now)
    why = f"its hours changed: {'none' if spec.hours is None else spec.hours.text}"
    # By the version: the same change may be made, taken back, and made again.
    key = f"hours-changed:{meter.version}"
    entry = new_entry(spec, fit, Kind.EDIT, now, why, key=key, amount=-given_back)
    return Decision(Keep(latest_close(fit) + spec.drain), fit, (entry,), check_at=now)


def end(spec: Spec, meter: Meter, now: datetime, why: str) -> Meter:
    """End it, and let the window that is on pass with it, also if it is closed already."""
    if _window(spec, now) is not None:
        meter = replace(pass_over(spec, meter, now), ended=why)
    return eject(meter, now, why)


def pass_over(spec: Spec, meter: Meter, now: datetime) -> Meter:
    """Let the window that is on put nothing on the meter any more: somebody wants it as it is."""
    window = _window(spec, now)
    if window is None:
        return meter
    return replace(meter, windows_until=max(meter.windows_until, window.end))


def held_closed(spec: Spec, meter: Meter, now: datetime) -> bool:
    """Whether it was ended in a window, and so stays closed until the next one or a top-up."""
    return (
        _window(spec, now) is not None
        and not is_open(meter, now)
        and pending_window(spec, meter, now) is None
    )


def _window(spec: Spec, now: datetime) -> Window | None:
    return None if spec.hours is None else spec.hours.window(now)


def _ended_in(window: Window, meter: Meter) -> bool:
    """Whether its turn in this window was ended early, or refused."""
    if not _has_begun(meter, window) or meter.expires_at >= meter.windows_until:
        return False
    # Other hours than those in which it was ended: then the moment tells, not their window's end.
    return meter.windows_until == window.end or meter.expires_at >= window.begin


def _has_begun(meter: Meter, window: Window) -> bool:
    """Whether this window has had a turn, or was refused it."""
    return meter.windows_until > window.begin
