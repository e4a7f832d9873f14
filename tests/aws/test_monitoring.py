"""The lines and failures by which the clock is monitored."""

import pytest

from parkmeter.core.journal import Kind
from simulator.sagemaker import refusals
from simulator.sagemaker.endpoint import Status
from stacks import names as agreed
from tests.support.aws_life import Life

HOSTED = "parkmeter-flan-t5"


def test_each_tick_ends_with_the_heartbeat_that_the_alarms_live_on(running: Life) -> None:
    running.heard.clear()
    running.wind(minutes=5)
    assert len(running.heard) == 5
    line = running.heard[0]
    (metrics,) = line["_aws"]["CloudWatchMetrics"]
    assert metrics["Namespace"] == agreed.METRICS
    assert metrics["Dimensions"] == [[agreed.METRICS_DIMENSION]]
    assert {metric["Name"] for metric in metrics["Metrics"]} == {agreed.OVERDUE, agreed.UNSETTLED}
    assert line[agreed.METRICS_DIMENSION] == "parkmeter"
    assert (line[agreed.OVERDUE], line[agreed.UNSETTLED]) == (0, 1)
    assert running.heartbeat.alive(running.now)


def test_an_endpoint_that_cannot_be_stopped_is_told_in_seconds_overdue(running: Life) -> None:
    running.eject()
    running.sagemaker.account.show(HOSTED, Status.SYSTEM_UPDATING)
    running.sagemaker.account.stick(HOSTED)
    running.wind(minutes=4)
    assert running.heard[-1][agreed.OVERDUE] > 120


def test_what_sagemaker_refuses_is_a_failure_of_the_run_and_told_once(running: Life) -> None:
    denied = refusals.denied("arn:aws:sts::1:assumed-role/x", "DeleteEndpoint", "arn:aws:y")
    running.sagemaker.faults.refuse("DeleteEndpoint", denied, times=120)
    running.eject()
    running.wind(minutes=2)
    assert running.failures
    assert running.lines().count(Kind.FAILURE) == 1
    running.wind(minutes=2)
    assert running.there() == {}


def test_an_event_that_nobody_knows_is_an_error(life: Life) -> None:
    with pytest.raises(ValueError, match="does not know"):
        life.clock().run({"kind": "tock"})
