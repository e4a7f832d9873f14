"""The use cases of meters: top-up, eject, status, reconcile, sweep.

Behind it: `changes`, made by people; `auto_top_ups`; `unconfigured`, endpoints removed from the
configuration; `reconciler`, which commits all of it.

Synchronous and safe from any thread: exclusion is by the store's conditional commit, never by a
lock here.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from parkmeter.core import meter as rules
from parkmeter.core import schedule
from parkmeter.core.extend_link import Offer, check_offer
from parkmeter.core.journal import Entry, Kind, fingerprint
from parkmeter.core.journal_reader import Lines, lines_after, lines_of, position, receipt_of
from parkmeter.core.ledger import Position, Price
from parkmeter.core.meter import Elapsed, Meter, Spec
from parkmeter.core.money import Dollars, Minutes
from parkmeter.core.receipt import Receipt
from parkmeter.core.report import Report
from parkmeter.core.status import View
from parkmeter.errors import (
    ExpiryMovedError,
    InvalidRequestError,
    LimitExceededError,
    StoreBusyError,
    UnknownEndpointError,
)
from parkmeter.ports import Clock, Driver, Gate, Notifier, Store, UnrecordedEjects
from parkmeter.service import auto_top_ups, changes, unrecorded_eject
from parkmeter.service.changes import Actor, Change, ChangeResult, Edit
from parkmeter.service.device_claims import DeviceClaims
from parkmeter.service.parking import park_all
from parkmeter.service.reconciler import Reconciler
from parkmeter.service.unconfigured import UnconfiguredEndpoints
from parkmeter.service.unfinished import Unfinished

log = logging.getLogger(__name__)

_FEW = 4
"""Lines of a journal; a credit is followed by the line of its start only."""


class MeterService:
    """Everything that can be done with meters.

    The configured endpoints are one mapping that `configure` replaces whole, so that every reader
    sees the old configuration or the new one.
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
        elapsed: Callable[[], Elapsed | None] = lambda: None,
        ejects: UnrecordedEjects | None = None,
    ) -> None:
        self._specs = dict(specs)
        self._store, self._driver, self._clock, self._gate = store, driver, clock, gate
        claims = DeviceClaims(store, lambda: self._specs)
        self._unfinished = Unfinished(ejects)
        self._reconciler = Reconciler(
            store, driver, clock, gate, notifier, claims, elapsed, self._unfinished
        )
        self._unconfigured = UnconfiguredEndpoints(self._reconciler)

    @property
    def names(self) -> list[str]:
        """Names of the configured endpoints, in the order of the configuration."""
        return list(self._specs)

    def configure(self, specs: Mapping[str, Spec]) -> None:
        """Replace the configured endpoints. Call from one thread at a time.

        Removed ones are drained, then stopped; their meters keep their time, should they come back.
        `begin` shows new ones to the gate.
        """
        removed = self._unconfigured.configured(self._specs, specs)
        self._specs = dict(specs)
        for name in removed:
            self._clock.wake(name)

    # ── Requests ────────────────────────────────────────────────────────────────────────────────

    def top_up(
        self, name: str, amount: Minutes | Dollars, who: Actor, key: str | None = None
    ) -> ChangeResult:
        """Add minutes, or as many as dollars buy at the present price, once per key.

        Raises:
            UnknownEndpointError, InvalidRequestError, LimitExceededError, PriceUnknownError,
            OverBudgetError, DeviceBusyError, EndpointRemovedError, KeyReusedError: refused, nothing
            changed.
            StoreBusyError, EndpointUnreachableError: nothing changed; may be sent again with the
                same key.

        """
        spec = self._spec(name)

        def rule(meter: Meter, now: datetime) -> tuple[Meter, str]:
            # Not before: a repeated request is the same one, whatever an hour costs by then.
            bought = amount.buys(spec, meter)
            try:
                return rules.top_up(spec, meter, bought, now), amount.why
            except LimitExceededError as over:
                raise amount.over_limit(over, spec, meter) from None

        request = fingerprint("top-up", amount)
        return changes.change(self._reconciler, spec, Change(Kind.TOP_UP, rule, who, key, request))

    def extend(self, offer: Offer, who: Actor) -> ChangeResult:
        """Add the time that an extend link offers, once.

        Raises:
            LinkLateError, LinkOutdatedError: the meter is no longer as the warning said.
            Others: as `top_up`.

        """
        spec, amount = self._spec(offer.endpoint), offer.amount

        def rule(meter: Meter, now: datetime) -> tuple[Meter, str]:
            self._check(offer, meter, now)
            return rules.top_up(spec, meter, amount, now), "by the link in a warning"

        request = fingerprint("extend", amount)
        return changes.change(
            self._reconciler, spec, Change(Kind.TOP_UP, rule, who, offer.key, request)
        )

    def offered(self, offer: Offer) -> Report:
        """Return the report of an extend link's endpoint, if the link is usable now.

        Raises:
            UnknownEndpointError, LinkLateError, LinkOutdatedError: it is not.

        """
        report = self.report(offer.endpoint)
        self._check(offer, report.meter, report.at)
        return report

    def _check(self, offer: Offer, meter: Meter, now: datetime) -> None:
        # Read after the meter: an entry between the two makes the commit stale.
        check_offer(offer, meter, lines_after(self._store, offer.endpoint, offer.warning), now)

    def eject(
        self, name: str, who: Actor, key: str | None = None, seen: datetime | None = None
    ) -> ChangeResult:
        """Give up the remaining time, once per key. A closed meter stays as it is.

        If the store cannot record it, the endpoint is stopped all the same, and it is recorded
        later.

        Raises:
            UnknownEndpointError, KeyReusedError: refused, nothing changed.
            ExpiryMovedError: the stored expiry is not the one that was `seen`.
            StoreBusyError: nothing changed; may be sent again with the same key.

        """
        spec = self._spec(name)

        def rule(meter: Meter, now: datetime) -> tuple[Meter, str]:
            if seen is not None and seen != meter.expires_at and not self._credited(meter, seen):
                raise ExpiryMovedError(meter.expires_at)
            return schedule.end(spec, meter, now, rules.EJECTED), "given up"

        wanted = Change(Kind.EJECT, rule, who, key, fingerprint("eject", seen))
        try:
            return changes.change(self._reconciler, spec, wanted)
        except StoreBusyError as busy:
            return unrecorded_eject.eject(self._reconciler, spec, wanted, busy)

    def _credited(self, meter: Meter, seen: datetime) -> bool:
        """Return whether the end of a start moved the expiry since it was `seen`, and nothing else.

        The credit is no top-up: a client that saw the start still means the same time.
        """
        moved = (line for line in self._store.journal(meter.name, _FEW) if line.amount)
        newest = next(moved, None)
        return (
            newest is not None
            and newest.kind is Kind.CREDIT
            and seen == meter.expires_at - newest.amount
        )

    def adopt(self, name: str, seen: datetime, edit: Edit) -> datetime:
        """Adopt an expiry that was set by hand; return the valid one; see `changes.adopt`."""
        return changes.adopt(self._reconciler, self._spec(name), seen, edit)

    def warn(self, name: str, why: str, key: str) -> None:
        """Journal a warning, once per key; the meter stays as it is."""
        self._reconciler.note(self._spec(name), Kind.WARNING, why, key)

    def report(self, name: str) -> Report:
        """Return the report of one endpoint. Raises UnknownEndpointError."""
        spec = self._spec(name)
        meter, now = self._store.load(name), self._clock.now()
        return Report.of(spec, self._unfinished.shown(spec, meter, now), now)

    def reports(self) -> list[Report]:
        """Return the reports of all endpoints, in configuration order, with one query."""
        specs = self._specs  # once: a reload replaces it
        meters, now = self._store.meters(specs), self._clock.now()
        return [
            Report.of(spec, self._unfinished.shown(spec, meters[name], now), now)
            for name, spec in specs.items()
        ]

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """Return the newest entries, newest first. Raises UnknownEndpointError."""
        return self._store.journal(self._spec(name).name, limit, before)

    def receipt(
        self, name: str, begin: datetime | None = None, end: datetime | None = None
    ) -> Receipt:
        """Return what an endpoint cost from `begin` (None: the first entry) to `end` (None: now).

        The period is cut to what has happened: a later end is now, an earlier begin is the first
        entry. Where lines of the journal are gone, it begins and ends with whole days (UTC).

        Raises:
            UnknownEndpointError, InvalidRequestError: refused.

        """
        report = self.report(name)
        end = report.at if end is None else min(end, report.at)
        if begin is not None and begin > end:
            raise InvalidRequestError("The receipt must begin before it ends.", field="from")
        return receipt_of(self._store, name, report.price.per_hour, begin, end)

    def position(self, name: str, moment: datetime, price: Price) -> Position:
        """Return the sums of an endpoint's journal up to a moment; see `journal_reader`."""
        return position(self._store, self._spec(name).name, moment, price)

    def lines(self, name: str, begin: datetime, end: datetime) -> Lines:
        """Return the entries that concern a period. Raises UnknownEndpointError."""
        return lines_of(self._store, self._spec(name).name, begin, end)

    def provision(self, name: str, initial: timedelta) -> None:
        """Put the first time on a meter; see `auto_top_ups`."""
        auto_top_ups.provision(self._reconciler, self._spec(name), initial)

    def wake(self, name: str, who: Actor) -> Entry | None:
        """Put `wake_minutes` on a closed meter because of a prompt; see `auto_top_ups.wake`.

        Raises:
            UnknownEndpointError: refused; others as there.

        """
        spec = self._spec(name)
        gained = spec.wake or rules.ZERO
        budget = lambda now: who.budget(gained, now)  # noqa: E731
        return auto_top_ups.wake(self._reconciler, spec, who.name, budget)

    def remove(self, name: str) -> None:
        """Remove an endpoint for good, configured or not; reconciling then stops it.

        Raises:
            StoreBusyError: nothing changed.

        """
        changes.remove(self._reconciler, self._specs.get(name, Spec(name)))

    def begin(self) -> None:
        """Show every meter to the gate, before the first prompt, and have each reconciled."""
        now = self._clock.now()
        for name, meter in self._store.meters(self._specs).items():
            shown = self._unfinished.shown(self._specs[name], meter, now)
            self._gate.show(View.of(shown, now))
            self._clock.wake(name)

    # ── Calls of the clock ──────────────────────────────────────────────────────────────────────

    def reconcile(self, name: str, read: Meter | None = None) -> datetime | None:
        """Run the next step for one endpoint; return when to look again at the latest.

        None: nothing to do until the next top-up. `read`: the meter, if it was read a moment ago.
        A window of `hours` that has begun is put on the meter first. An endpoint that is no longer
        configured is stopped; its meter keeps its time.

        Raises:
            StoreBusyError: look again soon.

        """
        spec = self._specs.get(name)
        if spec is None:
            return self._unconfigured.reconcile(name, read)
        if spec.hours is None:
            return self._reconciler.reconcile(spec, self._reconciler.decide, read)
        try:
            next_window = auto_top_ups.open_window(self._reconciler, spec)
        except Exception:  # it must not keep the endpoint from being stopped
            log.exception("%s: its hours failed; retrying", spec.name)
            next_window = self._clock.now() + timedelta(seconds=1)
        # Without `read`: the window may have changed the meter.
        again = self._reconciler.reconcile(spec, self._reconciler.decide)
        return min(filter(None, (next_window, again)), default=None)

    def sweep(self) -> None:
        """Wake all that could have been missed: unsettled meters and existing endpoints.

        Raises:
            DriverError: the endpoints cannot be listed; the meters have been woken.

        """
        unsettled = set(self._store.unsettled())
        for name in sorted(unsettled):
            self._clock.wake(name)
        # Listed last: a driver that cannot list must not keep the others from being stopped.
        for name in sorted(set(self._driver.owned()) - unsettled):
            self._clock.wake(name)

    def park(self) -> list[str]:
        """Stop all endpoints, leave their meters as they are; return the names not stopped yet."""
        return park_all(self._reconciler, self._unconfigured.specs | self._specs)

    def clock_jumped(self, by: timedelta) -> None:
        """Journal a jump of the wall clock on every unsettled meter."""
        why, key = f"the wall clock jumped by {by.total_seconds():+.1f} s", self._clock.now()
        for name in self._store.unsettled():
            spec = self._specs.get(name, Spec(name))
            self._reconciler.note(spec, Kind.CLOCK, why, f"clock:{key.isoformat()}")

    # ── Inside ──────────────────────────────────────────────────────────────────────────────────

    def _spec(self, name: str) -> Spec:
        spec = self._specs.get(name)
        if spec is None:
            raise UnknownEndpointError(name, self._specs)
        return spec
