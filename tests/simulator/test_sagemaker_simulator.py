"""What SageMaker does and refuses, as far as parkmeter meets it, told of the simulator.

Each sentence is a row of what is known of the real service. boto3 is the client throughout.
"""

import http.client
import json
from datetime import timedelta

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ParamValidationError

from simulator.sagemaker import refusals
from simulator.sagemaker.containers import embedded_model
from simulator.sagemaker.endpoint import Delays, Status
from simulator.sagemaker.service_model import InventedAnswerError, hold_to_model, service
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.driver_fixtures import wait_for

HIDDEN = "arn:aws:sagemaker:us-east-1:111122223333:"


def create(control, name="flan", config="on-a10g", **more):
    return control.create_endpoint(EndpointName=name, EndpointConfigName=config, **more)


def status(control, name="flan"):
    return control.describe_endpoint(EndpointName=name)["EndpointStatus"]


def ready(control, clock, name="flan", config="on-a10g"):
    create(control, name, config)
    clock.wind(minutes=3)
    assert status(control, name) == "InService"


def said(refused):
    return refused.value.response["Error"]["Message"]


def code(refused):
    return refused.value.response["Error"]["Code"]


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
    told = control.describe_endpoint(EndpointName="flan")
    assert told["CreationTime"] == born
    assert told["LastModifiedTime"] == born + timedelta(minutes=3)


def test_a_deleted_endpoint_is_deleting_for_a_while_and_then_missing(control, clock):
    ready(control, clock)
    control.delete_endpoint(EndpointName="flan")
    assert status(control) == "Deleting"
    clock.wind(seconds=20)
    with pytest.raises(ClientError) as refused:
        status(control)
    assert code(refused) == "ValidationException"
    assert said(refused) == f'Could not find endpoint "{HIDDEN}endpoint/flan".'


@pytest.mark.parametrize(
    "state", [Status.CREATING, Status.UPDATING, Status.ROLLING_BACK, Status.SYSTEM_UPDATING]
)
def test_what_is_in_progress_cannot_be_deleted(control, sagemaker, state):
    create(control)
    sagemaker.account.show("flan", state)
    with pytest.raises(ClientError) as refused:
        control.delete_endpoint(EndpointName="flan")
    assert code(refused) == "ValidationException"
    assert said(refused).startswith("Cannot update in-progress endpoint")
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
    told = control.describe_endpoint(EndpointName="flan")
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", "on-a100")


