"""Calls that a story of the simulated cloud makes rarely by itself, and the page of its grants."""

import json
import os
from pathlib import Path
from typing import Any

from parkmeter.aws.link_secret import SECRET_PARTITION
from simulator.cloud import SimulatedCloud
from simulator.iam.account import HERE
from simulator.iam.table import Grant, table
from tests.support.custom_resources import cloudformation, request

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "aws-permissions.md"
WRITE = "PARKMETER_WRITE_PERMISSIONS"
"""Environment: if not empty, the page is written instead of compared."""

_HEAD = """# Permissions on AWS

What each role of a deployment may do: the statements of the deployed templates, for the prefix
`parkmeter` and one endpoint `flan-t5` with `idle_minutes`, `wake_minutes` and a metered queue; some
stand twice, without that queue and with it. Written by `make permissions`, which deploys
everything into the simulated cloud, where every call is held against these statements as IAM does
it: 0 calls without a grant, 0 grants without a call, 0 grants that could never match.

"""


def hold_to_the_page(grants: list[Grant]) -> None:
    """Compare the page in the documentation with these grants, or write it."""
    text = _HEAD + table(grants, HERE)
    if os.environ.get(WRITE):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, "stale: run `make permissions`"


def ask_without_an_authorizer(cloud: SimulatedCloud, token: str) -> None:
    """Call the control function with the event of an API without its authorizer's context."""
    headers = {"Authorization": token, "Host": "api"}
    event = {
        "resource": "/{proxy+}",
        "path": "/endpoints",
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": "endpoints"},
        "stageVariables": None,
        "requestContext": {"path": "/prod/endpoints", "httpMethod": "GET", "identity": {}},
        "body": None,
        "isBase64Encoded": False,
    }
    assert json.loads(_invoked(cloud, "parkmeter-control", event))["statusCode"] == 200


def lose_the_link_secret(cloud: SimulatedCloud) -> None:
    """Delete the secret that signs links: the next function that needs it makes another."""
    key = {"pk": {"S": SECRET_PARTITION}, "sk": {"S": "secret"}}
    cloud.client("dynamodb").delete_item(TableName="meters", Key=key)
    with cloud.functions.suspended("parkmeter-control"):
        pass  # its processes remember it


def look_up_a_price_in_vain(cloud: SimulatedCloud) -> None:
    """Look up a price again; there is no Price List here, so the last deployment's is read."""
    with cloudformation() as server:
        event = request(server, "Update")
        event["ResourceProperties"] = {
            "Name": "flan-t5",
            "InstanceTypes": ["ml.g5.48xlarge"],
            "Region": HERE.region,
        }
        _invoked(cloud, "parkmeter-flan-t5-price", event)
        assert server.last["Status"] == "SUCCESS"


def change_the_async_instance_type(cloud: SimulatedCloud) -> None:
    """Ask the async stack's function, as CloudFormation does first, for another instance type."""
    with cloudformation() as server:
        event = request(server, "Update")
        event["ResourceType"] = "Custom::ParkmeterInstanceType"
        event["ResourceProperties"] = {
            "AsyncEndpoint": "parkmeter-flan-t5-async",
            "InstanceType": "ml.g5.2xlarge",
            "Stack": "FlanT5AsyncStack",
        }
        _invoked(cloud, "parkmeter-flan-t5-async-bucket", event)
        assert "Nothing was changed" in server.last["Reason"]


def drop_the_queue(cloud: SimulatedCloud) -> None:
    """Ask the manager's check, as CloudFormation does, for an update without the queue."""
    with cloudformation() as server:
        event = request(server, "Update")
        event["ResourceType"] = "Custom::ParkmeterDeployCheck"
        event["ResourceProperties"] = {"Queues": [], "Endpoints": []}
        event["OldResourceProperties"] = {"Queues": ["flan-t5"], "Endpoints": []}
        _invoked(cloud, "parkmeter-deploy-check", event)
        assert "delete-stack --stack-name FlanT5AsyncStack" in server.last["Reason"]


def destroy_slowly(cloud: SimulatedCloud, name: str, variant: str) -> None:
    """Destroy the manager without the clock's help, in a function that must continue in another.

    The endpoint is scaled by hand, and its meter is one of an older version, without a mark.
    """
    cloud.sagemaker.account.scalable.register(variant)
    cloud.client("dynamodb").update_item(
        TableName="meters",
        Key={"pk": {"S": name}, "sk": {"S": "meter"}},
        UpdateExpression="REMOVE marked",
    )
    lambdas = cloud.client("lambda")
    lambdas.update_function_configuration(FunctionName="parkmeter-lifecycle", Timeout=61)
    with cloud.functions.suspended("parkmeter-clock"):
        cloud.cdk.destroy("EndpointManagerStack", "--exclusively")


def _invoked(cloud: SimulatedCloud, function: str, event: dict[str, Any]) -> bytes:
    outcome = cloud.functions.invoke(function, json.dumps(event).encode())
    assert not outcome.error, outcome.payload
    return outcome.payload
