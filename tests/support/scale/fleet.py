"""Many meters of one deployment, and the real clock over them: how long it takes, what it asks.

EventBridge is played here. Every run has an environment of its own, as runs that overlap do.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from parkmeter.aws.clock import MeterClock, ReconcileFailedError
from parkmeter.aws.definitions import KnownDefinitions
from parkmeter.aws.expiry_parameter import ExpiryParameters, published
from parkmeter.aws.heartbeat import Heartbeat
from parkmeter.aws.hours_parameters import HoursParameters
from parkmeter.aws.invocation_clock import Round
from parkmeter.aws.mail import Mailing
from parkmeter.aws.wiring import NoGate, Ports, service_of
from parkmeter.core.events import MAILED
from parkmeter.core.meter import Meter, Phase, Run
from parkmeter.notify.log import LogNotifier
from parkmeter.notify.sns import SnsReceiver
from parkmeter.service.meters import MeterService
from parkmeter.stores.dynamodb import DynamoStore, Tables
from parkmeter.stores.dynamodb_items import write_meter
from parkmeter.stores.dynamodb_outbox import DynamoOutbox
from simulator.sagemaker.account import Account
from simulator.sagemaker.endpoint import Delays, Status
from simulator.sagemaker.faults import Faults
from tests.support.scale.services import (
    Data,
    PlainDynamo,
    PlainSageMaker,
    PlainSns,
    PlainSsm,
    publish,
)
from tests.support.scale.threads import START, WoundCrew, WoundThreads
from tests.support.scale.toll import Processor, Quota, Toll

DEFINITIONS, EXPIRIES = "/parkmeter/endpoints/", "/parkmeter/expiry/"
HOURS = "/parkmeter/hours/"
OF_SAGEMAKER = ("CreateEndpoint", "DeleteEndpoint", "DescribeEndpoint", "ListEndpoints", "ListTags")
DRAIN = timedelta(seconds=30)
ONE_CORE_MEGABYTES = 1769
"""The memory at which a function has one processor (AWS Lambda's documentation)."""

TIMEOUT_SECONDS = 150
"""Of the clock's function, whose memory is the above (`stacks/manager.py`)."""


class _Healthy:
    """A container that nobody asks."""

    address = "127.0.0.1:9"

    def healthy(self) -> bool:
        return True

    def close(self) -> None:
        pass


@dataclass
class Invocation:
    """One run of the clock: seconds since the beginning, and its own calls."""

    event: Mapping[str, Any]
    began: float
    toll: Toll
    ended: float | None = None
    failed: str = ""

    @property
    def seconds(self) -> float:
        assert self.ended is not None, "it has not ended"
        return self.ended - self.began


@dataclass
class Fleet:
    """A deployment. `quotas`: calls a second, by operation; what is not named has no limit.
    `warn_minutes`: before each close.
    `events`: SageMaker's are heard of, and each is a run by name."""

    megabytes: int = ONE_CORE_MEGABYTES
    quotas: dict[str, Quota] = field(default_factory=dict)
    latency: float = 0.020
    processing: float = 0.0015
    events: bool = False
    workers: int | None = None
    warn_minutes: tuple[float, ...] = ()
    threads: WoundThreads = field(default_factory=WoundThreads)
    data: Data = field(default_factory=Data)
    invocations: list[Invocation] = field(default_factory=list)
    printed: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        delays = Delays(create=timedelta(minutes=3), delete=timedelta(seconds=20))
        self.account = Account(self.threads.now, lambda _: _Healthy(), delays, Faults())
        self.account.create_model("model")
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": "model",
            "InstanceType": "ml.g5.xlarge",
        }
        self.account.create_config("config", {"ProductionVariants": [variant]})

    # ── What there is ────────────────────────────────────────────────────────────────────────────

    def settled(self, count: int) -> None:
        """Meters that nothing is to be done for."""
        for number in range(count):
            self._put(Meter(f"s{number:06}", version=3))

    def running(self, count: int, closes_in: Callable[[int], float]) -> None:
        """Endpoints in service; `closes_in`: how many seconds from now the time of each ends."""
        for number in range(count):
            name = f"r{number:06}"
            self._host(name).set_state(Status.IN_SERVICE, START)
            run = Run(
                phase=Phase.READY,
                reason="serving",
                started_at=START,
                created_at=START,
                ready_at=START,
                variant="ml.g5.xlarge",
                address=f"parkmeter-{name}",
            )
            close = START + timedelta(seconds=closes_in(number))
            self._put(Meter(name, close, START, START, run=run, settled=False, version=5))

    def starting(self, count: int) -> None:
        """Endpoints that get ready in three minutes."""
        for number in range(count):
            name = f"c{number:06}"
            self._host(name)
            run = Run(
                phase=Phase.STARTING,
                reason="starting on ml.g5.xlarge",
                started_at=START,
                created_at=START,
                attempts=1,
                next_try=START + timedelta(seconds=1),
                variant="ml.g5.xlarge",
            )
            credit, close = timedelta(minutes=30), START + timedelta(hours=1)
            self._put(Meter(name, close, START, START, credit, settled=False, run=run, version=2))

    def absent_with_time(self, count: int) -> None:
        """Meters with an hour on them, whose endpoints nobody has started yet."""
        for number in range(count):
            close = START + timedelta(hours=1)
            self._put(Meter(f"a{number:06}", close, START, START, settled=False, version=1))

    def _host(self, name: str) -> Any:
        tags = {"parkmeter:deployment": "parkmeter"}
        return self.account.create_endpoint(f"parkmeter-{name}", "config", tags)

    def _put(self, meter: Meter) -> None:
        name = meter.name
        self.data.put(write_meter("meters", meter, lines=3)["Put"]["Item"])
        publish(self.data, DEFINITIONS + name, _definition(name, self.warn_minutes), START)
        publish(self.data, EXPIRIES + name, published(meter.expires_at), START)

    # ── What happens ─────────────────────────────────────────────────────────────────────────────

    def tick(self) -> Invocation:
        """The minute has come."""
        return self._invoke({"kind": "tick"})

    def minutes(self, count: int) -> list[Invocation]:
        """So many ticks, a minute apart; all runs have ended afterwards. Returns the ticks."""
        ticks = []
        if self.events:
            self.account.notify = self._tell
        for _ in range(count):
            ticks.append(self.tick())
            self.threads.sleep(60)
        while any(run.event and run.ended is None for run in self.invocations):
            self.threads.sleep(1)
        return ticks

    def lateness(self) -> list[float]:
        """Seconds from each close and drain to the call that deletes the endpoint, sorted."""
        late = []
        for endpoint, at in self.data.deleted.items():
            item = self.data.items[endpoint.removeprefix("parkmeter-"), "meter"]
            expires_at = json.loads(item["body"])["expires_at"]
            late.append((at - START).total_seconds() - _seconds(expires_at) - DRAIN.total_seconds())
        return sorted(late)

    @property
    def stops(self) -> Counter[str]:
        """How many ends the journal of each endpoint tells of."""
        lines = (
            json.loads(item["body"])
            for (_, sk), item in self.data.items.items()
            if sk.startswith("entry#")
        )
        return Counter(line["endpoint"] for line in lines if line["kind"] == "stop")

    @property
    def calls(self) -> Counter[str]:
        """Of all runs."""
        return sum((run.toll.calls for run in self.invocations), Counter())

    @property
    def throttled(self) -> Counter[str]:
        """Of all runs."""
        return sum((run.toll.throttled for run in self.invocations), Counter())

    def _tell(self, event: dict[str, Any]) -> None:
        self._invoke({"source": "aws.sagemaker", "detail": event["detail"]})

    def _invoke(self, event: Mapping[str, Any]) -> Invocation:
        run = self._environment(event)
        clock = self._clock(run.toll)

        def life() -> None:
            try:
                clock.run(event)
            except ReconcileFailedError as error:
                run.failed = str(error)
            run.ended = self.threads.seconds

        self.threads.begin(life)
        return run

    def clock(self) -> MeterClock:
        """One that nobody called; what it asks counts all the same."""
        return self._clock(self._environment({}).toll)

    def service(self, name: str) -> MeterService:
        """What the clock asks to treat this meter."""
        clock = self.clock()
        return service_of(clock.ports, clock.find([name]).definitions)

    def _environment(self, event: Mapping[str, Any]) -> Invocation:
        processor = Processor(min(1.0, self.megabytes / ONE_CORE_MEGABYTES))
        toll = Toll(self.threads, processor, self.latency, self.processing, self.quotas)
        run = Invocation(event, self.threads.seconds, toll)
        self.invocations.append(run)
        return run

    def _clock(self, toll: Toll) -> MeterClock:
        threads, data = self.threads, self.data
        dynamodb, ssm = PlainDynamo(data, toll), PlainSsm(data, toll)
        crew = WoundCrew(threads, **({} if self.workers is None else {"workers": self.workers}))
        find = KnownDefinitions(ssm, DEFINITIONS).of
        store = DynamoStore(
            dynamodb,
            Tables(),
            posts=MAILED,
            pause=threads.sleep,
            ticks=lambda: threads.seconds,
        )
        return MeterClock(
            ports=Ports(
                store=store,
                sagemaker=PlainSageMaker(data, self.account, toll),
                clock=Round(threads.now, threads.sleep, START, crew),
                gate=NoGate(),
                notifier=LogNotifier(),
                deployment="parkmeter",
            ),
            find=find,
            expiries=ExpiryParameters(ssm, EXPIRIES),
            hours=HoursParameters(ssm, HOURS),
            heartbeat=Heartbeat(dynamodb, "meters"),
            mailing=Mailing(
                store,
                DynamoOutbox(dynamodb, "meters"),
                SnsReceiver(PlainSns(data, toll), "topic"),
                find,
                lambda _warning, _spec: None,
                threads.now,
            ),
            now=threads.now,
            pause=threads.sleep,
            say=lambda text: self.printed.append(json.loads(text)),
            crew=crew,
        )


def _definition(name: str, warn_minutes: tuple[float, ...]) -> str:
    return json.dumps(
        {
            "name": name,
            "endpoint": f"parkmeter-{name}",
            "variants": [{"instance_type": "ml.g5.xlarge", "config": "config"}],
            "api_resource": name,
            "price_per_hour": "1.41",
            "max_top_up_minutes": 1440,
            "max_minutes_ahead": 10080,
            "startup_credit_minutes": 30,
            "drain_seconds": DRAIN.total_seconds(),
            "warn_minutes": warn_minutes,
        }
    )


def _seconds(moment: str) -> float:
    return (datetime.fromisoformat(moment) - START).total_seconds()
