"""Top-ups without a request: the first provisioning, the windows of `hours`, waking prompts.

Each is made once, however often and by however many processes it is called for.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from parkmeter.core import meter as rules
from parkmeter.core import schedule
from parkmeter.core.hours import Hours, Window
from parkmeter.core.journal import Entry, Kind, new_entry
from parkmeter.core.meter import Meter, Spec
from parkmeter.errors import DeviceBusyError
from parkmeter.ports import Budget
from parkmeter.service.reconciler import Reconciler, Update

_DEVICE_RETRY = timedelta(seconds=5)
"""A device may become free at any moment, by an eject that notifies no one who waits for it."""


def provision(reconciler: Reconciler, spec: Spec, initial: timedelta) -> None:
    """Put the first time on a meter that was never used, or was removed.

    Any other meter stays as it is, so this may be repeated. An endpoint whose device is held by
    another stays closed and counts as provisioned.

    Raises:
        StoreBusyError: nothing changed.

    """
    spec = replace(spec, max_top_up=initial, max_ahead=initial)

    def step(meter: Meter, now: datetime) -> Update | None:
        if (meter.version or not initial) and not meter.removed:
            return None
        fresh = replace(meter, removed=False, ended="")
        if not initial:
            return Update(fresh, [])
        key, why = f"provision:{meter.version}", "first provisioning"
        opened = rules.top_up(spec, fresh, initial, now)
        try:
            claim = reconciler.device_claims.claim(spec, opened, now)
        except DeviceBusyError as busy:
            why = f"left closed at first provisioning. {busy.detail}"
            return Update(fresh, [new_entry(spec, fresh, Kind.WARNING, now, why, key=key)])
        entry = new_entry(spec, opened, Kind.TOP_UP, now, why, key=key, amount=initial)
        return Update(opened, [entry], claim=claim)

    reconciler.update(spec, step)


def open_window(reconciler: Reconciler, spec: Spec) -> datetime | None:
    """Put the current window of `hours` on the meter; return when to look at the hours again.

    None: there are no hours. If another endpoint holds the device, this is journaled once and
    retried as long as the window lasts.

    Raises:
        StoreBusyError: nothing changed.

    """
    if (hours := spec.hours) is None:
        return None

    def step(meter: Meter, now: datetime) -> Update | datetime:
        window = schedule.pending_window(spec, meter, now)
        if window is None:
            return hours.next_window(now).begin
        opened = schedule.give_window(spec, meter, window, now)
        try:
            claim = reconciler.device_claims.claim(spec, opened, now)
        except DeviceBusyError as busy:
            why = f"its hours have begun, and it stays closed. {busy.detail}"
            reconciler.note(spec, Kind.WARNING, why, f"hours-busy:{window.begin.isoformat()}")
            return min(now + _DEVICE_RETRY, window.end)
        return Update(opened, [_window_entry(spec, hours, window, meter, opened, now)], claim=claim)

    while isinstance(done := reconciler.update(spec, step), Update):
        pass  # look once more: the next window is known only from the meter as committed
    return done


def wake(
    reconciler: Reconciler, spec: Spec, who: str, budget: Callable[[datetime], Budget | None]
) -> Entry | None:
    """Put `Spec.wake` on a closed meter because of a prompt; `budget` counts it.

    Returns None, and changes nothing, if the meter is open, is not to be woken at all, or was
    ejected in the current window and so stays closed until the next.

    Raises:
        DeviceBusyError, EndpointRemovedError, LimitExceededError, OverBudgetError: refused.
        StoreBusyError: nothing changed.

    """

    def step(meter: Meter, now: datetime) -> Update | None:
        if spec.wake is None or rules.is_open(meter, now):
            return None
        if meter.ended == rules.EJECTED and schedule.held_closed(spec, meter, now):
            return None
        opened = rules.top_up(spec, meter, spec.wake, now)
        entry = new_entry(
            spec,
            opened,
            Kind.TOP_UP,
            now,
            "woken by a prompt",
            key=f"wake:{meter.version}",
            who=who,
            amount=spec.wake,
        )
        claim = reconciler.device_claims.claim(spec, opened, now)
        return Update(opened, [entry], budget(now), claim)

    done = reconciler.update(spec, step)
    if done is None:
        return None
    reconciler.clock.wake(spec.name)
    return done.entries[0]


def _window_entry(  # noqa: PLR0913, PLR0917 (the entry has these facts)
    spec: Spec, hours: Hours, window: Window, read: Meter, opened: Meter, now: datetime
) -> Entry:
    """Return the entry of a window that is put on the meter."""
    gained = rules.time_left(opened, now) - rules.time_left(read, now)
    key = f"hours:{window.begin.isoformat()}"
    if read.windows_until >= window.begin:  # not the first time: a next piece, or made longer
        key += f":{read.version}"
    short = "" if opened.expires_at == window.end else ", as far as max_minutes_ahead allows"
    why = f"its hours ({hours.text}): on until {hours.local(opened.expires_at)}{short}"
    return new_entry(spec, opened, Kind.TOP_UP, now, why, key=key, amount=gained)
