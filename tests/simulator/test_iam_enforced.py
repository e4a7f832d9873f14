"""IAM in the simulated cloud: what a role may not, its function cannot; and the table of grants."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulator.cloud import SimulatedCloud
from simulator.iam.account import HERE
from simulator.iam.table import table
from simulator.lambda_runtime.functions import MAX_PAYLOAD
from simulator.sagemaker.containers import canned
from tests.support.small_stack import deployed, function

pytestmark = pytest.mark.timeout(120)

CODE = """
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    print("called")
    try:
        answer = getattr(boto3.client(event["service"]), event["call"])(**event["with"])
    except ClientError as error:
        return {"code": error.response["Error"]["Code"], "message": str(error)}
    return {"code": "", "size": len(str(answer)), "long": "x" * event.get("long", 0)}
"""
HIDDEN = "arn:aws:ssm:us-east-1:111122223333:parameter/hidden/*"


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    """A function whose role may read one parameter, and logs nowhere."""
    with SimulatedCloud(launch=canned) as started:
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
        shown = "arn:aws:ssm:us-east-1:111122223333:parameter/shown"
        statements = [
            {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": [shown, HIDDEN]},
            {"Effect": "Deny", "Action": "ssm:GetParameter", "Resource": HIDDEN},
        ]
        listing = {"Effect": "Allow", "Action": "sagemaker:ListEndpoints", "Resource": "*"}
        policy = {
            "Type": "AWS::IAM::Policy",
            "Properties": {
                "PolicyName": "list",
                "PolicyDocument": {"Version": "2012-10-17", "Statement": [listing]},
                "Roles": [{"Ref": "Role"}],
            },
        }
        role = {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Statement": [trust]},
                "Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": statements}}],
            },
        }
        arn = {"Fn::GetAtt": ["Role", "Arn"]}
        limited = function(started, "limited", CODE, Role=arn)
        deployed(started, "limited", {"Role": role, "Policy": policy, "Function": limited})
        for name in ("/shown", "/hidden/a", "/other"):
            started.client("ssm").put_parameter(Name=name, Value="v", Type="String")
        yield started


def call(cloud: SimulatedCloud, service: str, operation: str, **members: Any) -> dict[str, Any]:
    event = {"service": service, "call": operation, "with": members}
    return json.loads(cloud.functions.invoke("limited", json.dumps(event).encode()).payload)


def test_a_granted_call_passes_and_any_other_fails_as_on_aws(cloud: SimulatedCloud):
    assert call(cloud, "ssm", "get_parameter", Name="/shown")["code"] == ""
    assert call(cloud, "sagemaker", "list_endpoints")["code"] == ""
    denied = call(cloud, "ssm", "get_parameter", Name="/other")
    assert denied["code"] == "AccessDeniedException"
    assert ":assumed-role/" in denied["message"]
    assert "parameter/other because no identity-based policy allows" in denied["message"]
    explicitly = call(cloud, "ssm", "get_parameter", Name="/hidden/a")
    assert "with an explicit deny" in explicitly["message"]


@pytest.mark.parametrize(
    ("service", "operation", "members"),
    [
        ("sagemaker", "describe_endpoint", {"EndpointName": "any"}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "any", "Body": "{}"}),
        ("dynamodb", "scan", {"TableName": "any"}),
        ("s3", "list_objects_v2", {"Bucket": "packages"}),
        ("dynamodb", "list_tables", {}),  # in no table of calls
    ],
)
def test_every_service_denies_in_its_own_words(
    cloud: SimulatedCloud, service: str, operation: str, members: dict[str, str]
):
    assert "AccessDenied" in call(cloud, service, operation, **members)["code"]


def test_a_role_that_may_not_write_logs_leaves_none(cloud: SimulatedCloud):
    call(cloud, "sagemaker", "list_endpoints")
    assert cloud.logs("limited") == []


def test_the_ledger_has_what_was_denied_and_what_was_never_used(cloud: SimulatedCloud):
    call(cloud, "ssm", "get_parameter", Name="/shown")
    call(cloud, "ssm", "get_parameter", Name="/other")
    ledger = cloud.iam.ledger
    assert any("ssm:GetParameter on arn" in line for line in ledger.missing())
    assert ledger.unused() == [f"limited Role: {HIDDEN} by ssm:GetParameter"]
    assert ledger.unmatched(HERE) == []
    assert "| limited Role | `ssm:GetParameter` |" in table(ledger.grants(), HERE)


def test_a_suspended_function_is_throttled_and_then_runs_again(cloud: SimulatedCloud):
    with cloud.functions.suspended("limited"):
        assert cloud.functions.invoke("limited", b"{}").error
        cloud.functions.start("limited", b"{}")
    assert call(cloud, "sagemaker", "list_endpoints")["code"] == ""


def test_requests_and_responses_beyond_lambdas_six_megabytes_are_refused(cloud: SimulatedCloud):
    with pytest.raises(ClientError, match="Request must be smaller"):
        cloud.client("lambda").invoke(FunctionName="limited", Payload=bytes(MAX_PAYLOAD + 1))
    event = {"service": "sagemaker", "call": "list_endpoints", "with": {}, "long": MAX_PAYLOAD}
    outcome = cloud.functions.invoke("limited", json.dumps(event).encode())
    assert b"Function.ResponseSizeTooLarge" in outcome.payload
