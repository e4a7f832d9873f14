"""The Lambda that makes endpoints follow their meters: all that need it each minute, one by name.

By name it is called after a top-up or an eject, when SageMaker says that an endpoint changed, and
when somebody edits a published expiry. Runs may overlap: every step is a conditional commit, and
who loses it does nothing. Knows the core and when to ask it; decides nothing.
"""

import logging
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.batch_read import readable_meters
from parkmeter.aws.definitions import LOOK_AGAIN, Definition, Found, KnownDefinitions
from parkmeter.aws.emf import metrics_line
from parkmeter.aws.expiry_parameter import ExpiryParameters, Published, published
from parkmeter.aws.heartbeat import Heartbeat
from parkmeter.aws.hours_parameters import HoursParameters
from parkmeter.aws.invocation_clock import Round
from parkmeter.aws.listed_control_plane import EVERY, WORTH_IT, RollCall
from parkmeter.aws.mail import Bell, Mailing, UnmailedError, mailing_of
from parkmeter.aws.wiring import PATIENCE, Environment, Ports, dynamodb, service_of
from parkmeter.aws.worker_pool import Crew
from parkmeter.core.meter import NEVER, ZERO, Meter, Phase, Spec, is_open, latest_close, overdue
from parkmeter.drivers.sagemaker import SageMakerDriver
from parkmeter.errors import DriverError
from parkmeter.service.meters import MeterService

log = logging.getLogger(__name__)

LOOK_AHEAD = timedelta(seconds=75)
"""A tick comes every minute, not to the second: what is due before the next one is waited for."""

_NOT_IN_THIS_RUN = timedelta(hours=1)

ROLL_CALL = "the list of endpoints"
POST = "what is to be mailed"
"""Among the names of a round; no endpoint can be called so."""


class ReconcileFailedError(Exception):
    """Raised at the end of a run in which some meters could not be treated; all others were."""


def handler(event: dict[str, Any], _context: Any) -> None:
    """One run; see `MeterClock.run`."""
    meter_clock().run(event)


@cache
def meter_clock() -> "MeterClock":
    """The clock of this function, from its environment."""
    environment, plain = Environment.given(), dynamodb()
    ssm = boto3.client("ssm", config=PATIENCE)
    ports = Ports.of(environment, plain, _between_runs())
    find = KnownDefinitions(ssm, environment.endpoints_path).of
    return MeterClock(
        ports=ports,
        find=find,
        expiries=ExpiryParameters(ssm, environment.expiry_path),
        hours=HoursParameters(ssm, environment.hours_path),
        heartbeat=Heartbeat(plain, environment.tables.meters),
        mailing=mailing_of(ports, plain, environment.tables, ssm, find),
    )


def _between_runs() -> Round:
    """A clock that nobody has look at anything; each run brings its own."""
    return Round(lambda: datetime.now(UTC), time.sleep, NEVER, Crew())