def test_a_failed_endpoint_can_be_deleted_and_nothing_else(control, sagemaker, clock):
    sagemaker.faults.fail_next_create("flan", "no such weights")
    create(control)
    clock.wind(minutes=3)
    told = control.describe_endpoint(EndpointName="flan")
    assert (told["EndpointStatus"], told["FailureReason"]) == ("Failed", "no such weights")
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
    told = control.describe_endpoint(EndpointName="flan")
    assert told["EndpointStatus"] == "Failed"
    assert told["FailureReason"].startswith(
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
    told = control.describe_endpoint(EndpointName="flan")
    assert "did not pass the ping health check" in told["FailureReason"]


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
        assert not said(refused).startswith("Could not find endpoint")


def test_a_name_may_have_63_characters(control):
    create(control, "a" * 63)
    assert status(control, "a" * 63) == "Creating"


def test_the_case_of_a_name_is_kept_and_its_arn_is_in_lower_case(control):
    assert create(control, "Flan")["EndpointArn"] == f"{HIDDEN}endpoint/flan"
    assert control.describe_endpoint(EndpointName="flan")["EndpointName"] == "Flan"


def test_a_name_that_differs_in_case_only_exists_already(control):
    create(control, "flan")
    with pytest.raises(ClientError) as refused:
        create(control, "FLAN")
    assert said(refused) == f'Cannot create already existing endpoint "{HIDDEN}endpoint/flan".'


def test_an_invocation_minds_the_case(control, runtime, clock):
    ready(control, clock, "Flan")
    runtime.invoke_endpoint(EndpointName="Flan", Body=b"{}")
    with pytest.raises(ClientError) as refused:
        runtime.invoke_endpoint(EndpointName="flan", Body=b"{}")
    assert said(refused) == "Endpoint flan of account 111122223333 not found."


def test_a_name_is_taken_until_its_deletion_is_over(control, clock):
    ready(control, clock)
    control.delete_endpoint(EndpointName="flan")
    with pytest.raises(ClientError) as refused:
        create(control)
    assert said(refused).startswith("Cannot create already existing endpoint")
    clock.wind(seconds=20)
    create(control)


# ── Configs, quotas, tags ────────────────────────────────────────────────────────────────────────


def test_a_missing_config_is_told_apart_by_the_message_only(control):
    with pytest.raises(ClientError) as refused:
        create(control, config="on-nothing")
    assert code(refused) == "ValidationException"
    assert said(refused).startswith("Could not find endpoint configuration")


def test_a_new_config_is_not_found_at_once(control, sagemaker, clock):
    sagemaker.account.delays = Delays(config=timedelta(seconds=2))
    sagemaker.add_config("fresh", "ml.g5.xlarge")
    with pytest.raises(ClientError) as refused:
        create(control, config="fresh")
    assert said(refused).startswith("Could not find endpoint configuration")
    clock.wind(seconds=2)
    create(control, config="fresh")


def test_a_config_needs_its_model_and_a_known_instance_type(control, sagemaker):
    variant = {"VariantName": "AllTraffic", "ModelName": "none", "InstanceType": "ml.g5.xlarge"}
    with pytest.raises(ClientError) as refused:
        control.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    assert said(refused).startswith("Could not find model")
    with pytest.raises(ClientError) as refused:
        sagemaker.add_config("c", "ml.g5.tiny")
    assert "at 'productionVariants.1.member.InstanceType'" in said(refused)
    assert "Member must satisfy enum value set" in said(refused)


def test_a_config_is_described_as_it_was_made(control):
    told = control.describe_endpoint_config(EndpointConfigName="on-a10g")
    assert told["ProductionVariants"][0]["InstanceType"] == "ml.g5.12xlarge"


def test_deleting_a_config_in_use_is_not_refused_but_noted(control, sagemaker):
    create(control)
    control.delete_endpoint_config(EndpointConfigName="on-a10g")
    assert sagemaker.account.violations == ["on-a10g was deleted while flan used it"]
    with pytest.raises(ClientError):
        control.describe_endpoint_config(EndpointConfigName="on-a10g")


def test_a_create_over_the_quota_is_refused_and_leaves_nothing(control, sagemaker):
    sagemaker.faults.quotas["ml.g5.12xlarge"] = 1
    create(control, "first")
    with pytest.raises(control.exceptions.ResourceLimitExceeded) as refused:
        create(control, "second")
    assert said(refused).startswith(
        "The account-level service limit 'ml.g5.12xlarge for endpoint usage' is 1 Instances, with "
        "current utilization of 1 Instances and a request delta of 1 Instances."
    )
    assert [one["EndpointName"] for one in control.list_endpoints()["Endpoints"]] == ["first"]


def test_tags_are_kept_and_can_be_added(control):
    arn = create(control, Tags=[{"Key": "a", "Value": "1"}])["EndpointArn"]
    control.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    tags = control.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


def test_the_tags_of_what_is_missing_are_a_validation_error_of_other_words(control):
    with pytest.raises(ClientError) as refused:
        control.list_tags(ResourceArn=f"{HIDDEN}endpoint/none")
    assert (code(refused), said(refused)) == ("ValidationException", "Resource does not exist.")


# ── Listing ──────────────────────────────────────────────────────────────────────────────────────


def test_a_list_has_ten_a_page_and_a_token_for_the_next(control):
    for number in range(25):
        create(control, f"flan-{number}")
    pages = [control.list_endpoints()]
    while "NextToken" in pages[-1]:
        pages.append(control.list_endpoints(NextToken=pages[-1]["NextToken"]))
    assert [len(page["Endpoints"]) for page in pages] == [10, 10, 5]
    assert len({one["EndpointName"] for page in pages for one in page["Endpoints"]}) == 25


def test_a_page_may_have_a_hundred_and_no_more(control):
    for number in range(11):
        create(control, f"flan-{number}")
    assert len(control.list_endpoints(MaxResults=100)["Endpoints"]) == 11
    with pytest.raises(ClientError):
        control.list_endpoints(MaxResults=101)


def test_paging_goes_on_although_the_last_one_has_gone_meanwhile(control, clock):
    for name in "abcd":
        ready(control, clock, name)
    by_name = {"SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}
    page = control.list_endpoints(**by_name)
    control.delete_endpoint(EndpointName="b")
    clock.wind(seconds=20)
    page = control.list_endpoints(**by_name, NextToken=page["NextToken"])
    assert [one["EndpointName"] for one in page["Endpoints"]] == ["c", "d"]


def test_a_list_can_be_narrowed_and_comes_newest_first(control, clock):
    for name in ("flan", "falcon", "flan-async"):
        ready(control, clock, name)
    create(control, "flan-new")
    in_service = control.list_endpoints(StatusEquals="InService", NameContains="flan")
    assert [one["EndpointName"] for one in in_service["Endpoints"]] == ["flan-async", "flan"]


def test_a_made_up_token_is_refused(control):
    with pytest.raises(ClientError):
        control.list_endpoints(NextToken="page 2")


# ── Runtime ──────────────────────────────────────────────────────────────────────────────────────


def test_the_model_gets_the_body_as_it_is_and_answers_itself(control, runtime, clock):
    ready(control, clock)
    answer = runtime.invoke_endpoint(
        EndpointName="flan",
        Body=b'{"text_inputs": "hi"}',
        ContentType="application/json",
        Accept="application/json",
    )
    assert answer["ContentType"] == "application/json"
    assert json.loads(answer["Body"].read())["seen"] == {
        "path": "/invocations",
        "body": '{"text_inputs": "hi"}',
        "content_type": "application/json",
        "accept": "application/json",
    }


@pytest.mark.parametrize("state", [Status.CREATING, Status.DELETING, Status.FAILED])
def test_what_does_not_serve_is_not_found_at_runtime(control, runtime, sagemaker, state):
    create(control)
    sagemaker.account.show("flan", state)
    with pytest.raises(ClientError) as refused:
        runtime.invoke_endpoint(EndpointName="flan", Body=b"{}")
    assert code(refused) == "ValidationError"
    assert said(refused) == "Endpoint flan of account 111122223333 not found."


@pytest.mark.parametrize("state", [Status.UPDATING, Status.SYSTEM_UPDATING, Status.ROLLING_BACK])
def test_what_is_being_updated_serves(control, runtime, sagemaker, clock, state):
    ready(control, clock)
    sagemaker.account.show("flan", state)
    runtime.invoke_endpoint(EndpointName="flan", Body=b"{}")


def test_an_error_of_the_model_is_a_model_error_with_the_original(control, runtime, clock):
    ready(control, clock)
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        runtime.invoke_endpoint(EndpointName="flan", Body=b'{"answer_with": 500}')
    answer = refused.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 500
    assert answer["OriginalMessage"] == '{"error": "as requested"}'
    assert said(refused).startswith("Received server error (500) from primary with message")


def test_other_errors_of_the_runtime_have_their_own_status(control, runtime, sagemaker, clock):
    ready(control, clock)
    told = []
    for refusal in (refusals.model_not_ready(), refusals.unavailable()):
        sagemaker.faults.refuse("InvokeEndpoint", refusal)
        with pytest.raises(ClientError) as refused:
            runtime.invoke_endpoint(EndpointName="flan", Body=b"{}")
        told.append((code(refused), refused.value.response["ResponseMetadata"]["HTTPStatusCode"]))
    assert told == [("ModelNotReadyException", 429), ("ServiceUnavailable", 503)]


def test_six_megabytes_are_the_most_that_an_invocation_takes(control, runtime, clock):
    ready(control, clock)
    runtime.invoke_endpoint(EndpointName="flan", Body=b" " * 6_291_456)
    with pytest.raises(ClientError) as refused:
        runtime.invoke_endpoint(EndpointName="flan", Body=b" " * 6_291_457)
    assert code(refused) == "ValidationError"


def test_an_answer_can_be_streamed(control, runtime, clock):
    ready(control, clock)
    answer = runtime.invoke_endpoint_with_response_stream(EndpointName="flan", Body=b'{"a": 1}')
    whole = b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"])
    assert json.loads(whole)["generated_texts"] == ["a canned answer"]


@pytest.fixture
def asynchronous(control, sagemaker, clock):
    output = {"S3OutputPath": "s3://bucket/out", "S3FailurePath": "s3://bucket/failed"}
    sagemaker.add_config("async", "ml.g5.xlarge", AsyncInferenceConfig={"OutputConfig": output})
    ready(control, clock, "flan-async", "async")
    return "flan-async"


def test_an_async_call_is_accepted_with_the_places_of_its_outcome(runtime, sagemaker, asynchronous):
    answer = runtime.invoke_endpoint_async(
        EndpointName=asynchronous, InputLocation="s3://bucket/in/1", ContentType="application/json"
    )
    [job] = sagemaker.account.jobs
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["InferenceId"] == job.inference_id
    assert answer["OutputLocation"].startswith("s3://bucket/out/")
    assert answer["FailureLocation"].startswith("s3://bucket/failed/")
    assert job.input_location == "s3://bucket/in/1"
    assert job.headers == {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"Body": b"{}", "InputLocation": "s3://bucket/in/1"},
        {"Body": b" " * 128_001},
        {"Body": b"{}", "InvocationTimeoutSeconds": 3601},
        {"Body": b"{}", "RequestTTLSeconds": 59},
    ],
)
def test_an_async_call_that_is_not_valid_is_refused(runtime, asynchronous, wrong):
    with pytest.raises((ClientError, ParamValidationError)):
        runtime.invoke_endpoint_async(EndpointName=asynchronous, **wrong)


