"""CloudFormation in the simulated cloud: order, custom resources, retention, SageMaker, events."""

import json
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from simulator.cloud import SimulatedCloud
from simulator.sagemaker.containers import canned
from tests.support.small_stack import (
    ANSWERING,
    PATIENCE,
    ROLE,
    deploy,
    ended,
    function,
    permission,
    reasons,
)

pytestmark = pytest.mark.timeout(120)

ASKED = (
    ANSWERING
    + """
def handler(event, context):
    print(json.dumps({key: event.get(key) for key in (
        "RequestType", "ResourceProperties", "OldResourceProperties", "PhysicalResourceId")}))
    answer(event, Data={"Said": "hello"})
"""
)
FAILING = (
    ANSWERING
    + """
def handler(event, context):
    wanted = event["ResourceProperties"].get("FailAt")
    failed = wanted == event["RequestType"]
    answer(event, Status="FAILED" if failed else "SUCCESS", Reason="no luck")
"""
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    with SimulatedCloud(launch=canned) as started:
        started.sagemaker.account.images |= {f"{REGISTRY}/model:2"}
        yield started


def custom(function_id: str, **properties: object) -> dict[str, object]:
    token = {"Fn::GetAtt": [function_id, "Arn"]}
    return {"Type": "Custom::Thing", "Properties": {"ServiceToken": token, **properties}}


def parameter(name: str, value: object) -> dict[str, object]:
    properties = {"Name": name, "Type": "String", "Value": value}
    return {"Type": "AWS::SSM::Parameter", "Properties": properties}


def requests(cloud: SimulatedCloud, name: str, count: int) -> list[dict[str, object]]:
    """The requests that a function printed, once there are `count` of them.

    A function answers CloudFormation before its output is read from its process, so a stack may be
    complete while the last line is still on its way.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        found = [json.loads(line) for line in cloud.logs(name) if line.startswith("{")]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def gone(cloud: SimulatedCloud, name: str) -> None:
    client = cloud.client("cloudformation")
    client.delete_stack(StackName=name)
    with pytest.raises(ClientError, match="does not exist"):
        ended(cloud, name)


def test_a_custom_resource_is_created_changed_and_deleted_by_its_function(cloud):
    def resources(size: int) -> dict[str, object]:
        return {
            "Told": parameter("/told", {"Fn::GetAtt": ["Thing", "Said"]}),
            "Thing": custom("Function", Size=size),
            "Function": code,
        }

    code = function(cloud, "asked", ASKED)
    said = {"Fn::GetAtt": ["Thing", "Said"]}
    assert deploy(cloud, "custom", resources(1), Said=said) == "CREATE_COMPLETE"
    (stack,) = cloud.client("cloudformation").describe_stacks(StackName="custom")["Stacks"]
    assert [one["OutputValue"] for one in stack["Outputs"]] == ["hello"]
    assert cloud.client("ssm").get_parameter(Name="/told")["Parameter"]["Value"] == "hello"
    assert deploy(cloud, "custom", resources(2)) == "UPDATE_COMPLETE"
    gone(cloud, "custom")
    by_type = {one["RequestType"]: one for one in requests(cloud, "asked", 3)}
    create, update, delete = (by_type[name] for name in ("Create", "Update", "Delete"))
    assert create["ResourceProperties"]["Size"] == "1"
    assert update["OldResourceProperties"]["Size"] == "1"
    assert update["PhysicalResourceId"] == "one"
    # The function was deleted after it; otherwise it could not have handled the request.
    assert delete["PhysicalResourceId"] == "one"


def test_an_unchanged_custom_resource_is_left_alone(cloud):
    resources = {"Function": function(cloud, "alone", ASKED), "Thing": custom("Function")}
    assert deploy(cloud, "unchanged", resources) == "CREATE_COMPLETE"
    more = {**resources, "Other": parameter("/other", "x")}
    assert deploy(cloud, "unchanged", more) == "UPDATE_COMPLETE"
    assert [event["RequestType"] for event in requests(cloud, "alone", 1)] == ["Create"]


def test_a_failed_creation_fails_the_stack_and_takes_back_what_was_made(cloud):
    resources = {
        "Function": function(cloud, "failing", FAILING),
        "First": parameter("/first", "x"),
        "Thing": {**custom("Function", FailAt="Create"), "DependsOn": "First"},
    }
    said = {"Fn::GetAtt": ["Thing", "Said"]}
    assert deploy(cloud, "unlucky", resources, Said=said) == "ROLLBACK_COMPLETE"
    (stack,) = cloud.client("cloudformation").describe_stacks(StackName="unlucky")["Stacks"]
    assert "Outputs" not in stack  # nothing is created again to show them
    assert "no luck" in reasons(cloud, "unlucky")
    ssm = cloud.client("ssm")
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name="/first")


def test_a_failed_deletion_keeps_the_stack_and_can_be_tried_again(cloud):
    code = function(cloud, "clinging", FAILING)
    resources = {"Function": code, "Thing": custom("Function", FailAt="Delete")}
    assert deploy(cloud, "clinging", resources) == "CREATE_COMPLETE"
    cloud.client("cloudformation").delete_stack(StackName="clinging")
    assert ended(cloud, "clinging") == "DELETE_FAILED"
    mended = ANSWERING + "def handler(event, context):\n    answer(event)"
    place = function(cloud, "clinging", mended)["Properties"]["Code"]
    cloud.client("lambda").update_function_code(FunctionName="clinging", **place)
    gone(cloud, "clinging")


def test_a_function_that_breaks_down_fails_the_stack_without_a_long_wait(cloud):
    broken = function(cloud, "broken", "def handler(event, context):\n    raise ValueError('oh')")
    resources = {"Function": broken, "Thing": custom("Function")}
    began = time.monotonic()
    assert deploy(cloud, "broken", resources) == "ROLLBACK_FAILED"
    assert "oh" in reasons(cloud, "broken")
    assert time.monotonic() - began < PATIENCE  # of the protocol itself: 300 seconds


def test_an_answer_may_come_from_a_later_run_of_the_function(cloud):
    code = (
        ANSWERING
        + """
import boto3

def handler(event, context):
    if event.get("again") or event["RequestType"] == "Delete":
        return answer(event)
    boto3.client("lambda").invoke(
        FunctionName=context.function_name,
        InvocationType="Event",
        Payload=json.dumps({**event, "again": True}),
    )
"""
    )
    resources = {"Function": function(cloud, "twice", code), "Thing": custom("Function")}
    assert deploy(cloud, "twice", resources) == "CREATE_COMPLETE"


# ── SageMaker ───────────────────────────────────────────────────────────────────────────────────


REGISTRY = "111122223333.dkr.ecr.us-east-1.amazonaws.com"


def hosted(image: str, instance_type: str = "ml.g5.12xlarge") -> dict[str, object]:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InstanceType": instance_type,
        "InitialInstanceCount": 1,
    }
    kept = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    return {
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {"Image": f"{REGISTRY}/{image}"},
            },
            **kept,
        },
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"ProductionVariants": [variant]},
            **kept,
        },
        "Name": parameter("/config", {"Fn::GetAtt": ["Config", "EndpointConfigName"]}),
    }


def config_name(cloud: SimulatedCloud) -> str:
    return cloud.client("ssm").get_parameter(Name="/config")["Parameter"]["Value"]


def test_a_replaced_model_replaces_what_names_it_and_what_is_retained_stays(cloud):
    assert deploy(cloud, "hosted", hosted("model:1")) == "CREATE_COMPLETE"
    before = config_name(cloud)
    assert deploy(cloud, "hosted", hosted("model:2")) == "UPDATE_COMPLETE"
    after = config_name(cloud)
    assert after != before
    gone(cloud, "hosted")
    describe = cloud.sagemaker.client().describe_endpoint_config
    models = [
        describe(EndpointConfigName=name)["ProductionVariants"][0]["ModelName"]
        for name in (before, after)
    ]
    assert models[0] != models[1]


def test_an_endpoint_is_there_when_its_stack_is_and_gone_when_it_is_deleted(cloud):
    endpoint = {
        "Type": "AWS::SageMaker::Endpoint",
        "Properties": {
            "EndpointName": "Given-Name",
            "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
        },
    }
    resources = {**hosted("model:1"), "Endpoint": endpoint}
    assert deploy(cloud, "serving", resources) == "CREATE_COMPLETE"
    said = cloud.sagemaker.client().describe_endpoint(EndpointName="Given-Name")
    assert said["EndpointStatus"] == "InService"
    gone(cloud, "serving")
    assert cloud.sagemaker.client().list_endpoints()["Endpoints"] == []


@pytest.mark.parametrize(
    ("image", "role", "reason"),
    [
        ("model:3", ROLE, "Requested image"),
        ("model:1", ROLE.replace("any", "unknown"), "Could not assume role"),
    ],
)
def test_a_model_with_an_unknown_image_or_role_fails_its_stack(cloud, image, role, reason):
    resources = hosted(image)
    resources["Model"]["Properties"]["ExecutionRoleArn"] = role
    assert deploy(cloud, reason.replace(" ", ""), resources) == "ROLLBACK_COMPLETE"
    assert reason in reasons(cloud, reason.replace(" ", ""))


def test_an_endpoint_that_fails_fails_its_stack(cloud):
    cloud.sagemaker.faults.fail_next_create("Doomed", "the model is broken")
    endpoint = {
        "Type": "AWS::SageMaker::Endpoint",
        "Properties": {
            "EndpointName": "Doomed",
            "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
        },
    }
    status = deploy(cloud, "doomed", {**hosted("model:1"), "Endpoint": endpoint})
    assert status == "ROLLBACK_COMPLETE"
    assert "the model is broken" in reasons(cloud, "doomed")
    assert cloud.sagemaker.client().list_endpoints()["Endpoints"] == []


# ── Events ──────────────────────────────────────────────────────────────────────────────────────


def test_what_happens_reaches_the_functions_whose_rules_ask_for_it(cloud):
    def rule(**properties: object) -> dict[str, object]:
        target = {"Arn": {"Fn::GetAtt": ["Function", "Arn"]}, "Id": "T"}
        given = properties.pop("Input", None)
        targets = [{**target, "Input": given} if given else target]
        return {"Type": "AWS::Events::Rule", "Properties": {"Targets": targets, **properties}}

    code = "import json\ndef handler(event, context):\n    print(json.dumps(event))"
    watched = {"source": ["aws.ssm"], "detail": {"name": [{"prefix": "/watched/"}]}}
    resources = {
        "Function": function(cloud, "listening", code),
        "Permission": permission("Function", "events.amazonaws.com"),
        "Minute": rule(ScheduleExpression="rate(1 minute)", Input='{"kind": "tick"}'),
        "Changed": rule(EventPattern=watched),
    }
    assert deploy(cloud, "events", resources) == "CREATE_COMPLETE"
    assert cloud.tick() == 1
    for name in ("/unwatched/a", "/watched/b"):
        cloud.client("ssm").put_parameter(Name=name, Value="1", Type="String")
    received = sorted(requests(cloud, "listening", 2), key=lambda event: "kind" not in event)
    assert received[0] == {"kind": "tick"}
    assert received[1]["detail-type"] == "Parameter Store Change"
    assert received[1]["detail"] == {"name": "/watched/b", "operation": "Create", "type": "String"}


# ── Protection and subscriptions ────────────────────────────────────────────────────────────────


def test_a_stack_with_termination_protection_is_deleted_after_it_is_switched_off(cloud):
    client = cloud.client("cloudformation")
    assert deploy(cloud, "kept", {"One": parameter("/kept", "1")}) == "CREATE_COMPLETE"
    client.update_termination_protection(StackName="kept", EnableTerminationProtection=True)
    assert client.describe_stacks(StackName="kept")["Stacks"][0]["EnableTerminationProtection"]
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        client.delete_stack(StackName="kept")
    client.update_termination_protection(StackName="kept", EnableTerminationProtection=False)
    gone(cloud, "kept")


def test_a_protected_table_fails_the_delete_of_its_stack_until_it_is_unprotected(cloud):
    def table(*, protected: bool) -> dict[str, object]:
        properties = {
            "TableName": "guarded",
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
            "DeletionProtectionEnabled": protected,
        }
        return {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": properties}}

    assert deploy(cloud, "guarded", table(protected=False)) == "CREATE_COMPLETE"
    assert deploy(cloud, "guarded", table(protected=True)) == "UPDATE_COMPLETE"
    cloud.client("cloudformation").delete_stack(StackName="guarded")
    assert ended(cloud, "guarded") == "DELETE_FAILED"
    tables = cloud.client("dynamodb")
    tables.update_table(TableName="guarded", DeletionProtectionEnabled=False)
    gone(cloud, "guarded")
    assert "guarded" not in tables.list_tables()["TableNames"]


def test_an_address_of_a_template_is_subscribed_to_its_topic_and_replaced_by_another(cloud):
    def mails(address: str) -> dict[str, object]:
        subscription = {"TopicArn": {"Ref": "Topic"}, "Protocol": "email", "Endpoint": address}
        return {
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "mails"}},
            "Mail": {"Type": "AWS::SNS::Subscription", "Properties": subscription},
        }

    def subscribed() -> list[str]:
        return [
            one["Endpoint"] for one in cloud.client("sns").list_subscriptions()["Subscriptions"]
        ]

    for address in ("ada@example.org", "bob@example.org"):
        deploy(cloud, "mails", mails(address))
        assert subscribed() == [address]
    gone(cloud, "mails")
    assert subscribed() == []
