"""The Lambda that reconciles meters: all unsettled ones every minute, one by name on an event.

It runs by name after a top-up or an eject, when SageMaker reports a change of an endpoint, and when
a published expiry was edited. Runs may overlap: every step is a conditional commit, and the loser
of a race does nothing. Decides nothing itself; the rules are in the core.
"""

import logging
import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.async_inference.capacity import MeteredQueues
from parkmeter.aws.definitions import LOOK_AGAIN, Definition, Found, KnownDefinitions
from parkmeter.aws.emf import metrics_line
from parkmeter.aws.expiry_parameter import ExpiryParameters, Publications, Published, published
from parkmeter.aws.heartbeat import Heartbeat
from parkmeter.aws.hours_parameters import HoursParameters
from parkmeter.aws.invocation_clock import InvocationClock
from parkmeter.aws.mail import EntrySignal, Mailer, UnmailedError, mailer_of
from parkmeter.aws.wiring import PATIENCE, Environment, Ports, dynamodb, service_of
from parkmeter.core.meter import NEVER, ZERO, Meter, Phase, Spec, is_open, latest_close, overdue
from parkmeter.drivers.sagemaker import SageMakerDriver
from parkmeter.errors import DriverError
from parkmeter.service.journal_keeper import JournalKeeper
from parkmeter.service.meters import MeterService

log = logging.getLogger(__name__)

LOOK_AHEAD = timedelta(seconds=75)
"""A run waits for what falls due within it: ticks come every minute, but not to the second."""

_LINES_A_SWEEP = 2000
"""Of each journal, to mark what an older version wrote; some seconds of reading."""

_NOT_IN_THIS_RUN = timedelta(hours=1)

MAIL = "the outgoing mail"
"""Stands among the names of a run for sending mail; no endpoint can have this name."""

PUBLICATIONS = "the published expiries"
"""Stands for writing them, which is slower than a step and must delay none."""


class ReconcileFailedError(Exception):
    """Raised at the end of a run in which some meters could not be reconciled; all others were."""


def handler(event: dict[str, Any], _context: Any) -> None:
    """Run the clock once; see `MeterClock.run`."""
    meter_clock().run(event)


@cache
def meter_clock() -> "MeterClock":
    """Return the clock of this function, from its environment."""
    environment, plain = Environment.read(), dynamodb()
    ssm = boto3.client("ssm", config=PATIENCE)
    # A placeholder for the clock of the service: each run makes its own.
    between_runs = InvocationClock(lambda: datetime.now(UTC), time.sleep, NEVER)
    ports = Ports.of(environment, plain, between_runs)
    find = KnownDefinitions(ssm, environment.endpoints_path).of
    return MeterClock(
        ports=ports,
        find=find,
        expiries=ExpiryParameters(ssm, environment.expiry_path),
        hours=HoursParameters(ssm, environment.hours_path),
        heartbeat=Heartbeat(plain, environment.tables.meters),
        journals=JournalKeeper(ports.store),
        mailer=mailer_of(ports, plain, environment.tables, ssm, find),
        queues=MeteredQueues.of_environment(),
    )


