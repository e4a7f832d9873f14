"""A deployment on a wound clock: the real handlers over moto and the SageMaker simulator.

EventBridge is played here: its minute, its ten minutes, SageMaker's events. Each run of the clock
is a thread of a timeline, so runs overlap as they do on AWS.
"""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from parkmeter.aws.async_inference.capacity import MeteredQueues
from parkmeter.aws.clock import MeterClock, ReconcileFailedError
from parkmeter.aws.definitions import Found, KnownDefinitions
from parkmeter.aws.expiry_parameter import ExpiryParameters, published
from parkmeter.aws.heartbeat import Heartbeat
from parkmeter.aws.hours_parameters import HoursParameters
from parkmeter.aws.last_use import last_use
from parkmeter.aws.lifecycle import Lifecycle
from parkmeter.aws.link_secret import LinkSecret, api_address
from parkmeter.aws.mail import Mailer
from parkmeter.aws.wiring import NoGate, Ports, service_of
from parkmeter.core.events import Event, Extension
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Meter, Spec
from parkmeter.core.money import Minutes
from parkmeter.core.report import Report
from parkmeter.notify.log import LogNotifier
from parkmeter.notify.sns import SnsReceiver
from parkmeter.service.changes import Actor
from parkmeter.service.event_builder import extension_of
from parkmeter.service.journal_keeper import JournalKeeper
from parkmeter.service.meters import MeterService
from parkmeter.stores.dynamodb_outbox import DynamoOutbox
from simulator.deployment import Deployed, deployed
from simulator.sagemaker.endpoint import Delays
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.timeline import Timeline
from tests.support.wound_sagemaker import Wound

DELAYS = Delays(
    create=timedelta(minutes=1), provision=timedelta(seconds=30), delete=timedelta(seconds=20)
)
ADA = Actor("a1", "ada")
FLAN = "flan-t5"
SECOND = timedelta(seconds=1)


@dataclass
class Waker:
    """The clock of the control function: waking is an event for the clock's function."""

    life: "Life"

    def now(self) -> datetime:
        return self.life.now

    def wake(self, name: str, at: datetime | None = None) -> None:
        if at is None:
            self.life.events.append({"kind": "wake", "name": name})


@dataclass
class Flaky:
    """The topic; it fails `Life.sns_troubles` times."""

    topic: SnsReceiver
    life: "Life"

    def send(self, event: Event) -> None:
        if self.life.sns_troubles:
            self.life.sns_troubles -= 1
            raise EndpointConnectionError(endpoint_url="sns")
        self.topic.send(event)


