"""The windows of `hours` on a meter: each is used once. Pure.

The meter keeps how far its windows have been used, so that one ended in a window stays closed until
the next, over any restart. It also keeps which time only a window added: that goes with the window,
while time that people bought stays.
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
"""Reason for the close of a meter that held only a window's time, when the window is gone."""


def pending_window(spec: Spec, meter: Meter, now: datetime) -> Window | None:
    """Return the current window of `hours` if it is to put time on this meter now.

    It is not if the meter was ended in this window, or holds enough. A window longer than
    `max_ahead` is added piece by piece: enough is half of what the meter may hold.
    """
    window = _window(spec, now)
    if window is None or meter.removed or _ended_in(window, meter):
        return None
    enough = min(window.end, now + spec.max_ahead / 2)
    return window if latest_close(meter) < enough else None


def give_window(spec: Spec, meter: Meter, window: Window, now: datetime) -> Meter:
    """Use a pending window: the meter holds until its end, as far as `max_ahead` goes.

    A window ends when it ends: there is no start-up credit beyond it.
    """
    until = min(window.end, now + spec.max_ahead)
    if not is_open(meter, now):
        reopened = opened(spec, meter, until, now)
        return replace(reopened, credit_left=ZERO, windows_until=until, window_since=now)
    since, on_top = latest_close(meter), ZERO
    if meter.window_since is not None and _has_begun(meter, window):
        # Made longer, or its next piece: time that people added on top now comes last.
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
    """Return the meter without time that only a window added and that `hours` no longer have.

    Time that people added on top comes after the window's end, so it moves with that.
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
    """Take back time of a window that the hours no longer have; None: there is none.

    As for idleness, only the meter changes here; the next look handles the endpoint.
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
    """End the meter and skip the rest of the current window, even if it is closed already."""
    if _window(spec, now) is not None:
        meter = replace(pass_over(spec, meter, now), ended=why)
    return eject(meter, now, why)


def pass_over(spec: Spec, meter: Meter, now: datetime) -> Meter:
    """Mark the current window as used, so that it does not reopen the meter."""
    window = _window(spec, now)
    if window is None:
        return meter
    return replace(meter, windows_until=max(meter.windows_until, window.end))


def held_closed(spec: Spec, meter: Meter, now: datetime) -> bool:
    """Return whether it was ended in a window: it stays closed until the next one or a top-up."""
    return (
        _window(spec, now) is not None
        and not is_open(meter, now)
        and pending_window(spec, meter, now) is None
    )


def _window(spec: Spec, now: datetime) -> Window | None:
    return None if spec.hours is None else spec.hours.window(now)


def _ended_in(window: Window, meter: Meter) -> bool:
    """Return whether the meter was ended early in this window, or the window was refused."""
    if not _has_begun(meter, window) or meter.expires_at >= meter.windows_until:
        return False
    # Other hours than those in which it was ended: the moment decides, not their window's end.
    return meter.windows_until == window.end or meter.expires_at >= window.begin


def _has_begun(meter: Meter, window: Window) -> bool:
    """Return whether this window was used before, or refused."""
    return meter.windows_until > window.begin
