"""Starts and stops of an endpoint on AWS, on a wound clock, with the races between them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from parkmeter.core.journal import Kind
from parkmeter.core.meter import Phase
from simulator.sagemaker import refusals
from tests.support.aws_life import DELAYS, FLAN, SECOND, Life, utc
from tests.support.custom_resources import CloudFormation, request

HOSTED = "parkmeter-flan-t5"


def test_the_first_provisioning_starts_the_endpoint_by_itself(
    life: Life, answers: CloudFormation
) -> None:
    life.lifecycle().handle(request(answers, "Create", minutes="60"), lambda: 900_000)
    assert answers.last["Status"] == "SUCCESS"
    life.wind(seconds=1)
    assert life.there() == {HOSTED: "Creating"}
    life.wind(minutes=4)
    assert life.status() == "running"
    # The start took one of them, and none of the sixty.
    assert life.report().left > timedelta(minutes=56, seconds=55)
    assert life.lines() == [Kind.TOP_UP, Kind.START, Kind.CREDIT, Kind.READY]


def test_at_the_end_of_its_time_it_is_deleted_within_a_second_of_the_drain(running: Life) -> None:
    close = running.meter().expires_at
    running.wind(minutes=12)
    assert running.there() == {}
    assert running.meter().settled
    (deleted,) = running.calls("DeleteEndpoint")
    assert deleted == ""
    stopped = running.deployment.store.journal(FLAN, 1)[0]
    assert stopped.kind is Kind.STOP
    (asked,) = running.moments("DeleteEndpoint")
    drained = close + timedelta(seconds=30)
    assert drained <= asked <= drained + SECOND
    assert running.failures == []


def test_wherever_between_two_ticks_it_ends_it_is_deleted_within_a_second(life: Life) -> None:
    life.deployment.define(drain_seconds=0, startup_credit_minutes=0, warn_minutes=[])
    life.top_up(5)
    life.wind(minutes=6)
    late = []
    for second in range(3, 60, 7):
        life.top_up(4 + second / 60)
        life.wind(seconds=1)
        close = life.meter().expires_at
        life.wind(minutes=6)
        assert life.there() == {}
        late.append(life.moments("DeleteEndpoint")[-1] - close)
    assert all(timedelta(0) <= each <= SECOND for each in late)


def test_a_top_up_starts_it_again(running: Life) -> None:
    running.wind(minutes=12)
    assert running.status() == "stopped"
    running.top_up(10)
    running.wind(seconds=1)
    assert running.there() == {HOSTED: "Creating"}
    running.wind(minutes=4)
    assert running.status() == "running"


def test_without_any_event_the_minute_alone_does_it_all(life: Life) -> None:
    life.deaf = True
    life.top_up(10)
    life.wind(minutes=6)
    assert life.status() == "running"
    life.wind(minutes=15)
    assert (life.status(), life.there()) == ("stopped", {})


@pytest.fixture
def creating(life: Life) -> Life:
    """An endpoint that takes seven minutes to be created, ejected after half a minute."""
    life.sagemaker.account.delays = replace(DELAYS, create=timedelta(minutes=7))
    life.top_up(10)
    life.wind(seconds=30)
    life.eject()
    return life


def test_one_that_is_being_created_is_deleted_within_a_second_of_the_event_that_permits_it(
    creating: Life,
) -> None:
    creating.wind(minutes=9)
    (asked,) = creating.moments("DeleteEndpoint")
    assert utc("12:07:00") <= asked <= utc("12:07:00") + SECOND
    assert creating.calls("DeleteEndpoint") == [""]
    assert (creating.status(), creating.there()) == ("stopped", {})
    assert Kind.FAILURE not in creating.lines()


@pytest.mark.parametrize("created_in", [407, 420, 431])
def test_where_the_event_is_lost_it_is_deleted_within_half_a_minute(
    life: Life, created_in: int
) -> None:
    life.sagemaker.account.delays = replace(DELAYS, create=timedelta(seconds=created_in))
    life.top_up(10)
    life.wind(seconds=30)
    life.eject()
    life.wind(seconds=1)
    life.deaf = True
    life.wind(minutes=9)
    permitted = utc("12:00:00") + timedelta(seconds=created_in)
    asked = life.moments("DeleteEndpoint")[-1]
    assert permitted <= asked <= permitted + timedelta(seconds=30)
    assert life.there() == {}


def test_while_it_is_being_created_a_closed_meter_makes_few_calls(creating: Life) -> None:
    creating.wind(seconds=10)
    with creating.counted() as calls:
        creating.wind(minutes=5)
    control = sum(count for name, count in calls.items() if name.startswith("sagemaker:"))
    assert calls["sagemaker:DeleteEndpoint"] == 0
    assert 5 * 2 <= control <= 5 * 6
    assert calls["dynamodb:TransactWriteItems"] == 0


def test_while_aws_maintains_it_nothing_can_be_deleted_and_then_it_is(running: Life) -> None:
    running.eject()
    running.sagemaker.account.maintain(HOSTED)
    running.wind(minutes=2)
    assert running.there() == {HOSTED: "SystemUpdating"}
    running.wind(minutes=2)
    assert running.there() == {}


def test_without_capacity_the_next_instance_type_is_taken(life: Life) -> None:
    life.sagemaker.faults.without_capacity.add("ml.g5.12xlarge")
    life.top_up(30)
    life.wind(minutes=6)
    assert life.status() == "running"
    (endpoint,) = life.sagemaker.account.endpoints()
    assert endpoint.config.name == "on-a100"
    failure = next(e for e in life.deployment.store.journal(FLAN, 50) if e.kind is Kind.FAILURE)
    assert "ml.g5.12xlarge" in failure.why
    assert "InsufficientInstanceCapacity" in failure.why


def test_one_that_keeps_failing_is_cleared_and_tried_again_more_and_more_rarely(
    life: Life,
) -> None:
    for _ in range(50):
        life.sagemaker.faults.fail_next_create(HOSTED, "the container did not start")
    life.top_up(10)
    life.wind(minutes=43)
    assert (life.status(), life.there()) == ("stopped", {})
    starts = life.lines().count(Kind.START)
    # Each takes a minute to fail; bought time and credit are 40 minutes.
    assert 8 < starts < 20


def test_a_top_up_while_it_is_being_deleted_ends_with_a_running_endpoint(running: Life) -> None:
    running.eject()
    running.wind(seconds=32)
    assert running.there() == {HOSTED: "Deleting"}
    running.top_up(10)
    running.wind(minutes=2, seconds=30)
    assert running.status() == "running"
    # The waiting for the former one to go was part of the start, and is given back.
    assert running.report().left > timedelta(minutes=8, seconds=30)


def test_a_top_up_between_the_decision_to_delete_and_its_commit_keeps_it_running(
    running: Life,
) -> None:
    store = running.deployment.store
    commit, topped_up = store.commit, []

    def late(meter, entries, *more):
        if meter.run.phase is Phase.STOPPING and not topped_up:
            topped_up.append(True)
            running.top_up(10)
        return commit(meter, entries, *more)

    store.commit = late
    running.wind(minutes=12)
    assert topped_up
    assert running.calls("DeleteEndpoint") == []
    assert running.there() == {HOSTED: "InService"}


def test_an_eject_between_the_intent_to_start_and_the_start_leaves_nothing_running(
    life: Life,
) -> None:
    client = life.sagemaker.client()
    create, ejected = client.create_endpoint, []

    def late(**asked):
        if not ejected:
            ejected.append(True)
            life.eject()
        return create(**asked)

    client.create_endpoint = late
    life.top_up(10)
    life.wind(minutes=6)
    assert ejected
    assert (life.status(), life.there()) == ("stopped", {})


def test_top_ups_one_after_another_do_not_pile_up_runs_of_the_clock(life: Life) -> None:
    life.top_up(10)
    life.wind(seconds=1)
    for _ in range(20):
        life.top_up(1)
        life.wind(seconds=1)
    assert life.timeline.asleep() <= 2
    assert len(life.calls("DescribeEndpoint")) < 60


def test_one_hiccup_of_sagemaker_is_not_mailed(running: Life) -> None:
    running.mails()
    running.sagemaker.faults.refuse("DescribeEndpoint", refusals.throttled(), times=3)
    running.wind(minutes=1)
    assert running.mails() == []
    assert running.failures == []
    assert Kind.FAILURE not in running.lines()


def test_clocks_that_overlap_write_one_line_and_send_one_message(life: Life) -> None:
    life.deployment.define(warn_minutes=[10, 2])
    life.at_once = 4
    life.top_up(14)
    life.wind(minutes=20)
    assert life.lines() == [
        Kind.TOP_UP,
        Kind.START,
        Kind.CREDIT,
        Kind.READY,
        Kind.WARNING,
        Kind.WARNING,
        Kind.STOP,
    ]
    assert sorted(life.mails()) == [
        "parkmeter: ada added 14 minutes to flan-t5",
        "parkmeter: flan-t5 has stopped",
        "parkmeter: flan-t5 is running",
        "parkmeter: flan-t5 is starting",
        "parkmeter: flan-t5 stops in 10 minutes",
        "parkmeter: flan-t5 stops in 2 minutes",
    ]
    assert life.failures == []