@dataclass(frozen=True, slots=True)
class MeterClock:
    """Reconciles the meters that an event concerns.

    `find` reads definitions; `pause` sleeps some seconds; `emit` prints a line with metrics.
    """

    ports: Ports
    find: Callable[[Collection[str]], Found]
    expiries: ExpiryParameters
    hours: HoursParameters
    heartbeat: Heartbeat
    mailer: Mailer
    journals: JournalKeeper
    queues: MeteredQueues = field(default_factory=MeteredQueues)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    pause: Callable[[float], None] = time.sleep
    emit: Callable[[str], None] = print

    def run(self, event: Mapping[str, Any]) -> None:
        """Reconcile what the event concerns, and wait for what falls due within `LOOK_AHEAD`.

        Raises:
            ReconcileFailedError: names the meters that failed. The event is not repeated; the next
                tick retries them.

        """
        match event:
            case {"kind": "tick"}:
                self._tick()
            case {"kind": "sweep"}:
                self._sweep()
            case {"kind": "wake", "name": str(name)}:
                self._by_name(name)
            case {"source": "aws.sagemaker", "detail": {"EndpointName": str(endpoint), **more}}:
                metered = self._name_of(endpoint)
                if not (more.get("EndpointStatus") == "DELETING" and self._is_stopping(metered)):
                    self._by_name(metered)
            case {"source": "aws.ssm", "detail": {"name": str(parameter)}}:
                self._by_name(self.expiries.endpoint_of(parameter))
            case _:
                raise ValueError(f"the clock does not know this event: {sorted(event)}")

    # ── Which meters ─────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        """Reconcile unsettled meters and due windows; two alarms read the line it prints."""
        scheduled = self.hours.due(self.now(), LOOK_AHEAD)
        outcome = self._reconcile(set(self.ports.store.unsettled()) | scheduled)
        late = outcome.overdue
        self.emit(metrics_line(self.ports.deployment, self.now(), late, outcome.unsettled))
        self.heartbeat.beat(self.now())
        _raise_for(outcome.failed)

    def _sweep(self) -> None:
        """Reconcile also what ticks and events may have missed: unmetered endpoints, lost edits."""
        names, failed = set(self.ports.store.unsettled()) | self.queues.names, set()
        deployment = self.ports.deployment
        driver = SageMakerDriver(
            self.ports.sagemaker,
            deployment,
            {},
            self.now,
            prefix=f"{deployment}-",
            ours=self.ports.ours,
        )
        try:
            names |= {self._name_of(endpoint) or endpoint for endpoint in driver.owned()}
        except DriverError as error:
            log.error("the sweep continues without the list: %s", error)  # noqa: TRY400 (readable)
            failed.add("the list of endpoints")
        try:
            names |= self._edited()
        except (BotoCoreError, ClientError):
            log.exception("the sweep continues without published expiries")
            failed.add(PUBLICATIONS)
        failed |= self._reconcile(names).failed
        for name in sorted(names):
            try:
                self.journals.tend(name, _LINES_A_SWEEP)
            except Exception:
                log.exception("%s: its journal could not be marked; the next sweep goes on", name)
        _raise_for(failed)

    def _by_name(self, name: str | None) -> None:
        """Reconcile one meter; many such runs may overlap, so none stays to watch progress."""
        if name is not None:
            _raise_for(self._reconcile({name}, look_again=_NOT_IN_THIS_RUN).failed)

    def _is_stopping(self, name: str | None) -> bool:
        """Return whether parkmeter itself is stopping it: then the event reports nothing new."""
        meter = self._meters([name]).get(name) if name else None
        return meter is not None and meter.run.phase is Phase.STOPPING

    def _name_of(self, endpoint: str) -> str | None:
        """Return the meter's name for an endpoint named as the stacks name it, else None."""
        prefix = f"{self.ports.deployment}-"
        return endpoint.removeprefix(prefix) if endpoint.startswith(prefix) else None

    def _edited(self) -> set[str]:
        """Return the endpoints whose published expiry differs from their meter's."""
        texts = dict(self.expiries.values())
        meters = self._meters(texts)
        # A meter that cannot be read is included: reconciling it reports why.
        return {
            name
            for name, text in texts.items()
            if name not in meters or text != published(meters[name].expires_at)
        }

    def _meters(self, names: Collection[str]) -> dict[str, Meter]:
        """Return the meters that can be read; a missing one raises when it is reconciled."""
        try:
            return self.ports.store.meters(names)
        except Exception:
            # One broken meter must not keep the others from being stopped.
            log.exception("%d meters are read one by one", len(names))
        found = {}
        for name in names:
            with suppress(Exception):
                found[name] = self.ports.store.load(name)
        return found

    # ── Reconciling ──────────────────────────────────────────────────────────────────────────────

    def _reconcile(self, names: set[str], look_again: timedelta = LOOK_AGAIN) -> "_Outcome":
        found = self.find(names)
        failed = set(found.broken)
        definitions = {
            name: replace(one, spec=replace(one.spec, look_again=look_again))
            for name, one in found.definitions.items()
        }
        meters = self._meters(names)
        to_sync = self._out_of_step(definitions, meters, failed)
        horizon = self.now() + LOOK_AHEAD
        run = InvocationClock(self.now, self.pause, horizon)
        written = EntrySignal(self.ports.notifier)
        ports = replace(self.ports, clock=run, notifier=written)
        service = service_of(ports, definitions, names)

        def wake_mail() -> None:
            # At the horizon at the latest: entries written by a slow step are mailed as well.
            run.wake(MAIL, min(self.now(), horizon))

        publications = Publications(
            lambda name, found: self.expiries.publish(service, name, found), self.now
        )

        def step(name: str) -> datetime | None:
            if name == MAIL:
                return self._mail(failed)
            if name == PUBLICATIONS:
                return publications.take_turn()
            read = meters.pop(name, None)
            if name in found.broken and name not in definitions:
                # Only its meter is known, which is enough to stop it but not to start it.
                meter = read or self.ports.store.load(name)
                if is_open(meter, self.now()):
                    return latest_close(meter)
            if name in to_sync:
                read, seen = None, to_sync.pop(name)
                if self._adopted(service, name, seen):
                    run.wake(PUBLICATIONS, publications.add(name, seen))
                else:
                    failed.add(name)
            due = service.reconcile(name, read)
            if not self._limited(name, definitions.get(name)):
                failed.add(name)
            return due

        # The earliest close first: with more meters than workers, the last one waits.
        for name in sorted(names, key=lambda name: (_close_of(meters.get(name)), name)):
            run.wake(name)
        wake_mail()  # entries of other functions, and those left over
        # Mail is sent after a step, by another worker: a hanging topic delays no meter.
        failed |= run.run(written.after(step, wake_mail))
        return self._outcome(names, definitions, failed)

    def _limited(self, name: str, definition: Definition | None) -> bool:
        """Return whether the queue of an endpoint could be limited by its meter, or has none."""
        if name not in self.queues.names:
            return True
        try:
            endpoint = f"{self.ports.deployment}-{name}-async"
            self.queues.follow(endpoint, definition, self.ports.store.load(name), self.now())
        except Exception:
            log.exception("%s: its queue could not be limited", name)
            return False
        return True

    def _mail(self, failed: set[str]) -> datetime | None:
        """Send mail; return when to continue, or None. The next tick retries what failed."""
        try:
            return self.now() if self.mailer.deliver() else None
        except UnmailedError:
            failed.add(MAIL)
            return None

    def _out_of_step(
        self, names: Collection[str], meters: Mapping[str, Meter], failed: set[str]
    ) -> dict[str, Published | None]:
        """Return the published values that differ from their meter; none if SSM does not answer."""
        try:
            values = self.expiries.values_of(names)
        except (BotoCoreError, ClientError):
            log.exception("published expiries cannot be read; the run continues without them")
            failed.add(PUBLICATIONS)
            return {}
        found = {name: values.get(name) for name in names}
        return {
            name: one
            for name, one in found.items()
            if one is None or name not in meters or one.text != published(meters[name].expires_at)
        }

    def _adopted(self, service: MeterService, name: str, found: Published | None) -> bool:
        """Return whether an edit, if it is one, could be adopted; a failure is only logged."""
        try:
            self.expiries.adopt(service, name, found)
        except Exception:
            log.exception("%s: its published expiry could not be adopted", name)
            return False
        return True

    def _outcome(
        self, names: set[str], definitions: Mapping[str, Definition], failed: set[str]
    ) -> "_Outcome":
        """Return the state of the run's meters at its end."""
        meters, now = self._meters(names), self.now()
        unread = names - meters.keys()
        late = [
            overdue(definitions[name].spec if name in definitions else Spec(name), meter, now)
            for name, meter in meters.items()
        ]
        lasting = {
            name
            for name, meter in meters.items()
            if meter.run.trouble and meter.run.trouble_at is None
        }
        return _Outcome(
            unsettled=len(unread) + sum(not meter.settled for meter in meters.values()),
            overdue=max(late, default=ZERO),
            failed=failed | lasting | unread,
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The end of a run. `overdue`: the longest time an endpoint has lived past close and drain."""

    unsettled: int
    overdue: timedelta
    failed: set[str]


def _close_of(meter: Meter | None) -> datetime:
    return NEVER if meter is None else latest_close(meter)


def _raise_for(failed: Collection[str]) -> None:
    if failed:
        names = ", ".join(sorted(failed))
        raise ReconcileFailedError(f"could not be reconciled: {names}; see the log above")


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # A function has more processor time while it is initialized than when it handles an event.
    meter_clock()