def test_an_async_endpoint_takes_only_async_calls_and_no_other_does(
    control, runtime, clock, asynchronous
):
    with pytest.raises(ClientError):
        runtime.invoke_endpoint(EndpointName=asynchronous, Body=b"{}")
    ready(control, clock)
    with pytest.raises(ClientError):
        runtime.invoke_endpoint_async(EndpointName="flan", Body=b"{}")


# ── What goes wrong on purpose ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("refusal", [refusals.throttled(), refusals.internal_failure()])
def test_a_refusal_can_be_ordered_and_has_no_effect(control, sagemaker, refusal):
    sagemaker.faults.refuse("CreateEndpoint", refusal)
    with pytest.raises(ClientError) as refused:
        create(control)
    assert code(refused) == refusal.code
    assert control.list_endpoints()["Endpoints"] == []
    create(control)


def test_an_answer_can_be_lost_after_its_effect(control, sagemaker):
    sagemaker.faults.lose_answers("CreateEndpoint")
    with pytest.raises(ConnectionClosedError):
        create(control)
    assert status(control) == "Creating"


# ── Held to the service model ────────────────────────────────────────────────────────────────────


def test_the_simulator_cannot_invent_or_omit_members():
    describe = service("sagemaker").operation_model("DescribeEndpointConfig")
    with pytest.raises(InventedAnswerError, match="Missing required"):
        hold_to_model({}, describe)
    with pytest.raises(InventedAnswerError, match="Unknown parameter"):
        hold_to_model({"EndpointStatusReason": "x"}, describe)
    with pytest.raises(InventedAnswerError, match="enum value set"):
        hold_to_model(
            {"Endpoints": [_summary("Sleeping")]},
            service("sagemaker").operation_model("ListEndpoints"),
        )


