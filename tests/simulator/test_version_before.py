"""A deployment made by the version before, updated by this one, in the simulated cloud."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from simulator.cloud import SimulatedCloud
from tests.support.version_before import export

# tests/stacks/test_version_before.py holds in short that an update replaces nothing.
pytestmark = [pytest.mark.extended, pytest.mark.timeout(900)]

TOKEN = "a pass code of the deployment before"
ENDPOINT = "parkmeter-flan-t5"
STACKS = (
    "FlanT5MeteredStack",
    "EndpointManagerStack",
    "FlanT5LambdaStack",
    "FlanT5AsyncStack",
    "APIStack",
)
NEVER_REPLACED = {
    "AWS::ApiGateway::RestApi",
    "AWS::DynamoDB::Table",
    "AWS::IAM::Role",
    "AWS::Lambda::Function",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::SageMaker::Endpoint",
    "AWS::SageMaker::EndpointConfig",
    "AWS::SageMaker::Model",
    "Custom::ParkmeterBucket",
    "Custom::ParkmeterEndpoint",
}
PROMPT = {"text_inputs": "Tell me a story.", "max_length": 20}


@pytest.fixture
def cloud() -> Iterator[SimulatedCloud]:
    """An account to which the version before was deployed."""
    with SimulatedCloud() as started:
        started.cdk.bootstrap()
        started.cdk.synth(export("src", "stacks", "app.py", "cdk.json", "requirements.txt"))
        for stack in STACKS:
            started.cdk.deploy(stack)
        item = {"token": {"S": TOKEN}, "scopes": {"SS": ["invoke", "top-up", "admin"]}}
        started.client("dynamodb").put_item(TableName="auth", Item=item)
        yield started
    assert started.sagemaker.bugs == []


def call(
    cloud: SimulatedCloud, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=60)
    sent = {"Authorization": TOKEN, "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"/prod{path}", json.dumps(body) if body else None, sent)
    response = connection.getresponse()
    document = json.loads(response.read() or "null")
    connection.close()
    return response.status, document


def wait_for(cloud: SimulatedCloud, status: str) -> None:
    """Wait for a status, with a tick of the clock now and then: here no minute passes by itself."""
    deadline, next_tick = time.monotonic() + 300, time.monotonic() + 40
    while call(cloud, "GET", "/endpoints/flan-t5")[1]["status"] != status:
        assert time.monotonic() < deadline, f"it is not {status}"
        if time.monotonic() > next_tick:
            cloud.tick()
            next_tick = time.monotonic() + 20
        time.sleep(0.2)


def resources(cloud: SimulatedCloud) -> dict[tuple[str, str], str]:
    """The physical id of each resource with data, an address or permissions.

    A changed id means that the resource was replaced.
    """
    found = cloud.client("cloudformation")
    return {
        (stack, one["LogicalResourceId"]): one["PhysicalResourceId"]
        for stack in STACKS
        for one in found.describe_stack_resources(StackName=stack)["StackResources"]
        if one["ResourceType"] in NEVER_REPLACED
        # An endpoint is updated by a configuration of another name.
        and (stack, one["ResourceType"]) != ("FlanT5AsyncStack", "AWS::SageMaker::EndpointConfig")
    }


def kept(cloud: SimulatedCloud, secret: str) -> dict[str, Any]:
    """All that an update must keep."""
    described = cloud.sagemaker.client().describe_endpoint(EndpointName=ENDPOINT)
    tables = cloud.client("dynamodb")
    return {
        "endpoint": (described["CreationTime"], described["EndpointConfigName"]),
        "expires_at": call(cloud, "GET", "/endpoints/flan-t5")[1]["expires_at"],
        "journal": call(cloud, "GET", "/endpoints/flan-t5/journal?limit=100")[1]["lines"],
        "tokens": [
            {key: value for key, value in one.items() if key != "speaks_for_others"}  # new
            for one in call(cloud, "GET", "/tokens")[1]["tokens"]
        ],
        "of the token": call(cloud, "GET", "/endpoints", Authorization=f"Bearer {secret}")[0],
        "tables": {
            name: tables.describe_table(TableName=name)["Table"]["CreationDateTime"]
            for name in tables.list_tables()["TableNames"]
        },
        "resources": resources(cloud),
    }


def test_a_stack_deployed_by_the_version_before_is_updated_without_losing_a_meter(cloud):
    wait_for(cloud, "running")
    status, issued = call(cloud, "POST", "/tokens", {"name": "ada", "scopes": ["invoke", "top-up"]})
    assert status == 201
    ada = {"Authorization": f"Bearer {issued['token']}", "Idempotency_Key": "once"}
    added = call(cloud, "POST", "/endpoints/flan-t5/top-ups", {"minutes": 30}, **ada)
    assert added[0] == 201
    before = kept(cloud, issued["token"])

    cloud.cdk.synth()
    for stack in STACKS:
        cloud.cdk.deploy(stack)

    handler = cloud.client("lambda").get_function(FunctionName="parkmeter-flan-t5-async-bucket")
    assert (
        handler["Configuration"]["Handler"]
        == "parkmeter.aws.async_inference.custom_resources.handler"
    )
    after = kept(cloud, issued["token"])
    assert before.pop("resources").items() <= after.pop("resources").items()
    assert after == before
    assert cloud.sagemaker.account.violations == []
    replayed = call(cloud, "POST", "/endpoints/flan-t5/top-ups", {"minutes": 30}, **ada)
    assert replayed == added
    status, answer = call(cloud, "POST", "/flan", PROMPT, Authorization=ada["Authorization"])
    assert (status, len(answer["generated_texts"])) == (200, 1)
    assert call(cloud, "POST", "/endpoints/flan-t5/eject", {})[0] == 200
    wait_for(cloud, "stopped")
    lines = call(cloud, "GET", "/endpoints/flan-t5/journal?limit=100")[1]["lines"]
    assert lines[-len(before["journal"]) :] == before["journal"]
