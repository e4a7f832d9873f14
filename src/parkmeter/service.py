"""The use cases: top-up, eject, status, reconcile, sweep. With `treatment`, what orders the ports.

Synchronous and safe from any thread: what must be exclusive is decided by the store's conditional
commit, never by a lock here.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from parkmeter import meter as rules
from parkmeter import reconcile as decisions
from parkmeter import schedule
from parkmeter.decision import Decision, Observed, Rest
from parkmeter.entries import line
from parkmeter.errors import (
    DeviceBusyError,
    ExpiryMovedError,
    InvalidRequestError,
    KeyReusedError,
    LimitExceededError,
    StoreBusyError,
    UnknownEndpointError,
)
from parkmeter.extending import Offer, check_offer
from parkmeter.history import lines_after, lines_of
from parkmeter.holding import Holding
from parkmeter.journal import KEY_LIFETIME, Entry, Kind, fingerprint
from parkmeter.meter import Meter, Phase, Spec
from parkmeter.money import wanted
from parkmeter.opening import Opening
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
from parkmeter.receipt import Receipt
from parkmeter.receipt import receipt as receipt_of
from parkmeter.report import Report
from parkmeter.treatment import TRIES, Treatment

log = logging.getLogger(__name__)

_RECENT_LINES = 100
"""So far back an expiry that was published late is known for our own."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: `id` keeps the idempotency keys of different callers apart, `name` is journaled."""

    id: str
    name: str
    minutes_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """A change that somebody made by hand.

    `id` tells it from every other one: who finds it again must not carry it out again.
    """

    id: str
    at: datetime
    who: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a top-up or an eject; `replayed` if an earlier request had done it already."""

    entry: Entry
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class _Leaving:
    """An endpoint that is configured no more: how it was, and since when it is not."""

    spec: Spec
    since: datetime


class Service:
    """Everything that can be done with meters.

    Every endpoint it knows is in one mapping that `configure` replaces whole, so that whoever
    reads it sees the old configuration or the new one.
    """

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
        self._leaving: dict[str, _Leaving] = {}
        self._store = store
        self._driver = driver
        self._clock = clock
        self._gate = gate
        self._holding = Holding(store, lambda: self._specs)
        self._treatment = Treatment(store, driver, clock, gate, notifier, self._holding)
        self._opening = Opening(self._treatment)

    @property
    def names(self) -> list[str]:
        """Every configured endpoint, in the order of the configuration."""
        return list(self._specs)

    def configure(self, specs: Mapping[str, Spec]) -> None:
        """From now on these are the endpoints. Not from several threads at once.

        Those that are not among them any more are ended: what is in flight gets its drain first.
        Their meters keep their time, should they come back. `begin` tells the gate of new ones.
        """
        now = self._clock.now()
        leaving = {
            name: _Leaving(spec, now) for name, spec in self._specs.items() if name not in specs
        }
        known = self._leaving | leaving
        self._leaving = {name: known[name] for name in known if name not in specs}
        self._specs = dict(specs)
        for name in leaving:
            self._clock.wake(name)

    # ── What people ask for ─────────────────────────────────────────────────────────────────────

    def top_up(self, name: str, minutes: object, who: Actor, key: str | None = None) -> Answer:
        """Add minutes, or as many as `money.Dollars` buy at the present price, once per key.

        Raises:
            UnknownEndpointError, InvalidRequestError, LimitExceededError, PriceUnknownError,
            OverBudgetError, DeviceBusyError, KeyReusedError: refused, nothing changed.
            StoreBusyError: nothing changed; may be sent again with the same key.

        """
        spec, asked = self._spec(name), wanted(minutes)

        def rule(meter: Meter, now: datetime) -> tuple[Meter, str]:
            # Not before: sent again, it is what it was, whatever an hour costs by then.
            amount = asked.buys(spec, meter)
            try:
                return rules.top_up(spec, meter, amount, now), asked.told(amount)
            except LimitExceededError as over:
                raise asked.refused(over, spec, meter) from None

        return self._change(spec, Kind.TOP_UP, rule, who, key, fingerprint("top-up", asked))

    def extend(self, offer: Offer, who: Actor) -> Answer:
        """Add what a link offers, once: whoever was warned wants it to go on.

        Raises:
            LinkLateError, LinkOutdatedError: the meter is not as it was warned of any more.
            Others: as `top_up`.

        """
        spec, amount = self._spec(offer.endpoint), offer.amount

        def rule(meter: Meter, now: datetime) -> tuple[Meter, str]:
            self._check(offer, meter, now)
            return rules.top_up(spec, meter, amount, now), f"{amount.total_seconds() / 60:g} min"

        request = fingerprint("extend", amount)
        return self._change(spec, Kind.TOP_UP, rule, who, offer.key, request)

    def offered(self, offer: Offer) -> Report:
        """How the endpoint of a link is doing, if the link could be used now.

        Raises:
            UnknownEndpointError, LinkLateError, LinkOutdatedError: it could not.

        """
        report = self.report(offer.endpoint)
        self._check(offer, report.meter, report.at)
        return report

    def _check(self, offer: Offer, meter: Meter, now: datetime) -> None:
        # Read after the meter: what came between the two makes the commit stale.
        check_offer(offer, meter, lines_after(self._store, offer.endpoint, offer.warning), now)

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
            return schedule.end(spec, meter, now, rules.EJECTED), f"{left} given up"

        request = fingerprint("eject", seen)
        return self._change(spec, Kind.EJECT, rule, who, key, request, shortens=True)

    def adopt(self, name: str, seen: datetime, edit: Edit) -> datetime:
        """Take over an expiry that was found where ours is published; returns the one that holds.

        `seen` is in whole seconds. One that a recent line of the journal resulted in is our own,
        published late, and nobody's wish; so is one from before the meter was opened. Any other is
        somebody's: once, within the limits, and unless another endpoint holds the device, it
        becomes the meter's, and is journaled.

        Raises:
            UnknownEndpointError, StoreBusyError: nothing changed.

        """
        spec, key = self._spec(name), f"edit:{edit.id}"
        for _ in range(TRIES):
            meter, now = self._store.load(name), self._clock.now()
            if edit.at < meter.opened_at or self._store.entry(name, key, now - KEY_LIFETIME):
                return meter.expires_at
            recent = {entry.expires_at for entry in self._store.journal(name, _RECENT_LINES)}
            if seen in {expiry.replace(microsecond=0) for expiry in recent | {meter.expires_at}}:
                return meter.expires_at
            changed = rules.set_expiry(spec, meter, seen, now)
            if changed == meter:
                return meter.expires_at
            changed = schedule.pass_over(spec, changed, now)
            gained = rules.time_left(changed, now) - rules.time_left(meter, now)
            why = f"set to {seen:%Y-%m-%d %H:%M:%S} UTC by hand"
            entry = line(
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
                claim = self._holding.claim(spec, changed, now)
                return self._treatment.commit(changed, [entry], claim=claim).expires_at
            except DeviceBusyError as busy:
                held = f"{why}: refused, {busy.data['endpoint']} holds {spec.device}"
                self.warn(name, held, f"edit-refused:{edit.id}")
                return meter.expires_at
            except (StaleError, DuplicateError):
                continue
        raise StoreBusyError

    def warn(self, name: str, why: str, key: str) -> None:
        """Journal something that people should know of, once per key; the meter stays as it is."""
        self._treatment.warn(self._spec(name), why, key)

    def report(self, name: str) -> Report:
        """How one endpoint is doing. Raises UnknownEndpointError."""
        spec = self._spec(name)
        return Report.of(spec, self._store.load(name), self._clock.now())

    def reports(self) -> list[Report]:
        """How all endpoints are doing, in the order of the configuration; asks the store once."""
        specs = self._specs  # once: a reload replaces it
        meters, now = self._store.meters(specs), self._clock.now()
        return [Report.of(spec, meters[name], now) for name, spec in specs.items()]

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """The newest lines, newest first. Raises UnknownEndpointError."""
        return self._store.journal(self._spec(name).name, limit, before)

    def receipt(
        self, name: str, begin: datetime | None = None, end: datetime | None = None
    ) -> Receipt:
        """What an endpoint cost from `begin` (None: the first line) to `end` (None: now).

        What has not happened yet is on no receipt: a later end is now. Nor is what was before the
        journal's first line: an endpoint that was not there saved nobody anything.

        Raises:
            UnknownEndpointError, InvalidRequestError: refused.

        """
        report = self.report(name)
        end = report.at if end is None else min(end, report.at)
        if begin is not None and begin > end:
            raise InvalidRequestError("The receipt must begin before it ends.", field="from")
        first = self._store.journal(name, 1, before=2)
        known_since = min(first[0].at, end) if first else end
        begin = known_since if begin is None else max(begin, known_since)
        lines = lines_of(self._store, name, begin, end)
        return receipt_of(lines, name, report.price.per_hour, begin, end)

    def provision(self, name: str, initial: timedelta) -> None:
        """Put the first time on a meter; see `Opening.provision`."""
        self._opening.provision(self._spec(name), initial)

    def wake(self, name: str, who: Actor) -> Entry | None:
        """Have a prompt put `wake_minutes` on a closed meter; see `Opening.wake`.

        Raises:
            UnknownEndpointError: refused; others as there.

        """
        spec = self._spec(name)
        gained = spec.wake or rules.ZERO
        return self._opening.wake(spec, who.name, lambda now: _budget(who, gained, now))

    def remove(self, name: str) -> None:
        """Take an endpoint away for good, configured or not: it ends now, and takes no more time.

        Reconciling then brings it to its end. May be repeated.

        Raises:
            StoreBusyError: nothing changed.

        """
        spec = self._specs.get(name, Spec(name))
        for _ in range(TRIES):
            meter, now = self._store.load(name), self._clock.now()
            if meter.removed:
                return
            removed = rules.remove(meter, now)
            key = f"remove:{meter.version}"
            entry = line(spec, removed, Kind.REMOVE, now, "its deployment is taken away", key=key)
            try:
                self._treatment.commit(removed, [entry])
            except (StaleError, DuplicateError):
                continue
            return
        raise StoreBusyError

    def begin(self) -> None:
        """Tell the gate of every meter before the first prompt asks, and have each looked at."""
        now = self._clock.now()
        for name, meter in self._store.meters(self._specs).items():
            self._gate.show(View.of(meter, now))
            self._clock.wake(name)

    # ── What the clock asks for ─────────────────────────────────────────────────────────────────

    def reconcile(self, name: str, read: Meter | None = None) -> datetime | None:
        """Do the one next thing for one endpoint; returns when to look again at the latest.

        `read`: its meter, where many were read at once a moment ago; otherwise it is read here.
        None: nothing to do until somebody tops up. A window of its hours that has begun is given
        its turn first. What is left of an endpoint that is no longer configured is ended; its meter
        keeps its time.

        Raises:
            StoreBusyError: look again soon.

        """
        spec = self._specs.get(name)
        if spec is None:
            left = self._leaving.get(name)
            spec = left.spec if left else Spec(name)
            return self._treatment.treat(spec, self._end_unconfigured, read)
        if spec.hours is None:
            return self._treatment.treat(spec, self._treatment.decide, read)
        turn = self._turn(spec)
        again = self._treatment.treat(spec, self._treatment.decide)  # read anew
        return min(filter(None, (turn, again)), default=None)

    def _turn(self, spec: Spec) -> datetime | None:
        """See to its window; what goes wrong with that must not keep the clock from stopping it."""
        try:
            return self._opening.see_to_window(spec)
        except Exception:
            log.exception("the hours of %s could not be seen to; tried again", spec.name)
            return self._clock.now() + timedelta(seconds=1)

    def sweep(self) -> None:
        """Wake everything that could have been missed: every unsettled meter and all that exists.

        Raises:
            DriverError: what exists cannot be listed; the meters have been woken.

        """
        unsettled = set(self._store.unsettled())
        for name in unsettled:
            self._clock.wake(name)
        # After that, because a driver that cannot list must not keep the others from being stopped.
        for name in set(self._driver.owned()) - unsettled:
            self._clock.wake(name)

    def park(self) -> list[str]:
        """Stop all endpoints and leave their meters as they are; returns who is still there."""
        present = []
        leaving = {name: left.spec for name, left in self._leaving.items()}
        for name, spec in (leaving | self._specs).items():
            try:
                gone = self._treatment.treat(spec, self._leave) is None
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
        for name in self._store.unsettled():
            spec, meter = self._specs.get(name, Spec(name)), self._store.load(name)
            entry = line(spec, meter, Kind.CLOCK, now, why, key=f"clock:{now.isoformat()}")
            try:
                self._treatment.commit(meter, [entry])
            except (StaleError, DuplicateError):
                log.warning("%s: %s (not journaled, the meter was changing)", name, why)

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
        shortens: bool = False,
    ) -> Answer:
        """One change that a person asked for: recomputed until it is committed, once per key."""
        scoped = f"{who.id}:{secrets.token_hex(16) if key is None else key}"
        if key is not None:  # one that was made up just now is nobody's
            first = self._store.entry(spec.name, scoped, self._clock.now() - KEY_LIFETIME)
            if first is not None:
                return _replay(first, request)
        for _ in range(TRIES):
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
            claim = self._holding.claim(spec, changed, now)
            moved = changed.expires_at != meter.expires_at
            if moved and shortens:
                # Before the commit: killed right after it, nobody would be left to tell the leash.
                # At the version that was read, so that whoever commits first has the last word.
                self._treatment.keep(spec, changed.expires_at + spec.drain, meter.version)
            try:
                budget = _budget(who, gained, now)
                committed = self._treatment.commit(changed, [entry], budget, claim)
            except StaleError:
                continue
            except DuplicateError as duplicate:
                return _replay(duplicate.entry, request)
            except Exception:
                if moved and shortens:
                    self._treatment.keep(spec, rules.latest_close(meter), meter.version)
                raise
            if moved:  # or a drain that is under way would be cut short
                self._treatment.keep(spec, rules.latest_close(committed), committed.version)
            self._clock.wake(spec.name)
            return Answer(entry)
        raise StoreBusyError

    def _end_unconfigured(self, spec: Spec, meter: Meter, observed: Observed) -> Decision:
        now = self._clock.now()
        if rules.is_open(meter, now):
            left = self._leaving.get(spec.name)
            begun = meter.run.phase is Phase.STOPPING or observed.phase is Phase.STOPPING
            if left and not begun and self._gate.in_flight(spec.name):
                drained = left.since + spec.drain
                if now < drained:
                    return Decision(Rest(), meter, check_at=min(drained, now + decisions.SOON))
            return decisions.park(spec, meter, observed, decisions.UNCONFIGURED, now)
        return self._treatment.decide(spec, meter, observed)

    def _leave(self, spec: Spec, meter: Meter, observed: Observed) -> Decision:
        return decisions.park(spec, meter, observed, decisions.PARKED, self._clock.now())


def _replay(first: Entry, request: str) -> Answer:
    if first.request != request:
        raise KeyReusedError
    return Answer(first, replayed=True)


def _budget(who: Actor, gained: timedelta, now: datetime) -> Budget | None:
    if who.minutes_per_day is None or gained <= rules.ZERO:
        return None
    return Budget(who.id, now.date(), gained.total_seconds() / 60, who.minutes_per_day)
