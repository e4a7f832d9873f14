"""What becomes of a decision: the intent is committed first, then carried out, then told.

Used by the use cases; knows the ports, decides nothing itself. Where a commit loses a race, all is
decided anew from what is there then.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from parkmeter.core import decide as decisions
from parkmeter.core.decision import Cause, Decision, Keep, Observed, Rest, Start, Stop
from parkmeter.core.device import Claim
from parkmeter.core.journal import Entry, Kind, new_entry
from parkmeter.core.meter import Meter, Phase, Spec, latest_close
from parkmeter.core.view import View
from parkmeter.errors import DriverError, StoreBusyError
from parkmeter.ports import (
    Budget,
    Clock,
    Driver,
    DuplicateError,
    Gate,
    Notifier,
    StaleError,
    Store,
)
from parkmeter.service.device_claims import DeviceClaims

log = logging.getLogger(__name__)

TRIES = 500
"""Each lost race means that somebody else won one; so many in a row is not a race any more."""


@dataclass(frozen=True, slots=True)
class Reconciler:
    """One endpoint's next thing, from looking to telling."""

    store: Store
    driver: Driver
    clock: Clock
    gate: Gate
    notifier: Notifier
    holding: DeviceClaims

    def treat(
        self,
        spec: Spec,
        next_thing: Callable[[Spec, Meter, Observed], Decision],
        read: Meter | None = None,
    ) -> datetime | None:
        """Observe, have it decided, commit, act; returns when to look again at the latest.

        `read`: the meter, where it was read a moment ago. Was it changed meanwhile, the commit
        loses the race, and it is read again.

        Raises:
            StoreBusyError: look again soon.

        """
        for _ in range(TRIES):
            meter, read = read or self.store.load(spec.name), None
            seen = True
            try:
                decision = next_thing(spec, meter, self.driver.observe(spec))
            except DriverError as error:
                seen = False
                decision = decisions.trouble(spec, meter, error.detail, self.clock.now())
            decision, claim = self.holding.permitted(spec, meter, decision, self.clock.now())
            try:
                with self.told_before(spec, meter, decision.meter):
                    committed = self._record(meter, decision, claim)
                refused = self._act(spec, committed, decision.action)
                if refused is not None:
                    self._record(committed, refused)
                elif seen and committed.run.trouble:
                    self.commit(decisions.untroubled(committed), [])
            except StaleError:
                continue
            return (refused or decision).check_at
        raise StoreBusyError

    def decide(self, spec: Spec, meter: Meter, observed: Observed) -> Decision:
        """The next thing for an endpoint that is configured; see `reconcile.decide`."""
        # The time first: whom the gate admits after it is then counted, or comes too late.
        now = self.clock.now()
        in_flight = self.gate.in_flight(spec.name)
        last_prompt = None if spec.idle is None else self.gate.last_prompt(spec.name)
        return decisions.decide(spec, meter, observed, in_flight, now, last_prompt)

    def commit(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None = None,
        claim: Claim | None = None,
    ) -> Meter:
        """`Store.commit`; what was committed is shown to the gate and told to people."""
        committed = self.store.commit(meter, entries, budget, claim)
        self.gate.show(View.of(committed, self.clock.now()))
        for entry in entries:
            try:
                self.notifier.send(entry)
            except Exception:
                log.exception("%s: nobody was told of: %s", meter.name, entry.why)
        return committed

    def warn(self, spec: Spec, why: str, key: str) -> None:
        """Journal something that people should know of, once per key; the meter stays as it is."""
        meter = self.store.load(spec.name)
        entry = new_entry(spec, meter, Kind.WARNING, self.clock.now(), why, key=key)
        try:
            self.commit(meter, [entry])
        except DuplicateError:
            log.debug("%s: told already: %s", spec.name, why)
        except StaleError:
            log.warning("%s: %s (not journaled, the meter was changing)", spec.name, why)

    def keep(self, spec: Spec, until: datetime, version: int) -> None:
        """`Driver.keep`, where a failure is no failure of the change that was made."""
        try:
            self.driver.keep(spec, until, version)
        except DriverError as error:
            # The time is on the meter; the reconcile that is woken now keeps it again.
            log.warning("%s: the new expiry did not reach the endpoint yet: %s", spec.name, error)

    @contextmanager
    def told_before(self, spec: Spec, read: Meter, changed: Meter) -> Iterator[None]:
        """Around the commit of a change: if it ends sooner by it, its leash knows that before.

        Killed right after the commit, nobody would be left to tell it. At the version that was
        read, so that whoever commits first has the last word; taken back where nobody did.
        """
        if changed.expires_at >= read.expires_at:
            yield
            return
        self.keep(spec, latest_close(changed) + spec.drain, read.version)
        try:
            yield
        except (StaleError, DuplicateError):
            raise
        except Exception:
            self.keep(spec, latest_close(read), read.version)
            raise

    def _record(self, read: Meter, decision: Decision, claim: Claim | None = None) -> Meter:
        """Commit what was decided, if it changes anything."""
        unchanged = decision.meter == read and not decision.entries
        # A stop is committed even if it changes nothing: at a version that somebody topped up
        # meanwhile it must not be carried out.
        if unchanged and not isinstance(decision.action, Stop):
            self.gate.show(View.of(read, self.clock.now()))
            return read
        entries = list(decision.entries)
        while True:
            try:
                return self.commit(decision.meter, entries, claim=claim)
            except DuplicateError as duplicate:
                # Journaled already, by us or by another clock: once is enough.
                entries = [entry for entry in entries if entry.key != duplicate.entry.key]

    def _act(self, spec: Spec, meter: Meter, action: Start | Keep | Stop | Rest) -> Decision | None:
        """Carry an intent out; what the driver refuses comes back as the decision that follows."""
        try:
            match action:
                case Start(variant, until):
                    self.driver.start(spec, variant, until, meter.version)
                case Keep(until):
                    self.driver.keep(spec, until, meter.version)
                case Stop():
                    self.driver.stop(spec)
                case Rest():
                    pass
                case _:
                    assert_never(action)
        except DriverError as error:
            now = self.clock.now()
            if isinstance(action, Start):
                cause = Cause.CAPACITY if error.capacity else Cause.OTHER
                seen = Observed(Phase.FAILED, error.detail, cause=cause)
                return decisions.start_refused(spec, meter, seen, now)
            return decisions.trouble(spec, meter, error.detail, now)
        return None
