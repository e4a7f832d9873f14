"""The clock over ten thousand meters, in wound time: every call takes 20 ms and some processor."""

import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from parkmeter.aws.clock import LOOK_AHEAD
from parkmeter.aws.invocation_clock import Round
from parkmeter.aws.listed_control_plane import RollCall
from parkmeter.aws.wiring import PATIENCE
from parkmeter.aws.worker_pool import WORKERS
from parkmeter.core.meter import Meter, Phase, Run, Status, is_open
from parkmeter.core.money import Minutes
from parkmeter.drivers.sagemaker import CLIENT_CONFIG
from parkmeter.service.changes import Actor
from tests.support.scale.fleet import OF_SAGEMAKER, TIMEOUT_SECONDS, Fleet
from tests.support.scale.threads import START, WoundCrew, WoundThreads
from tests.support.scale.toll import Quota

ADA = Actor("ada", "ada")

OVERLAP = LOOK_AHEAD.total_seconds() - 60
"""So long the run before looks after what falls due, while a tick reads and sees its meters."""


@pytest.fixture
def fleets() -> Iterator[list[Fleet]]:
    made: list[Fleet] = []
    logging.disable(logging.CRITICAL)  # thousands of refusals
    yield made
    logging.disable(logging.NOTSET)
    for fleet in made:
        fleet.threads.end()


@pytest.fixture
def fleet(fleets: list[Fleet]):
    def make(settled: int = 0, a_second: float | None = None) -> Fleet:
        quotas = {"GetParameters": Quota(40)}
        if a_second is not None:
            quotas |= {operation: Quota(a_second) for operation in OF_SAGEMAKER}
        one = Fleet(quotas=quotas, events=True)
        one.settled(settled)
        fleets.append(one)
        return one

    return make


def never(_number: int) -> float:
    return 3600


# ── A tick ───────────────────────────────────────────────────────────────────────────────────────


def test_of_ten_thousand_meters_a_thousand_unsettled_are_treated_in_one_run(fleet) -> None:
    many = fleet(settled=9_000)
    many.running(950, lambda n: n - 20 if n < 50 else 3600)
    many.starting(50)
    (tick,) = many.minutes(1)
    assert tick.failed == ""
    assert tick.seconds < TIMEOUT_SECONDS
    late = many.lateness()
    assert len(late) == 50
    assert late[0] >= 0
    assert late[-1] <= 1


def test_meters_with_nothing_due_are_read_and_seen_many_at_once(fleet) -> None:
    many = fleet(settled=9_000)
    many.running(1_000, never)
    (tick,) = many.minutes(1)
    assert tick.toll.calls == {
        "Query": 2,  # who is unsettled, and what is to be mailed
        "GetParametersByPath": 1,
        "GetParameters": 200,  # ten at once: definitions, published expiries
        "BatchGetItem": 20,  # a hundred at once: before and after
        "ListEndpoints": 10,
        "PutItem": 1,
    }
    assert tick.seconds < OVERLAP / 2


def test_settled_meters_cost_a_tick_nothing(fleet) -> None:
    calls = []
    for settled in (10, 10_000):
        some = fleet(settled=settled)
        some.running(10, never)
        (tick,) = some.minutes(1)
        calls.append(tick.toll.calls)
    assert calls[0] == calls[1]


def test_each_of_a_thousand_that_end_in_one_minute_is_stopped_within_a_second(fleet) -> None:
    many = fleet(settled=9_000)
    many.running(1_000, lambda n: 60 * n / 1_000)
    ticks = many.minutes(2)
    late = many.lateness()
    assert len(late) == 1_000
    assert late[0] >= 0
    assert late[-1] <= 1
    assert all(tick.seconds < TIMEOUT_SECONDS for tick in ticks)
    assert set(many.stops.values()) == {1}  # also where a list lags behind
    assert len(many.stops) == 1_000


