"""The commit of a meter and what follows from it: the driver, the gate, the notifier.

The use cases go through here. Knows the ports and decides nothing itself.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar, assert_never

from parkmeter.core import decide as decisions
from parkmeter.core.decision import Cause, Decision, Keep, Observed, Rest, Start, Stop
from parkmeter.core.device import Claim
from parkmeter.core.elapsed import at_set_clock, with_limit
from parkmeter.core.journal import Entry, Kind, new_entry
from parkmeter.core.meter import Elapsed, Meter, Phase, Spec, is_open, latest_close
from parkmeter.core.pacing import INSIST
from parkmeter.core.status import View
from parkmeter.errors import DriverError, EndpointUnreachableError, StoreBusyError
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
from parkmeter.service.unfinished import Unfinished, after_eject

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_TRIES = 500
"""Each lost race means that another writer won one; 500 in a row are no race."""


@dataclass(frozen=True, slots=True)
class Update:
    """A changed meter and what to commit with it; see `Store.commit`."""

    meter: Meter
    entries: Sequence[Entry]
    budget: Budget | None = None
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Optimistic updates of one meter at a time, over the ports.

    `elapsed` returns the time since the boot, None where the system has no such clock.
    """

    store: Store
    driver: Driver
    clock: Clock
    gate: Gate
    notifier: Notifier
    device_claims: DeviceClaims
    elapsed: Callable[[], Elapsed | None] = lambda: None
    unfinished: Unfinished = field(default_factory=Unfinished)

    def reconcile(
        self,
        spec: Spec,
        next_thing: Callable[[Spec, Meter, Observed], Decision],
        read: Meter | None = None,
    ) -> datetime | None:
        """Run one step: observe, decide, commit the intent, act; return when to look again.

        `read`: the meter, if it was read a moment ago. If it has changed since, the commit fails
        as stale and the meter is reloaded.

        Raises:
            StoreBusyError: look again soon.

        """
        for _ in range(_TRIES):
            try:
                meter, is_recorded = self._present(spec, read)
                seen, decision, claim = self._decided(spec, meter, next_thing)
                try:
                    if not is_recorded:
                        # A commit could succeed by now, and would be without what came before it.
                        raise StoreBusyError  # noqa: TRY301 (as if it were refused now)
                    with self._deadline_first(spec, meter, decision.meter):
                        committed = self._record(meter, decision, claim)
                except StoreBusyError:
                    again = self._act_unrecorded(spec, decision)
                    if again is None:
                        raise
                    return again
                refused = self._act(spec, committed, decision.action)
                if isinstance(decision.action, Start):
                    self._keep_newest(spec, committed)
                if refused is not None:
                    self._record(committed, refused)
                elif seen:
                    self.unfinished.done(spec.name)
                    if committed.run.trouble:
                        self.commit(decisions.untroubled(committed), [])
            except StaleError:
                read = None
                continue
            return (refused or decision).check_at
        raise StoreBusyError

    def _decided(
        self, spec: Spec, meter: Meter, next_thing: Callable[[Spec, Meter, Observed], Decision]
    ) -> tuple[bool, Decision, Claim | None]:
        """Observe and decide; return whether the driver could see the endpoint, too."""
        seen = True
        try:
            decision = next_thing(spec, meter, self.driver.observe(spec))
        except DriverError as error:
            seen = False
            decision = decisions.trouble(spec, meter, error.detail, self.clock.now())
        now = self.clock.now()
        decision, claim = self.device_claims.permitted(spec, meter, decision, now)
        limited = with_limit(meter, decision.meter, now, self.elapsed())
        return seen, replace(decision, meter=limited), claim

    def _load(self, spec: Spec) -> Meter:
        """Return the meter as stored. An endpoint that was ejected is stopped even without it."""
        try:
            return self.store.load(spec.name)
        except StoreBusyError:
            if self.unfinished.eject_of(spec.name) is not None:
                self._act(spec, Meter(spec.name), Stop())
            raise

    def _act_unrecorded(self, spec: Spec, decision: Decision) -> datetime | None:
        """Stop an endpoint that is to be gone, although the store cannot record that yet.

        Returns when to look again; None if unrecorded changes are not kept here.

        Raises:
            StaleError: the meter has changed since it was read; a top-up must not be stopped.

        """
        if isinstance(decision.action, Stop):
            with suppress(StoreBusyError):  # as it was read, if it cannot be read again
                if self.store.load(spec.name).version != decision.meter.version:
                    raise StaleError
            self._act(spec, decision.meter, decision.action)
        if self.unfinished.ejects is None:
            return None
        self.unfinished.unrecorded(decision.meter)
        self.gate.show(View.of(decision.meter, self.clock.now()))
        return self.clock.now() + INSIST

    def update(
        self, spec: Spec, step: Callable[[Meter, datetime], Update | _Result]
    ) -> Update | _Result:
        """Commit what `step` makes of the meter, and move the leash's deadline with its expiry.

        `step` gets the meter and the time, and is called again if the meter has changed before the
        commit or a key is in the journal already. Anything but an `Update` ends it, uncommitted.

        Returns the update with the meter as committed, or the other result.

        Raises:
            OverBudgetError, what `step` raises: nothing changed.
            StoreBusyError: nothing changed.
            EndpointUnreachableError: nothing changed, because a longer time could not be delivered.

        """
        for _ in range(_TRIES):
            try:
                meter, is_recorded = self._present(spec)
                if not is_recorded:
                    raise StoreBusyError
                now = self.clock.now()
                made = step(meter, now)
                if not isinstance(made, Update):
                    return made
                changed = with_limit(meter, made.meter, now, self.elapsed())
                if is_open(meter, now) and changed.expires_at > meter.expires_at:
                    self._check_reach(spec, meter)
                with self._deadline_first(spec, meter, changed):
                    committed = self.commit(changed, made.entries, made.budget, made.claim)
            except (StaleError, DuplicateError):
                continue
            if committed.expires_at != meter.expires_at:  # else a drain would be cut short
                self._keep(spec, latest_close(committed), committed.version)
            return replace(made, meter=committed)
        raise StoreBusyError

    def _present(self, spec: Spec, read: Meter | None = None) -> tuple[Meter, bool]:
        """Return the meter as it is now, after an unrecorded eject and a set clock.

        The second value is False if the store could not record that; it is in force anyway.

        Raises:
            StaleError: the meter has changed.
            StoreBusyError: the store cannot be read.

        """
        # Before the meter: of an older one it could seem that the eject had nothing to end.
        entry = self.unfinished.eject_of(spec.name)
        meter = read or self._load(spec)
        if entry is not None:
            ended, entry = after_eject(spec, meter, entry)
            if ended != meter:
                try:
                    meter = self.commit(with_limit(meter, ended, entry.at, self.elapsed()), [entry])
                except StoreBusyError:
                    return ended, False
                except DuplicateError:
                    self.unfinished.recorded(spec.name)
                    raise StaleError from None
            self.unfinished.recorded(spec.name)
        moved = at_set_clock(spec, meter, self.clock.now(), self.elapsed())
        if moved is None:
            return meter, True
        try:
            return self.commit(moved[0], [moved[1]]), True
        except StoreBusyError:
            return moved[0], False

    def _check_reach(self, spec: Spec, meter: Meter) -> None:
        """Raise EndpointUnreachableError if a new deadline could not be delivered."""
        try:
            # A lower version changes nothing, but takes all that a delivery takes.
            self.driver.keep(spec, latest_close(meter), meter.version - 1)
        except DriverError as error:
            raise EndpointUnreachableError(why=error.detail) from error

    def decide(self, spec: Spec, meter: Meter, observed: Observed) -> Decision:
        """Return the decision for a configured endpoint; see `core.decide`."""
        # The time first: requests the gate admits after it are then counted, or come too late.
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
        """Commit to the store, then show the meter to the gate and the entries to the notifier."""
        committed = self.store.commit(meter, entries, budget, claim)
        self.gate.show(View.of(committed, self.clock.now()))
        for entry in entries:
            try:
                self.notifier.send(entry)
            except Exception:
                log.exception("%s: the notifier failed on: %s", meter.name, entry.why)
        return committed

    def note(self, spec: Spec, kind: Kind, why: str, key: str) -> None:
        """Journal something people should know of, once per key; the meter stays as it is."""
        meter = self.store.load(spec.name)
        entry = new_entry(spec, meter, kind, self.clock.now(), why, key=key)
        try:
            self.commit(meter, [entry])
        except DuplicateError:
            log.debug("%s: journaled before: %s", spec.name, why)
        except StaleError:
            log.warning("%s: %s (not journaled, the meter was changing)", spec.name, why)

    def _keep(self, spec: Spec, until: datetime, version: int) -> None:
        """Move the leash's deadline; a failure does not undo the change that was committed."""
        try:
            self.driver.keep(spec, until, version)
        except DriverError as error:
            # The time is on the meter; every look from now on keeps it again.
            self.unfinished.failed(
                spec.name, f"the new expiry has not reached the endpoint: {error.detail}"
            )
            self.clock.wake(spec.name)

    def _keep_newest(self, spec: Spec, started: Meter) -> None:
        """Pass on a deadline that moved while the start was called: `keep` found no endpoint then.

        Left to the next look, it would be lost if the gateway was killed first.
        """
        newest = self.store.load(spec.name)
        if newest.version != started.version:
            self._keep(spec, latest_close(newest), newest.version)

    @contextmanager
    def _deadline_first(self, spec: Spec, read: Meter, changed: Meter) -> Iterator[None]:
        """Wrap a commit that brings the latest close forward: the leash gets that deadline first.

        An eject does so, and readiness, which ends the start-up credit. If the gateway is killed
        right after the commit, nothing else could pass it on. It is set at the version that was
        read, so that a concurrent commit overrides it; if the commit fails otherwise, it is taken
        back.
        """
        if latest_close(changed) >= latest_close(read):
            yield
            return
        self._keep(spec, latest_close(changed) + spec.drain, read.version)
        try:
            yield
        except (StaleError, DuplicateError):
            raise
        except Exception:
            self._keep(spec, latest_close(read), read.version)
            raise

    def _record(self, read: Meter, decision: Decision, claim: Claim | None = None) -> Meter:
        """Commit a decision, if it changes anything."""
        unchanged = decision.meter == read and not decision.entries
        # A stop is committed even if it changes nothing: if there was a top-up since the meter was
        # read, it must not be carried out.
        if unchanged and not isinstance(decision.action, Stop):
            self.gate.show(View.of(read, self.clock.now()))
            return read
        entries = list(decision.entries)
        while True:
            try:
                return self.commit(decision.meter, entries, claim=claim)
            except DuplicateError as duplicate:
                # Journaled already, here or by another clock: once is enough.
                entries = [entry for entry in entries if entry.key != duplicate.entry.key]

    def _act(self, spec: Spec, meter: Meter, action: Start | Keep | Stop | Rest) -> Decision | None:
        """Call the driver; return the decision that follows from its refusal, if it refuses."""
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
            self.unfinished.failed(spec.name, error.detail)
            return decisions.trouble(spec, meter, error.detail, now)
        return None
