"""What somebody changes on a meter: a request with its key, an expiry set by hand. Each once."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from parkmeter.core import meter as rules
from parkmeter.core import schedule
from parkmeter.core.journal import KEY_LIFETIME, Entry, Kind, new_entry
from parkmeter.core.meter import Meter, Spec
from parkmeter.core.time_text import utc
from parkmeter.errors import DeviceBusyError, KeyReusedError, StoreBusyError
from parkmeter.ports import Budget, DuplicateError, StaleError
from parkmeter.service.reconciler import TRIES, Reconciler

_RECENT_LINES = 100
"""So far back an expiry that was published late is known for our own."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: `id` keeps the idempotency keys of different callers apart, `name` is journaled."""

    id: str
    name: str
    minutes_per_day: float | None = None

    def budget(self, gained: timedelta, now: datetime) -> Budget | None:
        """What a change that adds `gained` is to be counted against; None: against nothing."""
        if self.minutes_per_day is None or gained <= rules.ZERO:
            return None
        return Budget(self.id, now.date(), gained.total_seconds() / 60, self.minutes_per_day)


@dataclass(frozen=True, slots=True)
class Change:
    """What is asked for, and by whom.

    `rule` makes the changed meter and says why, from what is read at each try. `request` tells
    what was asked from anything else under the same key; `key` None: it is never sent again.
    """

    kind: Kind
    rule: Callable[[Meter, datetime], tuple[Meter, str]]
    who: Actor
    key: str | None
    request: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a change; `replayed` if an earlier request had done it already."""

    entry: Entry
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """A change that somebody made by hand.

    `id` tells it from every other one: who finds it again must not carry it out again.
    """

    id: str
    at: datetime
    who: str


@dataclass(frozen=True, slots=True)
class Changing:
    """Changes meters for people: recomputed until it is committed."""

    treatment: Reconciler

    def change(self, spec: Spec, asked: Change) -> Answer:
        """One change, once per key of whoever asks.

        Raises:
            KeyReusedError, OverBudgetError, DeviceBusyError, what the rule raises: refused.
            StoreBusyError: nothing changed; may be sent again with the same key.

        """
        store, who = self.treatment.store, asked.who
        scoped = f"{who.id}:{secrets.token_hex(16) if asked.key is None else asked.key}"
        if asked.key is not None:  # one that was made up just now is nobody's
            first = store.entry(spec.name, scoped, self.treatment.clock.now() - KEY_LIFETIME)
            if first is not None:
                return _replay(first, asked.request)
        for _ in range(TRIES):
            meter, now = store.load(spec.name), self.treatment.clock.now()
            changed, why = asked.rule(meter, now)
            gained = rules.time_left(changed, now) - rules.time_left(meter, now)
            entry = new_entry(
                spec,
                changed,
                asked.kind,
                now,
                why,
                key=scoped,
                who=who.name,
                amount=gained,
                request=asked.request,
            )
            try:
                self._commit(spec, meter, changed, entry, who.budget(gained, now))
            except StaleError:
                continue
            except DuplicateError as duplicate:
                return _replay(duplicate.entry, asked.request)
            self.treatment.clock.wake(spec.name)
            return Answer(entry)
        raise StoreBusyError

    def _commit(
        self,
        spec: Spec,
        read: Meter,
        changed: Meter,
        entry: Entry,
        budget: Budget | None,
    ) -> None:
        """Commit, and tell the leash."""
        treatment = self.treatment
        claim = treatment.holding.claim(spec, changed, entry.at)
        with treatment.told_before(spec, read, changed):
            committed = treatment.commit(changed, [entry], budget, claim)
        if changed.expires_at != read.expires_at:  # or a drain that is under way would be cut short
            treatment.keep(spec, rules.latest_close(committed), committed.version)

    def adopt(self, spec: Spec, seen: datetime, edit: Edit) -> datetime:
        """Take over an expiry that was found where ours is published; returns the one that holds.

        `seen` is in whole seconds. One that a recent line of the journal resulted in is our own,
        published late, and nobody's wish; so is one from before the meter was opened. Any other is
        somebody's: once, within the limits, and unless another endpoint holds the device, it
        becomes the meter's, and is journaled.

        Raises:
            StoreBusyError: nothing changed.

        """
        treatment, store = self.treatment, self.treatment.store
        name, key = spec.name, f"edit:{edit.id}"
        for _ in range(TRIES):
            meter, now = store.load(name), treatment.clock.now()
            if edit.at < meter.opened_at or store.entry(name, key, now - KEY_LIFETIME):
                return meter.expires_at
            recent = {entry.expires_at for entry in store.journal(name, _RECENT_LINES)}
            if seen in {expiry.replace(microsecond=0) for expiry in recent | {meter.expires_at}}:
                return meter.expires_at
            changed = rules.set_expiry(spec, meter, seen, now)
            if changed == meter:
                return meter.expires_at
            changed = schedule.pass_over(spec, changed, now)
            gained = rules.time_left(changed, now) - rules.time_left(meter, now)
            why = f"set to {utc(seen)} by hand"
            entry = new_entry(
                spec,
                changed,
                Kind.EDIT,
                now,
                why if changed.expires_at == seen else f"{why}; kept within the limits",
                key=key,
                who=edit.who,
                amount=gained,
            )
            try:
                claim = treatment.holding.claim(spec, changed, now)
                return treatment.commit(changed, [entry], claim=claim).expires_at
            except DeviceBusyError as busy:
                held = f"{why}: refused, {busy.data['endpoint']} holds {spec.device}"
                treatment.warn(spec, held, f"edit-refused:{edit.id}")
                return meter.expires_at
            except (StaleError, DuplicateError):
                continue
        raise StoreBusyError


def _replay(first: Entry, request: str) -> Answer:
    if first.request != request:
        raise KeyReusedError
    return Answer(first, replayed=True)