def test_a_thousand_that_end_at_once_wait_for_the_processor_only(fleet) -> None:
    many = fleet()
    many.running(1_000, lambda _: 10)
    (tick, _) = many.minutes(2)
    late = many.lateness()
    assert len(late) == 1_000
    # Five calls for each, and a processor does 1.5 ms for a call.
    assert late[-1] <= 1_000 * 5 * 0.0015 + 1
    assert tick.seconds < TIMEOUT_SECONDS


def test_a_topic_that_hangs_delays_no_stop_and_no_run_for_long(fleet) -> None:
    many = fleet()
    many.data.topic_hangs = 18
    many.running(100, lambda n: n / 2)
    ticks = many.minutes(3)
    late = many.lateness()
    assert len(late) == 100
    assert late[-1] <= 1
    assert all(tick.seconds < TIMEOUT_SECONDS for tick in ticks)
    assert many.data.mails == []
    assert "what is to be mailed" in ticks[1].failed
    many.data.topic_hangs = 0
    (tick,) = many.minutes(1)
    assert tick.failed == ""
    assert len(many.data.mails) == 100


def test_a_thousand_mails_go_out_beside_the_stops(fleet) -> None:
    many = fleet()
    many.running(1_000, lambda n: 60 * n / 1_000)
    ticks = many.minutes(5)
    assert many.lateness()[-1] <= 1
    lines = [
        name for name, place in many.data.items if place.startswith("entry#") and name[0] == "r"
    ]
    assert sorted(many.data.mails) == sorted(f"parkmeter: {name} has stopped" for name in lines)
    assert all(tick.seconds < TIMEOUT_SECONDS for tick in ticks)


def test_a_warning_that_is_written_past_the_horizon_is_mailed_by_the_same_run(fleet) -> None:
    slow = fleet()
    slow.latency = 2
    slow.warn_minutes = (1,)
    horizon = LOOK_AHEAD.total_seconds() + 5 * slow.latency  # what the run reads before it begins
    slow.running(1, lambda _: 60 + horizon)
    slow.tick()
    slow.threads.sleep(2 * horizon)
    (mail,) = slow.data.mails
    assert mail.startswith("parkmeter: r000000 stops in 5")


# ── Where SageMaker refuses ──────────────────────────────────────────────────────────────────────


def test_where_sagemaker_counts_calls_most_of_what_it_grants_goes_into_stops(fleet) -> None:
    many = fleet(a_second=20)
    many.running(1_000, lambda _: 10)
    ticks = many.minutes(4)
    late = many.lateness()
    assert len(late) == 1_000
    assert late[-1] <= 1.5 * 1_000 / 20
    assert all(tick.seconds < TIMEOUT_SECONDS for tick in ticks)
    assert many.account.endpoints() == []
    assert many.data.unsettled == set()


def test_of_an_end_that_is_our_own_doing_an_event_costs_one_read(fleet) -> None:
    some = fleet()
    some.running(3, lambda _: -30)
    some.minutes(1)
    by_name = [run for run in some.invocations if run.event.get("source") == "aws.sagemaker"]
    assert len(by_name) == 3
    assert {tuple(run.toll.calls.items()) for run in by_name} == {(("BatchGetItem", 1),)}


def test_a_run_that_is_refused_most_of_its_calls_ends_before_lambda_ends_it(fleet) -> None:
    many = fleet(a_second=2)
    many.running(300, lambda _: 10)
    ticks = many.minutes(3)
    assert all(tick.seconds < TIMEOUT_SECONDS for tick in ticks)
    assert len(many.printed) == 3
    assert many.printed[-1]["OverdueSeconds"] > 60


def test_without_a_list_each_endpoint_is_looked_at(fleet) -> None:
    some = fleet()
    some.quotas["ListEndpoints"] = Quota(0)
    some.running(20, lambda n: 0 if n < 10 else 3600)
    (tick, _) = some.minutes(2)
    assert "the list of endpoints" in tick.failed
    assert len(some.account.endpoints()) == 10
    assert some.lateness()[-1] <= 1