def _summary(state):
    return {
        "EndpointName": "flan",
        "EndpointArn": f"{HIDDEN}endpoint/flan",
        "CreationTime": 0,
        "LastModifiedTime": 0,
        "EndpointStatus": state,
    }


def raw(sagemaker, headers, body=b"{}"):
    connection = http.client.HTTPConnection(sagemaker.url.removeprefix("http://"))
    connection.request("POST", "/", body, headers)
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())["__type"]
    connection.close()
    return answer


SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260622/us-east-1/sagemaker/aws4_request",
    "Content-Type": "application/x-amz-json-1.1",
}


def test_what_boto3_would_not_send_is_refused_too(sagemaker):
    describe = {"X-Amz-Target": "SageMaker.DescribeEndpoint"}
    assert raw(sagemaker, describe) == (403, "MissingAuthenticationTokenException")
    assert raw(sagemaker, {**SIGNED, **describe}) == (400, "ValidationException")
    assert raw(sagemaker, {**SIGNED, **describe}, b"{") == (400, "SerializationException")
    unknown = {"X-Amz-Target": "SageMaker.StopEndpoint"}
    assert raw(sagemaker, {**SIGNED, **unknown}) == (400, "UnknownOperationException")
    not_simulated = {"X-Amz-Target": "SageMaker.CreateTrainingJob"}
    assert raw(sagemaker, {**SIGNED, **not_simulated}) == (501, "NotSimulated")


def test_botocore_finds_it_by_its_variables(sagemaker, monkeypatch):
    for name, value in sagemaker.environment().items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("sagemaker")
    assert client.list_endpoints()["Endpoints"] == []
    client.close()


def test_a_real_model_server_can_answer_behind_an_endpoint():
    pytest.importorskip("parkmeter.model_server")
    at_once = Delays(create=timedelta(0), delete=timedelta(0))
    with SageMakerSimulator(launch=embedded_model, delays=at_once) as real:
        real.add_config("on-cpu", "ml.m5.large")
        create(real.client(), config="on-cpu")
        server = real.account.endpoint("flan").container.process
        wait_for(lambda: status(real.client()) == "InService", "in service")
        answer = real.client("sagemaker-runtime").invoke_endpoint(
            EndpointName="flan",
            Body=b'{"text_inputs": "The weather today is", "max_length": 5}',
            ContentType="application/json",
        )
        assert json.loads(answer["Body"].read())["generated_texts"][0]
        real.client().delete_endpoint(EndpointName="flan")
        assert server.poll() is not None
