"""States and names of endpoints on the simulated SageMaker.

Each test states a fact of the real service; the client is boto3.
"""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from simulator.sagemaker.endpoint import Status
from tests.support.sagemaker_calls import ARN, code, create, message, ready, status

# ── States ───────────────────────────────────────────────────────────────────────────────────────


def test_a_new_endpoint_is_creating_and_then_in_service(control, clock):
    create(control)
    assert status(control) == "Creating"
    clock.wind(seconds=179)
    assert status(control) == "Creating"
    clock.wind(seconds=1)
    assert status(control) == "InService"


def test_creation_and_last_change_are_told(control, clock):
    born = clock.now()
    ready(control, clock)
    clock.wind(hours=1)
    found = control.describe_endpoint(EndpointName="flan")
    assert found["CreationTime"] == born
    assert found["LastModifiedTime"] == born + timedelta(minutes=3)


def test_a_deleted_endpoint_is_deleting_for_a_while_and_then_missing(control, clock):
    ready(control, clock)
    control.delete_endpoint(EndpointName="flan")
    assert status(control) == "Deleting"
    clock.wind(seconds=20)
    with pytest.raises(ClientError) as refused:
        status(control)
    assert code(refused) == "ValidationException"
    assert message(refused) == f'Could not find endpoint "{ARN}endpoint/flan".'


@pytest.mark.parametrize(
    "state", [Status.CREATING, Status.UPDATING, Status.ROLLING_BACK, Status.SYSTEM_UPDATING]
)
def test_what_is_in_progress_cannot_be_deleted(control, sagemaker, state):
    create(control)
    sagemaker.account.show("flan", state)
    with pytest.raises(ClientError) as refused:
        control.delete_endpoint(EndpointName="flan")
    assert code(refused) == "ValidationException"
    assert message(refused).startswith("Cannot update in-progress endpoint")
    assert status(control) == state


def test_maintenance_ends_by_itself_and_then_the_endpoint_can_be_deleted(control, sagemaker, clock):
    ready(control, clock)
    sagemaker.account.maintain("flan")
    assert status(control) == "SystemUpdating"
    clock.wind(minutes=3)
    control.delete_endpoint(EndpointName="flan")
    assert status(control) == "Deleting"


def test_an_update_keeps_it_in_service_with_another_config(control, clock):
    ready(control, clock)
    control.update_endpoint(EndpointName="flan", EndpointConfigName="on-a100")
    assert status(control) == "Updating"
    clock.wind(minutes=3)
    found = control.describe_endpoint(EndpointName="flan")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "on-a100")


def test_a_failed_endpoint_can_be_deleted_and_nothing_else(control, sagemaker, clock):
    sagemaker.faults.fail_next_create("flan", "no such weights")
    create(control)
    clock.wind(minutes=3)
    found = control.describe_endpoint(EndpointName="flan")
    assert (found["EndpointStatus"], found["FailureReason"]) == ("Failed", "no such weights")
    with pytest.raises(ClientError):
        control.update_endpoint(EndpointName="flan", EndpointConfigName="on-a100")
    control.delete_endpoint(EndpointName="flan")
    clock.wind(seconds=20)
    ready(control, clock)


def test_no_capacity_is_a_failure_that_says_so(control, sagemaker, clock):
    sagemaker.faults.without_capacity.add("ml.g5.12xlarge")
    create(control)
    create(control, "other", "on-a100")
    clock.wind(minutes=3)
    found = control.describe_endpoint(EndpointName="flan")
    assert found["EndpointStatus"] == "Failed"
    assert found["FailureReason"].startswith(
        "Unable to provision requested ML compute capacity due to "
        "InsufficientInstanceCapacity error."
    )
    assert status(control, "other") == "InService"


def test_a_container_that_never_answers_its_ping_is_a_failure_after_four_minutes(
    control, sagemaker, clock, monkeypatch
):
    create(control)
    container = sagemaker.account.endpoint("flan").container
    monkeypatch.setattr(container, "healthy", lambda: False)
    clock.wind(minutes=6)
    assert status(control) == "Creating"
    clock.wind(minutes=1)
    found = control.describe_endpoint(EndpointName="flan")
    assert "did not pass the ping health check" in found["FailureReason"]


def test_it_can_be_stuck_in_creating(control, sagemaker, clock):
    create(control)
    sagemaker.account.stick("flan")
    clock.wind(hours=24)
    assert status(control) == "Creating"
    sagemaker.account.unstick("flan")
    assert status(control) == "InService"


def test_every_change_of_state_is_an_event_in_upper_snake(control, sagemaker, clock):
    events = []
    sagemaker.account.notify = events.append
    ready(control, clock)
    sagemaker.account.maintain("flan")
    assert {event["detail-type"] for event in events} == {"SageMaker Endpoint State Change"}
    assert [event["detail"]["EndpointStatus"] for event in events] == [
        "CREATING",
        "IN_SERVICE",
        "SYSTEM_UPDATING",
    ]


# ── Names ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["under_score", "-flan", "flan-", "a" * 64, "fl an"])
def test_a_bad_name_is_refused_with_the_code_of_a_missing_endpoint(control, name):
    for call in (create, status):
        with pytest.raises(ClientError) as refused:
            call(control, name)
        assert code(refused) == "ValidationException"
        assert not message(refused).startswith("Could not find endpoint")


def test_a_name_may_have_63_characters(control):
    create(control, "a" * 63)
    assert status(control, "a" * 63) == "Creating"


def test_the_case_of_a_name_is_kept_and_its_arn_is_in_lower_case(control):
    assert create(control, "Flan")["EndpointArn"] == f"{ARN}endpoint/flan"
    assert control.describe_endpoint(EndpointName="flan")["EndpointName"] == "Flan"


def test_a_name_that_differs_in_case_only_exists_already(control):
    create(control, "flan")
    with pytest.raises(ClientError) as refused:
        create(control, "FLAN")
    assert message(refused) == f'Cannot create already existing endpoint "{ARN}endpoint/flan".'


def test_an_invocation_minds_the_case(control, runtime, clock):
    ready(control, clock, "Flan")
    runtime.invoke_endpoint(EndpointName="Flan", Body=b"{}")
    with pytest.raises(ClientError) as refused:
        runtime.invoke_endpoint(EndpointName="flan", Body=b"{}")
    assert message(refused) == "Endpoint flan of account 111122223333 not found."


def test_a_name_is_taken_until_its_deletion_is_over(control, clock):
    ready(control, clock)
    control.delete_endpoint(EndpointName="flan")
    with pytest.raises(ClientError) as refused:
        create(control)
    assert message(refused).startswith("Cannot create already existing endpoint")
    clock.wind(seconds=20)
    create(control)