# ── What is believed of a list ───────────────────────────────────────────────────────────────────


NAME = "r000000"
ONE = {"EndpointName": f"parkmeter-{NAME}"}


def living(name: str, ready_at: datetime = START, phase: Phase = Phase.READY) -> Meter:
    """An open meter that saw its endpoint ready then, as it is read."""
    run = Run(phase=phase, ready_at=ready_at)
    return Meter(name, START + timedelta(hours=1), settled=False, run=run)


def closed(name: str) -> Meter:
    """A meter whose endpoint is to end."""
    return replace(living(name, phase=Phase.STOPPING), expires_at=START)


@pytest.fixture
def seen(fleet):
    """A run's view of twelve endpoints, and what it asks."""
    some = fleet()
    some.running(12, never)
    clock = some.clock()
    names = [f"r{number:06}" for number in range(12)]
    again: list[float] = []
    roll = RollCall(
        clock.ports.sagemaker,
        "parkmeter-",
        {name: f"parkmeter-{name}" for name in names},
        some.threads.now,
        again=lambda: again.append(some.threads.seconds),
        ours=clock.ports.ours,
    )
    for name in names:
        roll.heed(living(name))
    roll.call()
    return some, roll, again


def described(some: Fleet) -> int:
    return some.calls["DescribeEndpoint"]


def test_what_serves_as_it_did_is_described_by_the_list(seen) -> None:
    some, roll, again = seen
    assert roll.describe_endpoint(**ONE)["EndpointStatus"] == "InService"
    assert described(some) == 0
    assert again == []


def test_one_that_was_made_after_its_meter_saw_it_ready_is_another_one(fleet) -> None:
    some = fleet()
    some.running(1, never)
    sagemaker, names = some.clock().ports.sagemaker, {NAME: ONE["EndpointName"]}
    roll = RollCall(sagemaker, "parkmeter-", names, some.threads.now, again=list, ours=set())
    roll.heed(living(NAME, START - timedelta(seconds=1)))
    roll.call()
    roll.describe_endpoint(**ONE)
    assert described(some) == 1


def test_what_was_deleted_is_going_and_its_end_is_seen_in_a_later_list(seen) -> None:
    some, roll, again = seen
    roll.delete_endpoint(**ONE)
    assert roll.describe_endpoint(**ONE)["EndpointStatus"] == "Deleting"
    assert len(again) == 1
    some.threads.sleep(5)
    roll.call()
    assert len(again) == 2
    some.threads.sleep(20)
    roll.call()
    assert len(again) == 2
    with pytest.raises(ClientError, match="Could not find endpoint"):
        roll.describe_endpoint(**ONE)
    assert described(some) == 0
    # Once: somebody may have started it again.
    with pytest.raises(ClientError, match="Could not find endpoint"):
        roll.describe_endpoint(**ONE)
    assert described(some) == 1


def test_what_is_deleted_while_a_list_is_on_its_way_is_going(seen, monkeypatch) -> None:
    some, roll, _ = seen
    listed = roll.list_endpoints

    def slowly(**request):
        page = listed(**request)
        roll.delete_endpoint(**ONE)
        return page

    monkeypatch.setattr(roll, "list_endpoints", slowly)
    roll.call()
    assert roll.describe_endpoint(**ONE)["EndpointStatus"] == "Deleting"
    assert described(some) == 0


def test_an_old_list_is_not_believed_of_what_is_going(seen) -> None:
    some, roll, _ = seen
    roll.delete_endpoint(**ONE)
    some.threads.sleep(11)
    roll.describe_endpoint(**ONE)
    assert described(some) == 1


def test_a_list_that_is_behind_our_delete_is_not_believed(seen, monkeypatch) -> None:
    some, roll, _ = seen
    behind = roll.list_endpoints(MaxResults=100)
    roll.delete_endpoint(**ONE)
    monkeypatch.setattr(roll, "list_endpoints", lambda **_: behind)
    for _ in range(3):
        some.threads.sleep(5)
        roll.heed(closed(NAME))
        roll.call()
        assert roll.describe_endpoint(**ONE)["EndpointStatus"] == "Deleting"
    assert described(some) == 2


