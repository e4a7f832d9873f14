"""The custom resource of an endpoint: deployed, deployed again, destroyed."""

from dataclasses import replace
from datetime import timedelta

from simulator.sagemaker.endpoint import Status
from tests.support.aws_life import Life, utc
from tests.support.custom_resources import CloudFormation, request

HOSTED = "parkmeter-flan-t5"


def test_a_redeploy_keeps_the_expiry(running: Life, answers: CloudFormation) -> None:
    before = running.meter()
    for kind in ("Update", "Create"):
        running.lifecycle().handle(request(answers, kind, minutes="999"), lambda: 900_000)
        assert answers.last["Status"] == "SUCCESS"
    assert running.meter() == before


def test_a_changed_instance_type_counts_from_the_next_start(running: Life) -> None:
    variants = [{"instance_type": "ml.p4d.24xlarge", "config": "on-a100"}]
    running.deployment.define(variants=variants, warn_minutes=[])
    running.wind(minutes=3)
    assert running.there() == {HOSTED: "InService"}
    running.wind(minutes=10)
    running.top_up(10)
    running.wind(minutes=4)
    (endpoint,) = running.sagemaker.account.endpoints()
    assert endpoint.config.name == "on-a100"


def test_destroying_stops_the_endpoint_first(running: Life, answers: CloudFormation) -> None:
    running.wind(minutes=1)
    running.lifecycle().handle(request(answers, "Delete"), lambda: 900_000)
    assert answers.last["Status"] == "SUCCESS"
    assert running.there() == {}
    assert running.published() is None
    running.wind(minutes=3)
    assert running.published() is None


def test_the_end_of_a_deployment_is_mailed_by_the_clock_as_long_as_it_is_there(
    running: Life, answers: CloudFormation
) -> None:
    running.mails()
    running.lifecycle().handle(request(answers, "Delete"), lambda: 900_000)
    running.wind(seconds=1)
    assert sorted(running.mails()) == [
        "parkmeter: flan-t5 has stopped",
        "parkmeter: flan-t5 is being removed",
    ]


def test_destroying_while_it_is_created_hands_over_before_the_function_ends(
    life: Life, answers: CloudFormation
) -> None:
    life.top_up(10)
    life.wind(seconds=10)
    handed: list = []
    ends = life.now + timedelta(minutes=2)

    def remaining() -> int:
        return int((ends - life.now).total_seconds() * 1000)

    life.lifecycle(handed.append).handle(request(answers, "Delete"), remaining)
    assert answers.answers == []
    (event,) = handed
    life.lifecycle(handed.append).handle(event, lambda: 900_000)
    assert answers.last["Status"] == "SUCCESS"
    assert life.there() == {}
    assert len(handed) == 1


def test_what_cannot_be_stopped_within_the_hour_fails_the_destroy_by_name(
    running: Life, answers: CloudFormation
) -> None:
    running.sagemaker.account.show(HOSTED, Status.SYSTEM_UPDATING)
    running.sagemaker.account.stick(HOSTED)
    begun = running.now
    asked = request(answers, "Delete") | {"ParkmeterSince": begun.isoformat()}
    running.wound.wind(minutes=50)
    # Without the clock, whose calls would be refused just the same.
    alone = replace(running.lifecycle(), pause=lambda seconds: running.wound.wind(seconds=seconds))
    alone.handle(asked, lambda: 900_000)
    assert answers.last["Status"] == "FAILED"
    assert HOSTED in answers.last["Reason"]
    assert timedelta(minutes=55) <= running.now - begun < timedelta(minutes=56)


def test_one_that_is_created_for_longer_than_the_hour_is_left_to_the_clock_and_then_destroyed(
    life: Life, answers: CloudFormation
) -> None:
    life.top_up(10)
    life.wind(seconds=10)
    life.sagemaker.account.stick(HOSTED)
    life.lifecycle().handle(request(answers, "Delete"), lambda: 900_000)
    assert answers.last["Status"] == "FAILED"
    assert "the clock, which is still deployed, deletes it" in answers.last["Reason"]
    assert life.there() == {HOSTED: "Creating"}
    life.sagemaker.account.unstick(HOSTED)
    life.wind(minutes=1)
    assert life.there() == {}
    life.lifecycle().handle(request(answers, "Delete"), lambda: 900_000)
    assert answers.last["Status"] == "SUCCESS"


def test_what_was_never_started_is_destroyed_at_once(life: Life, answers: CloudFormation) -> None:
    life.lifecycle().handle(request(answers, "Delete"), lambda: 900_000)
    assert answers.last["Status"] == "SUCCESS"
    assert life.now == utc("12:00:00")


def test_deployed_again_it_starts_with_its_first_minutes(
    running: Life, answers: CloudFormation
) -> None:
    running.lifecycle().handle(request(answers, "Delete"), lambda: 900_000)
    running.lifecycle().handle(request(answers, "Create", minutes="30"), lambda: 900_000)
    running.wind(minutes=4)
    assert running.status() == "running"


def test_an_endpoint_without_a_definition_is_not_created_and_says_what_to_deploy(
    life: Life, answers: CloudFormation
) -> None:
    asked = request(answers, "Create", name="phi", minutes="30")
    life.lifecycle().handle(asked, lambda: 900_000)
    assert answers.last["Status"] == "FAILED"
    assert "Deploy its MeteredStack first" in answers.last["Reason"]