@dataclass
class Life:
    """One deployment; `wind` advances the time.

    `heard`: the lines the clock printed. `failures`: the errors of its runs. `deaf`: no event is
    delivered. `at_once`: the number of simultaneous runs for each event.
    """

    deployment: Deployed
    sagemaker: SageMakerSimulator
    wound: Wound
    sns: Any
    topic: str
    sqs: Any
    queue: str
    events: list[dict[str, Any]] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    deaf: bool = False
    at_once: int = 1
    sns_troubles: int = 0
    queues: MeteredQueues = field(default_factory=MeteredQueues)

    def __post_init__(self) -> None:
        self.sagemaker.account.notify = self.events.append
        self.timeline = Timeline(self.wound)
        self._next_tick = self.now + timedelta(minutes=1)
        self._ticks = 0

    # ── The functions ────────────────────────────────────────────────────────────────────────────

    @property
    def ports(self) -> Ports:
        return Ports(
            store=self.deployment.store,
            sagemaker=self.sagemaker.client(),
            clock=Waker(self),
            gate=NoGate(last_use(self.deployment.dynamodb, self.deployment.tables.meters)),
            notifier=LogNotifier(),
            deployment="parkmeter",
        )

    @property
    def expiries(self) -> ExpiryParameters:
        return ExpiryParameters(self.deployment.ssm, self.expiry_path)

    @property
    def heartbeat(self) -> Heartbeat:
        return Heartbeat(self.deployment.dynamodb, self.deployment.tables.meters)

    @property
    def expiry_path(self) -> str:
        return self.deployment.path.replace("/endpoints/", "/expiry/")

    @cached_property
    def hours(self) -> HoursParameters:
        """Those of one warm function."""
        return HoursParameters(
            self.deployment.ssm, self.deployment.path.replace("/endpoints/", "/hours/")
        )

    @cached_property
    def known(self) -> KnownDefinitions:
        """Those of one warm function."""
        return KnownDefinitions(self.deployment.ssm, self.deployment.path)

    def find(self, names: Any) -> Found:
        return self.known.of(names)

    @property
    def mailer(self) -> Mailer:
        """The clock's; its topic fails `sns_troubles` times."""
        return Mailer(
            self.deployment.store,
            DynamoOutbox(self.deployment.dynamodb, self.deployment.tables.meters),
            Flaky(SnsReceiver(self.sns, self.topic), self),
            self.find,
            self._extension,
            self.wound.now,
        )

    def _extension(self, warning: Entry, spec: Spec) -> Extension | None:
        address = api_address(self.deployment.ssm, self.address_parameter)
        secret = LinkSecret(self.deployment.dynamodb, self.deployment.tables.meters)
        return address and extension_of(warning, spec, address, secret())

    @property
    def address_parameter(self) -> str:
        """The parameter with the API's address, if its stack is deployed."""
        return self.deployment.path.replace("/endpoints/", "/address")

    def clock(self, **changes: Any) -> MeterClock:
        made = MeterClock(
            ports=self.ports,
            find=self.find,
            expiries=self.expiries,
            hours=self.hours,
            heartbeat=self.heartbeat,
            mailer=self.mailer,
            journals=JournalKeeper(self.ports.store),
            queues=self.queues,
            now=self.wound.now,
            pause=self.timeline.sleep,
            emit=lambda text: self.heard.append(json.loads(text)),
        )
        return replace(made, **changes)

    def lifecycle(self, again: Callable[[Any], None] = lambda event: None) -> Lifecycle:
        return Lifecycle(
            ports=self.ports,
            find=self.find,
            expiries=self.expiries,
            again=again,
            now=self.wound.now,
            pause=self.pause,
        )

    def service(self) -> MeterService:
        """The service as control and tests use it."""
        names = [FLAN, *self.deployment.names]
        return service_of(self.ports, self.find(names).definitions)

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """Count the calls to AWS made meanwhile, by names such as `dynamodb:GetItem`."""
        calls: Counter[str] = Counter()

        def note(event_name: str, **_: Any) -> None:
            calls[event_name.removeprefix("before-call.").replace(".", ":")] += 1

        clients = (self.deployment.dynamodb, self.deployment.ssm, self.sns)
        before = len(self.sagemaker.account.calls)
        for client in clients:
            client.meta.events.register("before-call", note)
        yield calls
        for client in clients:
            client.meta.events.unregister("before-call", note)
        for call in self.sagemaker.account.calls[before:]:
            calls[f"sagemaker:{call.operation}"] += 1

    def run_alone(self, event: dict[str, Any], **changes: Any) -> None:
        """Run the clock once in this thread; its pauses wind the time."""
        pause = lambda seconds: self.wound.wind(seconds=seconds)  # noqa: E731
        self.clock(pause=pause, **changes).run(event)

    # ── Time ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def now(self) -> datetime:
        return self.wound.now()

    def wind(self, **amount: float) -> None:
        """Advance the time; ticks, sweeps and events come when they are due."""
        until = self.now + timedelta(**amount)
        while True:
            self._deliver()
            if self.now >= until:
                return
            # By the second, to notice SageMaker's own changes.
            moments = [until, self._next_tick, self.timeline.next_wake(), self.now + SECOND]
            self.timeline.go_to(min(moment for moment in moments if moment is not None))
            self.timeline.settle()
            if self.now >= self._next_tick:
                self._next_tick += timedelta(minutes=1)
                self._ticks += 1
                self._run({"kind": "tick"})
                if self._ticks % 10 == 0:
                    self._run({"kind": "sweep"})

    def pause(self, seconds: float) -> None:
        """Sleep for a function that the test itself called: time passes for all."""
        self.wind(seconds=seconds)

    def _deliver(self) -> None:
        """Run the clock for every event up to now."""
        self.sagemaker.account.endpoints()
        while self.events:
            event = self.events.pop(0)
            if not self.deaf:
                self._run(event)
            self.sagemaker.account.endpoints()

    def _run(self, event: dict[str, Any]) -> None:
        for _ in range(self.at_once):
            self.timeline.spawn(lambda: self._clock_runs(event))
        self.timeline.settle()

    def _clock_runs(self, event: dict[str, Any]) -> None:
        try:
            self.clock().run(event)
        except ReconcileFailedError as error:
            self.failures.append(str(error))

    # ── Users ────────────────────────────────────────────────────────────────────────────────────

    def top_up(self, minutes: float = 10, name: str = FLAN) -> Entry:
        return self.service().top_up(name, Minutes.of(minutes), ADA).entry

    def eject(self, name: str = FLAN) -> None:
        self.service().eject(name, ADA)

    def report(self, name: str = FLAN) -> Report:
        return self.service().report(name)

    def meter(self, name: str = FLAN) -> Meter:
        return self.deployment.store.load(name)

    def status(self, name: str = FLAN) -> str:
        return self.report(name).shown.status

    def lines(self, name: str = FLAN) -> list[Kind]:
        """Return the kinds of the journal's entries, oldest first."""
        return [entry.kind for entry in self.deployment.store.journal(name, 1000)][::-1]

    def there(self) -> dict[str, str]:
        """Return SageMaker's endpoints and their states."""
        return {one.name: str(one.status) for one in self.sagemaker.account.endpoints()}

    def calls(self, operation: str) -> list[str]:
        """Return the result of each call of this operation: the error's code, or empty."""
        calls = self.sagemaker.account.calls
        return [call.refused for call in calls if call.operation == operation]

    def moments(self, operation: str) -> list[datetime]:
        """Return the time of each call of this operation."""
        calls = self.sagemaker.account.calls
        return [call.at for call in calls if call.operation == operation]

    def mails(self) -> list[str]:
        """Return the subjects of new mails, in no order."""
        return [mail["Subject"] for mail in self.letters()]

    def letters(self) -> list[dict[str, str]]:
        """Return the mails since the last call, in no order."""
        letters = []
        while True:
            got = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
            messages = got.get("Messages", [])
            if not messages:
                return letters
            for message in messages:
                letters.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])

    # ── The published expiry ─────────────────────────────────────────────────────────────────────

    def published(self, name: str = FLAN) -> str | None:
        return dict(self.expiries.values()).get(name)

    def publish(self, value: datetime | str, name: str = FLAN, *, tell: bool = True) -> None:
        """Edit as an operator does in the console; `tell`: EventBridge's event comes."""
        text = value if isinstance(value, str) else published(value)
        parameter = self.expiry_path + name
        self.deployment.ssm.put_parameter(Name=parameter, Value=text, Type="String", Overwrite=True)
        if tell:
            self.events.append(
                {
                    "source": "aws.ssm",
                    "detail-type": "Parameter Store Change",
                    "detail": {"name": parameter, "operation": "Update", "type": "String"},
                }
            )


def utc(text: str) -> datetime:
    """Return a time such as `13:05:00` on the day of the tests."""
    return datetime.fromisoformat(f"2026-06-22T{text}").replace(tzinfo=UTC)


@contextmanager
def new_life(moto: str, clock: Wound, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    """Yield a deployment with Flan-T5 defined and nothing provisioned."""
    with (
        deployed(moto, monkeypatch.setenv) as deployment,
        SageMakerSimulator(clock.now, delays=DELAYS) as sagemaker,
    ):
        sagemaker.add_config("on-a10g", "ml.g5.12xlarge")
        sagemaker.add_config("on-a100", "ml.p4d.24xlarge")
        deployment.define(warn_minutes=[])
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        topic = sns.create_topic(Name=f"t-{uuid.uuid4().hex}")["TopicArn"]
        queue = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
        life = Life(deployment, sagemaker, clock, sns, topic, sqs, queue)
        yield life
        life.timeline.end()
        sns.close()
        sqs.close()
    assert sagemaker.bugs == []
    assert sagemaker.account.violations == []