def test_what_is_to_end_and_turns_out_to_be_gone_is_not_seen_in_an_old_list_again(seen) -> None:
    some, roll, _ = seen
    listed = roll.describe_endpoint(**ONE)
    some.account.delete_endpoint("parkmeter-r000000")  # by another run
    some.threads.sleep(40)
    roll.heed(closed(NAME))
    assert roll.describe_endpoint(**ONE) == listed
    with pytest.raises(ClientError):
        roll.list_tags(ResourceArn=listed["EndpointArn"])
    with pytest.raises(ClientError, match="Could not find endpoint"):
        roll.describe_endpoint(**ONE)


def test_of_what_is_to_end_and_is_topped_up_no_list_is_believed(seen) -> None:
    some, roll, _ = seen
    roll.heed(closed(NAME))
    roll.heed(living(NAME, phase=Phase.STOPPING))
    roll.describe_endpoint(**ONE)
    roll.call()
    roll.describe_endpoint(**ONE)
    assert described(some) == 2


def test_a_list_is_not_believed_of_a_later_life(seen) -> None:
    some, roll, _ = seen
    some.account.delete_endpoint("parkmeter-r000000")  # by another run
    some.threads.sleep(40)
    made = some.account.create_endpoint(ONE["EndpointName"], "config", {})
    roll.heed(Meter(NAME, settled=False, run=Run(phase=Phase.STARTING, started_at=made.created)))
    assert roll.describe_endpoint(**ONE)["EndpointStatus"] == "Creating"
    roll.heed(living(NAME, ready_at=some.threads.now()))
    assert roll.describe_endpoint(**ONE)["EndpointStatus"] == "Creating"


def test_a_list_from_before_its_end_was_asked_for_is_never_believed_again(seen) -> None:
    some, roll, _ = seen
    roll.heed(living(NAME, phase=Phase.STOPPING))
    roll.describe_endpoint(**ONE)
    roll.heed(living(NAME))  # topped up before anybody deleted it
    roll.describe_endpoint(**ONE)
    assert described(some) == 2


def test_a_list_is_not_believed_of_what_was_asked_to_end_on_its_way(seen, monkeypatch) -> None:
    some, roll, _ = seen
    listed = roll.list_endpoints

    def slowly(**request):
        page = listed(**request)
        roll.heed(living(NAME, phase=Phase.STOPPING))
        return page

    monkeypatch.setattr(roll, "list_endpoints", slowly)
    roll.call()
    roll.describe_endpoint(**ONE)
    assert described(some) == 1


def test_that_it_is_gone_is_believed_of_a_meter_that_waits_for_it_only(seen) -> None:
    some, roll, _ = seen
    roll.delete_endpoint(**ONE)
    some.threads.sleep(25)
    roll.call()
    some.account.create_endpoint(ONE["EndpointName"], "config", {})
    roll.heed(Meter(NAME, settled=False, run=Run(phase=Phase.STARTING)))
    assert roll.describe_endpoint(**ONE)["EndpointStatus"] == "Creating"


def test_that_it_is_gone_is_not_believed_for_long(seen) -> None:
    some, roll, _ = seen
    roll.delete_endpoint(**ONE)
    some.threads.sleep(25)
    roll.call()
    some.threads.sleep(11)
    some.account.create_endpoint(ONE["EndpointName"], "config", {})
    assert roll.describe_endpoint(**ONE)["EndpointStatus"] == "Creating"


