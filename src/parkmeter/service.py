"""The use cases: top-up, eject, status, reconcile, sweep. The only place that orders the ports.

Synchronous and safe from any thread: what must be exclusive is decided by the store's conditional
commit, never by a lock here.
"""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from parkmeter import meter as rules
from parkmeter import reconcile as decisions
from parkmeter.entries import line
from parkmeter.errors import (
    DriverError,
    ExpiryMovedError,
    KeyReusedError,
    StoreBusyError,
    UnknownEndpointError,
)
from parkmeter.journal import KEY_LIFETIME, Entry, Kind, fingerprint
from parkmeter.meter import Meter, Phase, Report, Spec
from parkmeter.ports import (
    Budget,
    Clock,
    Driver,
    DuplicateError,
    Gate,
    Notifier,
    StaleError,
    Store,
    View,
)
from parkmeter.reconcile import Cause, Decision, Keep, Observed, Rest, Start, Stop

log = logging.getLogger(__name__)

_TRIES = 500
"""Each lost race means that somebody else won one; so many in a row is not a race any more."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: `id` keeps the idempotency keys of different callers apart, `name` is journaled."""

    id: str
    name: str
    minutes_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a top-up or an eject; `replayed` if an earlier request had done it already."""

    entry: Entry
    replayed: bool = False


class Service:
    """Everything that can be done with meters."""

    def __init__(  # noqa: PLR0913 (the ports)
        self,
        specs: Mapping[str, Spec],
        *,
        store: Store,
        driver: Driver,
        clock: Clock,
        gate: Gate,
        notifier: Notifier,
    ) -> None:
        self._specs = dict(specs)
        self._store = store
        self._driver = driver
        self._clock = clock
        self._gate = gate
        self._notifier = notifier

    @property
    def names(self) -> list[str]:
        """Every configured endpoint, in the order of the configuration."""
        return list(self._specs)

    # ── What people ask for ─────────────────────────────────────────────────────────────────────

    def top_up(self, name: str, minutes: object, who: Actor, key: str | None = None) -> Answer:
        """Add minutes, once per key.

        Raises:
            UnknownEndpointError, InvalidRequestError, LimitExceededError, OverBudgetError,
            KeyReusedError: refused, nothing changed.
            StoreBusyError: nothing changed; may be sent again with the same key.

        """
        spec = self._spec(name)
        amount = rules.minutes_of(minutes)

        def rule(meter: Meter, now: datetime) -> tuple[Meter, str]:
            return rules.top_up(spec, meter, amount, now), f"{amount.total_seconds() / 60:g} min"

        request = fingerprint("top-up", amount)
        return self._change(spec, Kind.TOP_UP, rule, who, key, request, spends=amount)

    def eject(
        self, name: str, who: Actor, key: str | None = None, seen: datetime | None = None
    ) -> Answer:
        """Give up the remaining time, once per key. Ejecting a closed meter changes nothing on it.

        Raises:
            UnknownEndpointError, KeyReusedError: refused, nothing changed.
            ExpiryMovedError: the stored expiry is not the one that was `seen`.
            StoreBusyError: nothing changed; may be sent again with the same key.

        """
        spec = self._spec(name)

        def rule(meter: Meter, now: datetime) -> tuple[Meter, str]:
            if seen is not None and seen != meter.expires_at:
                raise ExpiryMovedError(meter.expires_at)
            left = rules.span(rules.time_left(meter, now))
            return rules.eject(meter, now), f"{left} given up"

        request = fingerprint("eject", seen)
        return self._change(spec, Kind.EJECT, rule, who, key, request, shortens=True)

    def report(self, name: str) -> Report:
        """How one endpoint is doing. Raises UnknownEndpointError."""
        spec = self._spec(name)
        return Report.of(spec, self._store.load(name), self._clock.now())

    def reports(self) -> list[Report]:
        """How all endpoints are doing, in the order of the configuration."""
        return [self.report(name) for name in self._specs]

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """The newest lines, newest first. Raises UnknownEndpointError."""
        return self._store.journal(self._spec(name).name, limit, before)

    def provision(self, name: str, initial: timedelta) -> None:
        """Put the first time on a meter that was never used; later calls do nothing."""
        meter, now = self._store.load(name), self._clock.now()
        if meter.version != 0 or not initial:
            return
        spec = replace(self._spec(name), max_top_up=initial, max_ahead=initial)
        provisioned = rules.top_up(spec, meter, initial, now)
        entry = line(
            spec,
            provisioned,
            Kind.TOP_UP,
            now,
            "first provisioning",
            key="provision",
            amount=initial,
        )
        try:
            self._commit(provisioned, [entry])
        except (StaleError, DuplicateError):
            log.debug("%s was provisioned by somebody else", name)

    def begin(self) -> None:
        """Tell the gate of every meter before the first prompt asks, and have each looked at."""
        now = self._clock.now()
        for name in self._specs:
            self._gate.show(View.of(self._store.load(name), now))
            self._clock.wake(name)

    # ── What the clock asks for ─────────────────────────────────────────────────────────────────

    def reconcile(self, name: str) -> datetime | None:
        """Do the one next thing for one endpoint; returns when to look again at the latest.

        None: nothing to do until somebody tops up.

        Raises:
            UnknownEndpointError: not configured; the sweep ends what may be left of it.
            StoreBusyError: look again soon.

        """
        return self._treat(self._spec(name), self._decide)

    def sweep(self) -> None:
        """Look at everything that could have been missed.

        Wakes every unsettled meter and everything that exists; stops what we created and is no
        longer configured.
        """
        unsettled = {meter.name for meter in self._store.unsettled()}
        for name in unsettled & self._specs.keys():
            self._clock.wake(name)
        # After that, because a driver that cannot list must not keep the others from being stopped.
        for name in sorted(unsettled.union(self._driver.owned())):
            if name in self._specs:
                self._clock.wake(name)
            else:
                self._remove(Spec(name))

    def park(self) -> list[str]:
        """Stop all endpoints and leave their meters as they are; returns who is still there."""
        present = []
        for name, spec in self._specs.items():
            try:
                gone = self._treat(spec, self._park) is None
            except Exception:
                log.exception("%s could not be stopped", name)
                gone = False
            if not gone:
                present.append(name)
        return present

    def clock_jumped(self, by: timedelta) -> None:
        """Journal a jump of the wall clock on every meter it concerns."""
        now = self._clock.now()
        why = f"the wall clock jumped by {by.total_seconds():+.1f} s"
        for meter in self._store.unsettled():
            spec = self._specs.get(meter.name, Spec(meter.name))
            entry = line(spec, meter, Kind.CLOCK, now, why, key=f"clock:{now.isoformat()}")
            try:
                self._commit(meter, [entry])
            except (StaleError, DuplicateError):
                log.warning("%s: %s (not journaled, the meter was changing)", meter.name, why)

    # ── Inside ──────────────────────────────────────────────────────────────────────────────────

    def _spec(self, name: str) -> Spec:
        spec = self._specs.get(name)
        if spec is None:
            raise UnknownEndpointError(name, self._specs)
        return spec

    def _change(  # noqa: PLR0913, PLR0917 (one request's facts)
        self,
        spec: Spec,
        kind: Kind,
        rule: Callable[[Meter, datetime], tuple[Meter, str]],
        who: Actor,
        key: str | None,
        request: str,
        *,
        spends: timedelta | None = None,
        shortens: bool = False,
    ) -> Answer:
        """One change that a person asked for: recomputed until it is committed, once per key."""
        scoped = f"{who.id}:{key or secrets.token_hex(16)}"
        first = self._store.entry(spec.name, scoped, self._clock.now() - KEY_LIFETIME)
        if first is not None:
            return _replay(first, request)
        for _ in range(_TRIES):
            meter, now = self._store.load(spec.name), self._clock.now()
            changed, why = rule(meter, now)
            gained = rules.time_left(changed, now) - rules.time_left(meter, now)
            entry = line(
                spec,
                changed,
                kind,
                now,
                why,
                key=scoped,
                who=who.name,
                amount=gained,
                request=request,
            )
            moved = changed.expires_at != meter.expires_at
            if moved and shortens:
                # Before the commit: killed right after it, nobody would be left to tell the leash.
                # At the version that was read, so that whoever commits first has the last word.
                self._keep(spec, changed.expires_at + spec.drain, meter.version)
            try:
                committed = self._commit(changed, [entry], _budget(who, spends, now))
            except StaleError:
                continue
            except DuplicateError as duplicate:
                return _replay(duplicate.entry, request)
            except Exception:
                if moved and shortens:
                    self._keep(spec, rules.latest_close(meter), meter.version)
                raise
            if moved:  # or a drain that is under way would be cut short
                self._keep(spec, rules.latest_close(committed), committed.version)
            self._clock.wake(spec.name)
            return Answer(entry)
        raise StoreBusyError

    def _keep(self, spec: Spec, until: datetime, version: int) -> None:
        try:
            self._driver.keep(spec, until, version)
        except DriverError as error:
            # The time is on the meter; the reconcile that is woken now keeps it again.
            log.warning("%s: the new expiry did not reach the endpoint yet: %s", spec.name, error)

    def _treat(
        self, spec: Spec, next_thing: Callable[[Spec, Meter, Observed], Decision]
    ) -> datetime | None:
        for _ in range(_TRIES):
            meter = self._store.load(spec.name)
            seen = True
            try:
                decision = next_thing(spec, meter, self._driver.observe(spec))
            except DriverError as error:
                seen = False
                decision = decisions.trouble(spec, meter, error.detail, self._clock.now())
            try:
                committed = self._record(meter, decision)
                refused = self._act(spec, committed, decision.action)
                if refused is not None:
                    self._record(committed, refused)
                elif seen and committed.run.trouble:
                    self._commit(decisions.untroubled(committed), [])
            except StaleError:
                continue
            return (refused or decision).check_at
        raise StoreBusyError

    def _decide(self, spec: Spec, meter: Meter, observed: Observed) -> Decision:
        # The time first: whom the gate admits after it is then counted, or comes too late.
        now = self._clock.now()
        return decisions.decide(spec, meter, observed, self._gate.in_flight(spec.name), now)

    def _remove(self, spec: Spec) -> None:
        """End what is left of an endpoint that is no longer configured; its time stays."""

        def next_thing(spec: Spec, meter: Meter, observed: Observed) -> Decision:
            if rules.is_open(meter, self._clock.now()):
                return self._park(spec, meter, observed)
            return self._decide(spec, meter, observed)

        self._treat(spec, next_thing)

    def _park(self, spec: Spec, meter: Meter, observed: Observed) -> Decision:
        return decisions.park(spec, meter, observed, self._clock.now())

    def _record(self, read: Meter, decision: Decision) -> Meter:
        """Commit what was decided, if it changes anything."""
        unchanged = decision.meter == read and not decision.entries
        # A stop is committed even if it changes nothing: at a version that somebody topped up
        # meanwhile it must not be carried out.
        if unchanged and not isinstance(decision.action, Stop):
            self._gate.show(View.of(read, self._clock.now()))
            return read
        entries = list(decision.entries)
        while True:
            try:
                return self._commit(decision.meter, entries)
            except DuplicateError as duplicate:
                # Journaled already, by us or by another clock: once is enough.
                entries = [entry for entry in entries if entry.key != duplicate.entry.key]

    def _act(self, spec: Spec, meter: Meter, action: Start | Keep | Stop | Rest) -> Decision | None:
        """Carry an intent out; what the driver refuses comes back as the decision that follows."""
        try:
            match action:
                case Start(variant, until):
                    self._driver.start(spec, variant, until, meter.version)
                case Keep(until):
                    self._driver.keep(spec, until, meter.version)
                case Stop():
                    self._driver.stop(spec)
                case Rest():
                    pass
                case _:
                    assert_never(action)
        except DriverError as error:
            now = self._clock.now()
            if isinstance(action, Start):
                cause = Cause.CAPACITY if error.capacity else Cause.OTHER
                seen = Observed(Phase.FAILED, error.detail, cause=cause)
                return decisions.start_refused(spec, meter, seen, now)
            return decisions.trouble(spec, meter, error.detail, now)
        return None

    def _commit(
        self, meter: Meter, entries: Sequence[Entry], budget: Budget | None = None
    ) -> Meter:
        committed = self._store.commit(meter, entries, budget)
        self._gate.show(View.of(committed, self._clock.now()))
        for entry in entries:
            try:
                self._notifier.send(entry)
            except Exception:
                log.exception("%s: nobody was told of: %s", meter.name, entry.why)
        return committed


def _replay(first: Entry, request: str) -> Answer:
    if first.request != request:
        raise KeyReusedError
    return Answer(first, replayed=True)


def _budget(who: Actor, spends: timedelta | None, now: datetime) -> Budget | None:
    if who.minutes_per_day is None or spends is None:
        return None
    return Budget(who.id, now.date(), spends.total_seconds() / 60, who.minutes_per_day)
