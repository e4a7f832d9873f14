"""What opens a meter with nobody at it: its first provisioning, its hours, a prompt that wakes it.

Each is done once, however often and by how
many it is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from parkmeter.core import meter as rules
from parkmeter.core import schedule
from parkmeter.core.hours import Hours, Window
from parkmeter.core.journal import Entry, Kind, new_entry
from parkmeter.core.meter import Meter, Spec
from parkmeter.errors import DeviceBusyError, StoreBusyError
from parkmeter.ports import Budget, DuplicateError, StaleError
from parkmeter.service.reconciler import TRIES, Reconciler

_TRY_AGAIN = timedelta(seconds=5)
"""A device may come free at any moment: somebody ejects, and tells nobody who waits for it."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens meters, and has what is opened treated as any other."""

    treatment: Reconciler

    def provision(self, spec: Spec, initial: timedelta) -> None:
        """Put the first time on a meter that was never used, or was removed.

        Any other one stays as it is, so that this may be repeated whenever one likes. An endpoint
        whose device is held by another stays closed, and has had its first provisioning.

        Raises:
            StoreBusyError: nothing changed.

        """
        spec = replace(spec, max_top_up=initial, max_ahead=initial)
        for _ in range(TRIES):
            meter, now = self._read(spec)
            if (meter.version or not initial) and not meter.removed:
                return
            fresh = replace(meter, removed=False, ended="")
            opened, entries, claim = fresh, [], None
            if initial:
                opened = rules.top_up(spec, fresh, initial, now)
                key, why = f"provision:{meter.version}", "first provisioning"
                entries = [new_entry(spec, opened, Kind.TOP_UP, now, why, key=key, amount=initial)]
                try:
                    claim = self.treatment.holding.claim(spec, opened, now)
                except DeviceBusyError as busy:
                    opened = fresh
                    why = f"left closed at first provisioning. {busy.detail}"
                    entries = [new_entry(spec, fresh, Kind.WARNING, now, why, key=key)]
            try:
                self.treatment.commit(opened, entries, claim=claim)
            except (StaleError, DuplicateError):
                continue
            return
        raise StoreBusyError

    def see_to_window(self, spec: Spec) -> datetime | None:
        """Give the window that is on its turn; returns when to look at the hours again.

        None: it has no hours. Where another endpoint holds the device this is journaled once, and
        tried again as long as the window lasts.

        Raises:
            StoreBusyError: nothing changed.

        """
        if spec.hours is None:
            return None
        for _ in range(TRIES):
            meter, now = self._read(spec)
            window = schedule.pending_window(spec, meter, now)
            if window is None:
                return spec.hours.next_window(now).begin
            opened = schedule.give_window(spec, meter, window, now)
            try:
                claim = self.treatment.holding.claim(spec, opened, now)
                entry = _window_line(spec, spec.hours, window, meter, opened, now)
                self.treatment.commit(opened, [entry], claim=claim)
            except DeviceBusyError as busy:
                why = f"its hours have begun, and it stays closed. {busy.detail}"
                self.treatment.warn(spec, why, f"hours-busy:{window.begin.isoformat()}")
                return min(now + _TRY_AGAIN, window.end)
            except (StaleError, DuplicateError):
                continue
        raise StoreBusyError

    def wake(
        self, spec: Spec, who: str, budget: Callable[[datetime], Budget | None]
    ) -> Entry | None:
        """Put `Spec.wake` on a closed meter, because a prompt came; `who` pays, of this budget.

        None, and nothing is changed, where the meter is open or is not to be woken: not at all, or
        not before its next window, because somebody ejected it in this one.

        Raises:
            DeviceBusyError, EndpointRemovedError, LimitExceededError, OverBudgetError: refused.
            StoreBusyError: nothing changed.

        """
        for _ in range(TRIES):
            meter, now = self._read(spec)
            if spec.wake is None or rules.is_open(meter, now):
                return None
            if meter.ended == rules.EJECTED and schedule.held_closed(spec, meter, now):
                return None
            opened = rules.top_up(spec, meter, spec.wake, now)
            why = f"{spec.wake.total_seconds() / 60:g} min, woken by a prompt"
            key = f"wake:{meter.version}"
            entry = new_entry(
                spec, opened, Kind.TOP_UP, now, why, key=key, who=who, amount=spec.wake
            )
            claim = self.treatment.holding.claim(spec, opened, now)
            try:
                committed = self.treatment.commit(opened, [entry], budget(now), claim)
            except (StaleError, DuplicateError):
                continue
            self.treatment.keep(spec, rules.latest_close(committed), committed.version)
            self.treatment.clock.wake(spec.name)
            return entry
        raise StoreBusyError

    def _read(self, spec: Spec) -> tuple[Meter, datetime]:
        return self.treatment.store.load(spec.name), self.treatment.clock.now()


def _window_line(  # noqa: PLR0913, PLR0917 (what there is to tell)
    spec: Spec, hours: Hours, window: Window, read: Meter, opened: Meter, now: datetime
) -> Entry:
    """The line of a window's turn."""
    gained = rules.time_left(opened, now) - rules.time_left(read, now)
    key = f"hours:{window.begin.isoformat()}"
    if read.windows_until >= window.begin:  # not its first turn: the next piece, or made longer
        key += f":{read.version}"
    short = "" if opened.expires_at == window.end else ", as far as max_minutes_ahead allows"
    why = f"its hours ({hours.text}): on until {hours.local(opened.expires_at)}{short}"
    return new_entry(spec, opened, Kind.TOP_UP, now, why, key=key, amount=gained)
