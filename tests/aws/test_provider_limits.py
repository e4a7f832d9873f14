"""A provider that throttles, lists late and reports twice: endpoints still end in time, once."""

from dataclasses import replace
from datetime import timedelta

from parkmeter.core.journal import Kind
from tests.support.aws_life import DELAYS, FLAN, Life

HOSTED = "parkmeter-flan-t5"


def test_with_one_look_a_second_all_endpoints_are_deleted_within_half_a_minute(life: Life) -> None:
    names = [f"flan-{number}" for number in range(3)]
    for name in names:
        life.deployment.define(name, drain_seconds=0, startup_credit_minutes=0, warn_minutes=[])
        life.top_up(4, name)
    life.wind(minutes=3)
    assert len(life.there()) == len(names)
    life.sagemaker.faults.rates["DescribeEndpoint"] = 1
    close = max(life.meter(name).expires_at for name in names)
    life.wind(seconds=(close - life.now).total_seconds() + 30)
    deleted = life.moments("DeleteEndpoint")
    assert len(deleted) == len(names)
    assert max(deleted) <= close + timedelta(seconds=30)


def test_a_list_that_is_a_minute_behind_starts_and_stops_nothing_twice(life: Life) -> None:
    life.sagemaker.account.delays = replace(DELAYS, listing=timedelta(minutes=1))
    life.top_up(3)
    life.wind(seconds=10)
    life.run_alone({"kind": "sweep"})
    life.wind(minutes=5)
    assert life.there() == {}
    deleted = life.moments("DeleteEndpoint")[-1]
    assert life.now - deleted < timedelta(minutes=2)
    life.run_alone({"kind": "sweep"})
    assert (life.status(), life.there()) == ("stopped", {})
    assert (life.calls("CreateEndpoint"), life.calls("DeleteEndpoint")) == ([""], [""])
    assert Kind.FAILURE not in life.lines()


def test_events_that_come_twice_start_and_stop_nothing_twice(running: Life) -> None:
    running.at_once = 2
    running.top_up(5)
    running.wind(minutes=1)
    running.eject()
    running.wind(minutes=2)
    assert running.there() == {}
    assert running.calls("CreateEndpoint") == [""]
    assert running.calls("DeleteEndpoint").count("") == 1
    assert running.lines(FLAN).count(Kind.STOP) == 1
