"""Changes people make to a meter, each once: a request, an expiry set by hand, a removal."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from parkmeter.core import meter as rules
from parkmeter.core import schedule
from parkmeter.core.journal import KEY_LIFETIME, Entry, Kind, new_entry
from parkmeter.core.meter import Meter, Spec
from parkmeter.core.time_text import utc
from parkmeter.errors import DeviceBusyError, KeyReusedError
from parkmeter.ports import Budget
from parkmeter.service.reconciler import Reconciler, Update

_RECENT_ENTRIES = 100
"""A published expiry that equals that of one of these entries is our own, published late."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of a change. `id` separates idempotency keys; `name` goes into the journal."""

    id: str
    name: str
    minutes_per_day: float | None = None

    def budget(self, gained: timedelta, now: datetime) -> Budget | None:
        """Return the budget that a change adding `gained` counts against, if any."""
        if self.minutes_per_day is None or gained <= rules.ZERO:
            return None
        return Budget(self.id, now.date(), gained.total_seconds() / 60, self.minutes_per_day)


@dataclass(frozen=True, slots=True)
class Change:
    """A request to change a meter.

    `rule` returns the changed meter and the reason, for the meter read at each try. `request`
    distinguishes it from any other request under the same key; `key` None: it is never repeated.
    """

    kind: Kind
    rule: Callable[[Meter, datetime], tuple[Meter, str]]
    actor: Actor
    key: str | None
    request: str


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """The journal entry of a change; `replayed` if an earlier request had made it."""

    entry: Entry
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """An expiry edited outside parkmeter; `id` is unique, so that it is adopted once."""

    id: str
    at: datetime
    who: str


def change(reconciler: Reconciler, spec: Spec, wanted: Change) -> ChangeResult:
    """Make one change, once per key of its actor.

    Raises:
        KeyReusedError, OverBudgetError, DeviceBusyError, what the rule raises: refused.
        StoreBusyError, EndpointUnreachableError: nothing changed; may be sent again with the same
            key.

    """
    actor, key = wanted.actor, key_of(wanted)

    def step(meter: Meter, now: datetime) -> Update | ChangeResult:
        if wanted.key is not None:  # a generated one is in no journal
            first = reconciler.store.entry(spec.name, key, now - KEY_LIFETIME)
            if first is not None:
                return replay(first, wanted.request)
        changed, why = wanted.rule(meter, now)
        gained = rules.time_left(changed, now) - rules.time_left(meter, now)
        entry = new_entry(
            spec,
            changed,
            wanted.kind,
            now,
            why,
            key=key,
            who=actor.name,
            amount=gained,
            request=wanted.request,
        )
        claim = reconciler.device_claims.claim(spec, changed, now)
        return Update(changed, [entry], actor.budget(gained, now), claim)

    done = reconciler.update(spec, step)
    if isinstance(done, ChangeResult):
        return done
    reconciler.clock.wake(spec.name)
    return ChangeResult(done.entries[0])


def key_of(wanted: Change) -> str:
    """Return the journal's key of a change: its actor's, or a new one."""
    own = secrets.token_hex(16) if wanted.key is None else wanted.key
    return f"{wanted.actor.id}:{own}"


def replay(first: Entry, request: str) -> ChangeResult:
    """Return the result of a repeated request. Raises KeyReusedError if it is another one."""
    if first.request != request:
        raise KeyReusedError
    return ChangeResult(first, replayed=True)


def adopt(reconciler: Reconciler, spec: Spec, seen: datetime, edit: Edit) -> datetime:
    """Adopt an expiry that was found where parkmeter publishes its own; return the valid one.

    `seen` is in whole seconds. It is ignored if a recent journal entry resulted in it (our own,
    published late), if it is older than the opening of the meter, or if another endpoint holds the
    device. Otherwise it becomes the meter's expiry, once, within the limits, and is journaled.

    Raises:
        StoreBusyError: nothing changed.

    """
    store, name, key = reconciler.store, spec.name, f"edit:{edit.id}"

    def step(meter: Meter, now: datetime) -> Update | datetime:
        if edit.at < meter.opened_at or store.entry(name, key, now - KEY_LIFETIME):
            return meter.expires_at
        recent = {entry.expires_at for entry in store.journal(name, _RECENT_ENTRIES)}
        if seen in {expiry.replace(microsecond=0) for expiry in recent | {meter.expires_at}}:
            return meter.expires_at
        changed = rules.set_expiry(spec, meter, seen, now)
        if changed == meter:
            return meter.expires_at
        changed = schedule.pass_over(spec, changed, now)
        why = f"set to {utc(seen)} by hand"
        try:
            claim = reconciler.device_claims.claim(spec, changed, now)
        except DeviceBusyError as busy:
            why = f"{why}: refused, {busy.data['endpoint']} holds {spec.device}"
            reconciler.note(spec, Kind.WARNING, why, f"edit-refused:{edit.id}")
            return meter.expires_at
        if changed.expires_at != seen:
            why = f"{why}; kept within the limits"
        gained = rules.time_left(changed, now) - rules.time_left(meter, now)
        entry = new_entry(spec, changed, Kind.EDIT, now, why, key=key, who=edit.who, amount=gained)
        return Update(changed, [entry], claim=claim)

    done = reconciler.update(spec, step)
    return done.meter.expires_at if isinstance(done, Update) else done


def remove(reconciler: Reconciler, spec: Spec) -> None:
    """Remove a meter for good: it closes now, and no time can be added. May be repeated.

    Raises:
        StoreBusyError: nothing changed.

    """

    def step(meter: Meter, now: datetime) -> Update | None:
        if meter.removed:
            return None
        removed = rules.remove(meter, now)
        key, why = f"remove:{meter.version}", "its deployment was removed"
        return Update(removed, [new_entry(spec, removed, Kind.REMOVE, now, why, key=key)])

    reconciler.update(spec, step)