def test_many_workers_may_delete_while_a_list_is_read() -> None:
    """In real threads: what is deleted meanwhile is neither lost nor in anybody's way."""
    names = [f"n{number}" for number in range(400)]
    account = _Deleting(names)
    roll = RollCall(account, "n", dict(zip(names, names, strict=True)), lambda: START, list, set())
    for name in names:
        roll.heed(living(name))
    roll.call()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(WORKERS) as workers:
            deletes = [workers.submit(roll.delete_endpoint, EndpointName=name) for name in names]
            while not all(delete.done() for delete in deletes):
                roll.call()
    finally:
        sys.setswitchinterval(before)
    seen = {name: roll.describe_endpoint(EndpointName=name)["EndpointStatus"] for name in names}
    assert set(seen.values()) == {"Deleting"}


class _Deleting:
    """A control plane whose lists are behind: what it was asked to delete they show in service."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def list_endpoints(self, **_: Any) -> Any:
        serving = {"EndpointStatus": "InService", "CreationTime": START}
        return {
            "Endpoints": [{"EndpointName": n, "EndpointArn": n, **serving} for n in self._names]
        }

    def delete_endpoint(self, **_: Any) -> Any:
        return {}


def test_after_a_refused_delete_it_is_asked_how_it_is(seen) -> None:
    some, roll, _ = seen
    some.account.maintain("parkmeter-r000000")
    with pytest.raises(ClientError, match="in-progress"):
        roll.delete_endpoint(**ONE)
    assert roll.describe_endpoint(**ONE)["EndpointStatus"] == "SystemUpdating"
    assert described(some) == 1


def test_a_meter_that_changed_since_all_were_read_is_read_again(fleet) -> None:
    some = fleet()
    some.running(1, lambda _: -60)
    service, store = some.service("r000000"), some.clock().ports.store
    read = store.load("r000000")
    later = some.threads.now() + timedelta(hours=1)
    store.commit(replace(read, expires_at=later), [])
    service.reconcile("r000000", read)
    assert some.data.deleted == {}
    assert is_open(store.load("r000000"), some.threads.now())


def test_a_start_that_a_run_did_not_see_begin_keeps_its_credit(fleet) -> None:
    """The run listed the life before this one, and reads its meter again when its time is up."""
    some = fleet()
    some.running(12, lambda n: 70 if n == 0 else 3600)
    service = some.service(NAME)

    def another_run() -> None:
        some.threads.sleep(5)
        service.eject(NAME, ADA)
        while service.report(NAME).shown.status is not Status.STOPPED:
            some.threads.sleep(1)
            service.reconcile(NAME)
        service.top_up(NAME, Minutes.of(10), ADA)
        service.reconcile(NAME)

    some.threads.begin(another_run)
    some.minutes(1)
    meter = some.clock().ports.store.load(NAME)
    assert some.account.endpoint(ONE["EndpointName"]).status == "Creating"
    assert meter.run.phase is Phase.STARTING
    assert meter.credit_left == timedelta(minutes=30)


# ── A round ──────────────────────────────────────────────────────────────────────────────────────


def test_a_name_that_is_woken_while_it_is_looked_at_is_looked_at_again() -> None:
    threads = WoundThreads()
    around = Round(threads.now, threads.sleep, START + timedelta(seconds=10), WoundCrew(threads))
    looks: list[float] = []

    def look(name: str) -> None:
        looks.append(threads.seconds)
        if len(looks) == 1:
            around.wake(name)
        threads.sleep(3)

    around.wake("a")
    assert around.run(look) == set()
    assert looks == [0, 3]
    threads.end()


def test_what_is_due_longest_is_looked_at_first() -> None:
    threads = WoundThreads()
    crew = WoundCrew(threads, workers=2)
    around = Round(threads.now, threads.sleep, START + timedelta(seconds=60), crew)
    begun: list[str] = []

    def look(name: str) -> None:
        begun.append(name)
        threads.sleep(1)

    for number in range(10):
        around.wake(f"n{number}")
    around.wake("due", START - timedelta(seconds=1))
    around.run(look)
    assert begun[0] == "due"
    assert len(begun) == 11
    threads.end()


def test_every_worker_has_a_connection_of_its_own() -> None:
    for patience in (PATIENCE, CLIENT_CONFIG):
        assert patience.max_pool_connections >= WORKERS