@dataclass(frozen=True, slots=True)
class MeterClock:
    """Runs reconcile for the meters that an event is about.

    `find` reads definitions; `pause` sleeps for some seconds; `say` prints a line where CloudWatch
    finds metrics.
    """

    ports: Ports
    find: Callable[[Collection[str]], Found]
    expiries: ExpiryParameters
    hours: HoursParameters
    heartbeat: Heartbeat
    mailing: Mailing
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    pause: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = print
    crew: Crew = field(default_factory=Crew)

    def run(self, event: Mapping[str, Any]) -> None:
        """Treat what the event is about, and stay until what falls due soon is done.

        Raises:
            UntreatedError: names those that could not be treated. Also for what passed by itself
                nobody repeats the event: the next tick does.

        """
        match event:
            case {"kind": "tick"}:
                self._tick()
            case {"kind": "sweep"}:
                self._sweep()
            case {"kind": "wake", "name": str(name)}:
                self._by_name(name)
            case {"source": "aws.sagemaker", "detail": {"EndpointName": str(endpoint), **more}}:
                whose = self._name_of(endpoint)
                if not (more.get("EndpointStatus") == "DELETING" and self._is_ending(whose)):
                    self._by_name(whose)
            case {"source": "aws.ssm", "detail": {"name": str(parameter)}}:
                self._by_name(self.expiries.endpoint_of(parameter))
            case _:
                raise ValueError(f"the clock does not know what to do with {sorted(event)}")

    # ── What there is to treat ───────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        """All that are not settled or have a window; two alarms live on the line it ends with."""
        scheduled = self.hours.due(self.now(), LOOK_AHEAD)
        treated = self._treat(set(self.ports.store.unsettled()) | scheduled)
        late = treated.overdue
        self.say(metrics_line(self.ports.deployment, self.now(), late, treated.unsettled))
        self.heartbeat.beat(self.now())
        _complain(treated.failed)

    def _sweep(self) -> None:
        """What ticks and events could have missed: unmetered endpoints, edits nobody told of."""
        names, failed = set(self.ports.store.unsettled()), set()
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
            log.error("the sweep goes on without a list: %s", error)  # noqa: TRY400 (in words)
            failed.add("the list of endpoints")
        try:
            names |= self._edited()
        except (BotoCoreError, ClientError):
            log.exception("the sweep goes on without published expiries")
            failed.add("the published expiries")
        _complain(failed | self._treat(names).failed)

    def _by_name(self, name: str | None) -> None:
        """Stays for what falls due, not to see how things go on: many of these may run at once."""
        if name is not None:
            _complain(self._treat({name}, look_again=_NOT_IN_THIS_RUN).failed)

    def _is_ending(self, name: str | None) -> bool:
        """Whether its end is our own doing, of which an event tells nothing."""
        meter = readable_meters(self.ports.store, [name]).get(name) if name else None
        return meter is not None and meter.run.phase is Phase.STOPPING

    def _name_of(self, endpoint: str) -> str | None:
        """Whose endpoint this is, by the names that the stacks give."""
        prefix = f"{self.ports.deployment}-"
        return endpoint.removeprefix(prefix) if endpoint.startswith(prefix) else None

    def _edited(self) -> set[str]:
        """Endpoints whose published expiry is not their meter's."""
        texts = dict(self.expiries.values())
        meters = readable_meters(self.ports.store, texts)
        # Whoever treats one that cannot be read finds out, and says so.
        return {
            name
            for name, text in texts.items()
            if name not in meters or text != published(meters[name].expires_at)
        }

    # ── Treating ─────────────────────────────────────────────────────────────────────────────────

    def _treat(self, names: set[str], look_again: timedelta = LOOK_AGAIN) -> "_Treated":
        found = self.find(names)
        failed = set(found.broken)
        definitions = {
            name: replace(one, spec=replace(one.spec, look_again=look_again))
            for name, one in found.definitions.items()
        }
        meters = readable_meters(self.ports.store, names)
        to_sync = self._published(definitions, meters, failed)
        horizon = self.now() + LOOK_AHEAD
        around = Round(self.now, self.pause, horizon, self.crew)
        roll = self._roll_call(definitions, meters, around)
        bell = Bell(self.ports.notifier)
        ports, listing = replace(self.ports, clock=around, notifier=bell), len(names) >= WORTH_IT
        if listing:
            ports = replace(ports, sagemaker=roll, store=ports.store.telling(roll.heed))
        service = service_of(ports, definitions, names)

        errands: dict[str, Callable[[], datetime | None]] = {
            ROLL_CALL: roll.call,
            POST: lambda: self._mailed(failed),
        }

        def post() -> None:
            # Never past the horizon: what was written by a look that took long is mailed as well.
            around.wake(POST, min(self.now(), horizon))

        def treat(name: str) -> datetime | None:
            if name in errands:
                return errands[name]()
            read = meters.pop(name, None)
            if name in found.broken and name not in definitions:
                # Nothing is known of it but its meter, and that is reason enough to end it only.
                meter = read or self.ports.store.load(name)
                if is_open(meter, self.now()):
                    return latest_close(meter)
            if name in to_sync:
                read = None
                if not self._synced(service, name, to_sync.pop(name)):
                    failed.add(name)
            return service.reconcile(name, read)

        # After the act, and on another worker: a topic that hangs keeps no meter waiting.
        look = bell.after(treat, post)
        if listing:
            failed |= self._called(roll)
        # Who closes first is looked at first: with many, the last one waits for the others.
        for name in sorted(names, key=lambda name: (_closes(meters.get(name)), name)):
            around.wake(name)
        post()  # what other functions posted, and what was left
        failed |= around.run(look)
        return self._looked_over(names, definitions, failed)

    def _mailed(self, failed: set[str]) -> datetime | None:
        """Mail what is posted; what could not be is tried again by the next tick."""
        try:
            return self.now() if self.mailing.deliver() else None
        except UnmailedError:
            failed.add(POST)
            return None

    def _roll_call(
        self, definitions: Mapping[str, Definition], meters: Mapping[str, Meter], around: Round
    ) -> RollCall:
        """For a run with many endpoints; nothing is listed yet."""
        roll = RollCall(
            self.ports.sagemaker,
            f"{self.ports.deployment}-",
            {name: one.endpoint for name, one in definitions.items()},
            self.now,
            again=lambda: around.wake(ROLL_CALL, self.now() + EVERY),
            ours=self.ports.ours,
        )
        for meter in meters.values():
            roll.heed(meter)
        return roll

    def _called(self, roll: RollCall) -> set[str]:
        """What failed: without a list, each endpoint is looked at."""
        try:
            roll.call()
        except (BotoCoreError, ClientError):
            log.exception("endpoints are looked at one by one")
            return {ROLL_CALL}
        return set()

    def _published(
        self, names: Collection[str], meters: Mapping[str, Meter], failed: set[str]
    ) -> dict[str, Published | None]:
        """What is published of those that are not in step; nothing is if SSM does not answer."""
        try:
            values = self.expiries.values_of(names)
        except (BotoCoreError, ClientError):
            log.exception("published expiries cannot be read; meters go on without them")
            failed.add("the published expiries")
            return {}
        found = {name: values.get(name) for name in names}
        return {
            name: one
            for name, one in found.items()
            if one is None or name not in meters or one.text != published(meters[name].expires_at)
        }

    def _synced(self, service: MeterService, name: str, found: Published | None) -> bool:
        """Whether the published expiry is in step; if not, the meter goes on all the same."""
        try:
            self.expiries.sync(service, name, found)
        except Exception:
            log.exception("%s: its published expiry could not be kept in step", name)
            return False
        return True

    def _looked_over(
        self, names: set[str], definitions: Mapping[str, Definition], failed: set[str]
    ) -> "_Treated":
        """How those that were treated stand now."""
        meters, now = readable_meters(self.ports.store, names), self.now()
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
        return _Treated(
            unsettled=len(unread) + sum(not meter.settled for meter in meters.values()),
            overdue=max(late, default=ZERO),
            failed=failed | lasting | unread,
        )


@dataclass(frozen=True, slots=True)
class _Treated:
    """How a run ended. `overdue`: of the one that has lived longest past close and drain."""

    unsettled: int
    overdue: timedelta
    failed: set[str]


def _closes(meter: Meter | None) -> datetime:
    return NEVER if meter is None else latest_close(meter)


def _complain(failed: Collection[str]) -> None:
    if failed:
        raise ReconcileFailedError(f"could not be treated: {', '.join(sorted(failed))}; see above")


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # While the function is being made it has more of a processor than when it is asked.
    meter_clock()
