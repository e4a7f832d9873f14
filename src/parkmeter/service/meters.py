"""The use cases: top-up, eject, status, reconcile, sweep. The face of what orders the ports.

Behind it: `changing`, what people change; `opening`, what opens a meter with nobody at it;
`leaving`, what is configured no more; `treatment`, what becomes of every decision.

Synchronous and safe from any thread: what must be exclusive is decided by the store's conditional
commit, never by a lock here.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from parkmeter.core import decide as decisions
from parkmeter.core import meter as rules
from parkmeter.core import schedule
from parkmeter.core.decision import Decision, Observed
from parkmeter.core.extend_link import Offer, check_offer
from parkmeter.core.journal import Entry, Kind, fingerprint, new_entry
from parkmeter.core.journal_reader import lines_after, lines_of
from parkmeter.core.meter import Meter, Spec
from parkmeter.core.money import Dollars, Minutes
from parkmeter.core.receipt import Receipt
from parkmeter.core.receipt import receipt as receipt_of
from parkmeter.core.report import Report
from parkmeter.core.time_text import duration
from parkmeter.core.view import View
from parkmeter.errors import (
    ExpiryMovedError,
    InvalidRequestError,
    LimitExceededError,
    StoreBusyError,
    UnknownEndpointError,
)
from parkmeter.ports import (
    Clock,
    Driver,
    DuplicateError,
    Gate,
    Notifier,
    StaleError,
    Store,
)
from parkmeter.service.auto_top_ups import Opening
from parkmeter.service.changes import Actor, Answer, Change, Changing, Edit
from parkmeter.service.device_claims import DeviceClaims
from parkmeter.service.reconciler import TRIES, Reconciler
from parkmeter.service.unconfigured import Leaving

log = logging.getLogger(__name__)


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
        self._store = store
        self._driver = driver
        self._clock = clock
        self._gate = gate
        self._holding = DeviceClaims(store, lambda: self._specs)
        self._treatment = Reconciler(store, driver, clock, gate, notifier, self._holding)
        self._changing = Changing(self._treatment)
        self._opening = Opening(self._treatment)
        self._leaving = Leaving(self._treatment)

    @property
    def names(self) -> list[str]:
        """Every configured endpoint, in the order of the configuration."""
        return list(self._specs)

    def configure(self, specs: Mapping[str, Spec]) -> None:
        """From now on these are the endpoints. Not from several threads at once.

        Those that are not among them any more are ended: what is in flight gets its drain first.
        Their meters keep their time, should they come back. `begin` tells the gate of new ones.
        """
        left = self._leaving.configured(self._specs, specs)
        self._specs = dict(specs)
        for name in left:
            self._clock.wake(name)

    # ── What people ask for ─────────────────────────────────────────────────────────────────────

    def top_up(self, name: str, minutes: object, who: Actor, key: str | None = None) -> Answer:
        """Add minutes, or as many as `money.Dollars` buy at the present price, once per key.

        Raises:
            UnknownEndpointError, InvalidRequestError, LimitExceededError, PriceUnknownError,
            OverBudgetError, DeviceBusyError, KeyReusedError: refused, nothing changed.
            StoreBusyError: nothing changed; may be sent again with the same key.

        """
        spec = self._spec(name)
        asked = minutes if isinstance(minutes, Minutes | Dollars) else Minutes.of(minutes)

        def rule(meter: Meter, now: datetime) -> tuple[Meter, str]:
            # Not before: sent again, it is what it was, whatever an hour costs by then.
            amount = asked.buys(spec, meter)
            try:
                return rules.top_up(spec, meter, amount, now), asked.why(amount)
            except LimitExceededError as over:
                raise asked.over_limit(over, spec, meter) from None

        request = fingerprint("top-up", asked)
        return self._changing.change(spec, Change(Kind.TOP_UP, rule, who, key, request))

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
        return self._changing.change(spec, Change(Kind.TOP_UP, rule, who, offer.key, request))

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
            left = duration(rules.time_left(meter, now))
            return schedule.end(spec, meter, now, rules.EJECTED), f"{left} given up"

        request = fingerprint("eject", seen)
        return self._changing.change(spec, Change(Kind.EJECT, rule, who, key, request))

    def adopt(self, name: str, seen: datetime, edit: Edit) -> datetime:
        """Take over an expiry that was set by hand, and return the one that holds.

        Raises:
            UnknownEndpointError, StoreBusyError: nothing changed; see `Changing.adopt`.

        """
        return self._changing.adopt(self._spec(name), seen, edit)

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
        return self._opening.wake(spec, who.name, lambda now: who.budget(gained, now))

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
            entry = new_entry(
                spec, removed, Kind.REMOVE, now, "its deployment is taken away", key=key
            )
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
            return self._leaving.reconcile(name, read)
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
        for name, spec in (self._leaving.specs | self._specs).items():
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
            entry = new_entry(spec, meter, Kind.CLOCK, now, why, key=f"clock:{now.isoformat()}")
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

    def _leave(self, spec: Spec, meter: Meter, observed: Observed) -> Decision:
        return decisions.park(spec, meter, observed, decisions.PARKED, self._clock.now())
