"""The clock over ten thousand meters, in wound time: every call takes 20 ms and some processor."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from parkmeter.aws.clock import LOOK_AHEAD
from parkmeter.aws.crew import WORKERS
from parkmeter.aws.roll_call import RollCall
from parkmeter.aws.round import Round
from parkmeter.aws.wiring import PATIENCE
from parkmeter.drivers.sagemaker import PATIENCE as SAGEMAKER_PATIENCE
from parkmeter.meter import is_open
from tests.cloud.scale.fleet import OF_SAGEMAKER, TIMEOUT_SECONDS, Fleet
from tests.cloud.scale.threads import START, WoundCrew, WoundThreads
from tests.cloud.scale.toll import Quota

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
        "Query": 1,
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


def test_a_thousand_that_end_at_once_wait_for_the_processor_only(fleet) -> None:
    many = fleet()
    many.running(1_000, lambda _: 10)
    (tick, _) = many.minutes(2)
    late = many.lateness()
    assert len(late) == 1_000
    # Five calls for each, and a processor does 1.5 ms for a call.
    assert late[-1] <= 1_000 * 5 * 0.0015 + 1
    assert tick.seconds < TIMEOUT_SECONDS


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


@pytest.fixture
def seen(fleet):
    """A run's view of twelve endpoints, and what it asks."""
    some = fleet()
    some.running(12, never)
    clock = some.clock()
    plain = clock.ports.sagemaker
    ready = {f"parkmeter-r{number:06}": START for number in range(12)}
    again: list[float] = []
    roll = RollCall(
        plain,
        "parkmeter-",
        ready,
        some.threads.now,
        again=lambda: again.append(some.threads.seconds),
        ours=clock.ports.ours,
    )
    roll.call()
    return some, roll, again


ONE = {"EndpointName": "parkmeter-r000000"}


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
    clock = some.clock()
    ready = {"parkmeter-r000000": START - timedelta(seconds=1)}
    roll = RollCall(
        clock.ports.sagemaker, "parkmeter-", ready, some.threads.now, again=list, ours=set()
    )
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
    for patience in (PATIENCE, SAGEMAKER_PATIENCE):
        assert patience.max_pool_connections >= WORKERS
