"""Several meters of one deployment: a failure of one does not affect the others."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from parkmeter.aws import invocation_clock
from parkmeter.aws.expiry_parameter import published
from parkmeter.core.events import Event
from parkmeter.core.journal import Kind
from parkmeter.core.meter import Meter, is_open
from parkmeter.drivers import sagemaker
from stacks import names as agreed
from tests.support.aws_life import FLAN, SECOND, Life

HOSTED = "parkmeter-flan-t5"


@pytest.mark.parametrize("meters", [10, pytest.param(50, marks=pytest.mark.extended)])
def test_many_meters_in_one_account_live_and_end(
    life: Life, monkeypatch: pytest.MonkeyPatch, meters: int
) -> None:
    names = _started(life, meters)
    assert len(life.there()) == meters
    # In five pages: more than one of ListEndpoints, as with its default of ten.
    monkeypatch.setattr(sagemaker, "_PAGE", meters // 5)
    listed = len(life.calls("ListEndpoints"))
    life.clock().run({"kind": "sweep"})
    assert life.calls("ListEndpoints")[listed:] == [""] * 5
    assert {life.status(name) for name in names} == {"running"}
    closes = {name: life.meter(name).expires_at for name in names}
    assert max(closes.values()) - min(closes.values()) < SECOND  # all at once
    life.wind(minutes=6)
    assert life.there() == {}
    assert life.failures == []
    deleted = life.moments("DeleteEndpoint")
    assert len(deleted) == meters
    drained = max(closes.values()) + timedelta(seconds=30)
    assert drained <= min(deleted) <= max(deleted) <= drained + SECOND


def test_a_tick_reads_meters_and_parameters_many_at_once_and_sees_each_endpoint_once(
    life: Life,
) -> None:
    names = _started(life, 15)
    with life.counted() as calls:
        life.run_alone({"kind": "tick"})
    assert calls == {
        "dynamodb:Query": 2,  # the unsettled meters, and what is to be mailed
        "ssm:GetParametersByPath": 1,
        "ssm:GetParameters": 4,  # ten at once: definitions, published expiries
        "dynamodb:BatchGetItem": 2,  # a hundred at once: before and after
        "sagemaker:DescribeEndpoint": len(names),
        "sagemaker:ListTags": len(names),  # a new function knows no endpoint yet
        "dynamodb:PutItem": 1,
    }


def test_many_expiries_are_published_below_the_rate_that_ssm_takes(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = _started(life, 12)
    put, written = life.deployment.ssm.put_parameter, []

    def note(**request: Any) -> Any:
        written.append((life.now, request["Name"]))
        return put(**request)

    monkeypatch.setattr(life.deployment.ssm, "put_parameter", note)
    for name in names:
        life.top_up(5, name)
    begun = life.now
    life.run_alone({"kind": "tick"})
    assert len(written) == len(names)
    # Threads may read the wound clock after another has wound it on: each alone tells little.
    moments = sorted(at for at, _ in written)
    for number, at in enumerate(moments):
        assert at - begun >= number * timedelta(milliseconds=400)
    for name in names:
        assert life.published(name) == published(life.meter(name).expires_at)


def test_settled_meters_cost_a_tick_nothing(running: Life) -> None:
    with running.counted() as before:
        running.run_alone({"kind": "tick"})
    for number in range(20):
        running.deployment.store.commit(Meter(f"s{number:02}"), [])
    with running.counted() as after:
        running.run_alone({"kind": "tick"})
    assert after == before


@pytest.mark.parametrize("hanging", ["an endpoint", "the topic"])
def test_a_call_that_hangs_keeps_no_other_endpoint_from_being_stopped(
    life: Life, monkeypatch: pytest.MonkeyPatch, hanging: str
) -> None:
    monkeypatch.setattr(invocation_clock, "WORKERS", 4)
    names = _started(life, 6)
    life.wound.time = max(life.meter(name).expires_at for name in names) + timedelta(seconds=31)
    answered, others = threading.Event(), threading.Semaphore(0)
    control, stuck = life.sagemaker.client(), f"parkmeter-{names[0]}"
    describe, delete = control.describe_endpoint, control.delete_endpoint

    def describe_slowly(**request: Any) -> Any:
        if hanging == "an endpoint" and request["EndpointName"] == stuck:
            answered.wait()
        return describe(**request)

    def delete_and_count(**request: Any) -> Any:
        deleted = delete(**request)
        others.release()
        return deleted

    class Topic:
        def send(self, _event: Event) -> None:
            if hanging == "the topic":
                answered.wait()

    monkeypatch.setattr(control, "describe_endpoint", describe_slowly)
    monkeypatch.setattr(control, "delete_endpoint", delete_and_count)
    clock = life.clock(
        ports=replace(life.ports, sagemaker=control),
        mailer=replace(life.mailer, topic=Topic()),
        pause=lambda seconds: life.wound.wind(seconds=seconds),
    )
    run = threading.Thread(target=clock.run, args=({"kind": "tick"},))
    run.start()
    try:
        for _ in names[hanging == "an endpoint" :]:
            assert others.acquire(timeout=60)
    finally:
        answered.set()
        run.join()
    assert len(life.moments("DeleteEndpoint")) == len(names)


def test_an_event_of_a_stop_that_the_clock_itself_made_costs_one_read(running: Life) -> None:
    running.eject()
    running.wind(seconds=32)
    assert running.there() == {"parkmeter-flan-t5": "Deleting"}
    detail = {"EndpointName": "parkmeter-flan-t5", "EndpointStatus": "DELETING"}
    with running.counted() as calls:
        running.run_alone({"source": "aws.sagemaker", "detail": detail})
    assert calls == {"dynamodb:BatchGetItem": 1}


def test_a_meter_that_has_changed_since_it_was_read_is_read_again(running: Life) -> None:
    read = running.meter()
    running.top_up(60)
    running.wound.time = read.expires_at + timedelta(minutes=1)
    running.service().reconcile(FLAN, read)
    assert running.calls("DeleteEndpoint") == []
    assert is_open(running.meter(), running.now)


def _started(life: Life, count: int) -> list[str]:
    """Start `count` endpoints at once; they are in service afterwards."""
    names = [f"m{number:02}" for number in range(count)]
    for name in names:
        life.deployment.define(name, warn_minutes=[])
        life.top_up(5, name)
    life.wind(minutes=2)
    return names


def test_one_broken_meter_does_not_keep_the_others_from_being_stopped(life: Life) -> None:
    names = ["a", "b", "c"]
    for name in names:
        life.deployment.define(name, warn_minutes=[])
        life.top_up(10, name)
    life.wind(minutes=5)
    life.deployment.dynamodb.update_item(
        TableName=life.deployment.tables.meters,
        Key={"pk": "b", "sk": "meter"},
        UpdateExpression="SET body = :odd",
        ExpressionAttributeValues={":odd": "{"},
    )
    life.wind(minutes=10)
    assert life.there() == {"parkmeter-b": "InService"}
    assert life.failures
    assert all("could not be reconciled: b;" in failure for failure in life.failures)


def test_while_definitions_cannot_be_read_the_last_good_ones_hold(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.deployment.define(drain_seconds=120, startup_credit_minutes=0, warn_minutes=[])
    life.top_up(4)
    life.wind(minutes=2)
    assert life.status() == "running"
    close = life.meter().expires_at
    known = life.known
    monkeypatch.setattr(known, "_ssm", boto3.client("ssm", endpoint_url="http://localhost:9"))
    life.wind(minutes=5)
    (deleted,) = life.moments("DeleteEndpoint")
    assert timedelta(seconds=120) <= deleted - close <= timedelta(seconds=121)


def test_what_was_never_read_is_not_started_and_not_ended_before_its_time(life: Life) -> None:
    life.top_up(10)
    life.deployment.put(FLAN, "{}")
    del life.known
    life.wind(minutes=3)
    assert life.there() == {}
    assert life.lines() == [Kind.TOP_UP]
    assert life.failures


def test_a_broken_definition_ends_no_endpoint_early_and_keeps_none_from_ending(
    running: Life,
) -> None:
    running.deployment.put(FLAN, "{}")
    running.wind(minutes=5)
    assert running.there() == {HOSTED: "InService"}
    running.wind(minutes=7)
    assert running.there() == {}
    assert all("flan-t5" in failure for failure in running.failures)


def test_a_removed_definition_ends_its_endpoint(running: Life) -> None:
    running.deployment.ssm.delete_parameter(Name=running.deployment.path + FLAN)
    running.wind(minutes=2)
    assert running.there() == {}


def test_the_sweep_stops_what_bears_our_tag_and_has_no_meter(life: Life) -> None:
    tags = [{"Key": agreed.TAG, "Value": "parkmeter"}]
    for name, with_tags in (("parkmeter-lost", tags), ("parkmeter-theirs", [])):
        life.sagemaker.client().create_endpoint(
            EndpointName=name, EndpointConfigName="on-a10g", Tags=with_tags
        )
    life.deaf = True
    life.wind(minutes=15)
    assert life.there() == {"parkmeter-theirs": "InService"}


def test_events_of_endpoints_that_are_not_metered_change_nothing(life: Life) -> None:
    life.sagemaker.client().create_endpoint(
        EndpointName="parkmeter-flan-t5-async", EndpointConfigName="on-a10g"
    )
    life.wind(minutes=4)
    assert life.there() == {"parkmeter-flan-t5-async": "InService"}
    assert life.deployment.store.load("flan-t5-async").version == 0
    assert life.failures == []
