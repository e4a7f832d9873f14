"""Invocations of the simulated SageMaker: plain, streamed, asynchronous, by a real server.

Each test states a fact of the real service; the client is boto3.
"""

import json
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from simulator.sagemaker import refusals
from simulator.sagemaker.containers import embedded_model
from simulator.sagemaker.endpoint import Delays, Status
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.driver_fixtures import wait_for
from tests.support.sagemaker_calls import code, create, message, ready, status

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
    assert message(refused) == "Endpoint flan of account 111122223333 not found."


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
    assert message(refused).startswith("Received server error (500) from primary with message")


def test_other_errors_of_the_runtime_have_their_own_status(control, runtime, sagemaker, clock):
    ready(control, clock)
    found = []
    for refusal in (refusals.model_not_ready(), refusals.unavailable()):
        sagemaker.faults.refuse("InvokeEndpoint", refusal)
        with pytest.raises(ClientError) as refused:
            runtime.invoke_endpoint(EndpointName="flan", Body=b"{}")
        found.append((code(refused), refused.value.response["ResponseMetadata"]["HTTPStatusCode"]))
    assert found == [("ModelNotReadyException", 429), ("ServiceUnavailable", 503)]


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
