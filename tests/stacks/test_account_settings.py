"""Settings of an account with rules of its own: keys, tags, networks, boundaries, kept tables."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

import app
from stacks.encryption import encrypt_volumes, volume_key
from stacks.settings import Container, ExistingTable, Settings, Vpc
from tests.support.synthesized import Templates, flat, listed, synthesized

MANAGER, API, ASYNC = "EndpointManagerStack", "APIStack", "FlanT5AsyncStack"
TABLE = "AWS::DynamoDB::Table"
CONFIG = "AWS::SageMaker::EndpointConfig"


def test_in_production_the_tables_outlive_their_stacks_and_both_are_protected(guarded: Templates):
    table = guarded.one(MANAGER, TABLE)
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert table["Properties"]["DeletionProtectionEnabled"] is True
    assert {name for name, kept in guarded.protected.items() if kept} == {MANAGER, API}


def test_otherwise_all_goes_with_the_stacks(seed: Templates):
    for stack in (MANAGER, API):
        table = seed.one(stack, TABLE)
        assert table["DeletionPolicy"] == "Delete"
        assert "DeletionProtectionEnabled" not in table["Properties"]
    assert not any(seed.protected.values())


def test_a_table_under_another_name_is_the_one_that_functions_use(guarded: Templates):
    assert guarded.one(MANAGER, TABLE)["Properties"]["TableName"] == "ml-meters"
    for _, logical_id, resource in guarded.everything():
        if resource["Type"] == "AWS::Lambda::Function":
            given = resource["Properties"]["Environment"]["Variables"]
            assert given["PARKMETER_METERS_TABLE"] == "ml-meters", logical_id
            assert given["PARKMETER_AUTH_TABLE"] == "pass-codes", logical_id


def test_a_table_that_exists_is_used_and_not_created(guarded: Templates):
    assert not guarded.of_type(API, TABLE)
    (read,) = (
        statement
        for statement in guarded.statements(API, "AuthorizerRole")
        if "dynamodb:GetItem" in statement["Action"]
    )
    assert flat(read["Resource"]).endswith(":table/pass-codes")


def test_tags_are_on_every_stack_and_on_endpoints(guarded: Templates):
    # CloudFormation gives the tags of a stack to its resources.
    for stack, tags in guarded.tags.items():
        assert tags == {"project": "parkmeter", "team": "search"}, stack
    parameter = guarded.one(
        "FlanT5MeteredStack", "AWS::SSM::Parameter", Name="/parkmeter/endpoints/flan-t5"
    )
    assert json.loads(flat(parameter["Properties"]["Value"]))["tags"] == {"team": "search"}


def test_where_the_tag_project_is_yours_another_one_marks_the_stacks(tmp_path: Path, context):
    settings = dataclasses.replace(app.SETTINGS, tags={"project": "search"})
    found = synthesized(settings, tmp_path, context).tags
    marked = {"project": "search", "parkmeter:project": "parkmeter"}
    assert all(tags == marked for tags in found.values())


def test_an_artifact_that_sagemaker_would_not_take_is_a_warning(tmp_path: Path, context):
    model = Container(image="m:1", artifact="s3://assets/63689762.gz", own_registry=True)
    flan = dataclasses.replace(app.FLAN_T5_XXL, model=model)
    settings = dataclasses.replace(app.SETTINGS, endpoints=(flan,))
    found = synthesized(settings, tmp_path, context).messages
    for stack in ("FlanT5MeteredStack", ASYNC):
        (said,) = [text for _, text in found[stack] if "SageMaker takes one model.tar.gz" in text]
        assert "'63689762.gz' does not end in .tar.gz (assets of CDK end in .gz)" in said


def test_every_role_is_bounded(guarded: Templates, seed: Templates):
    boundary = guarded.settings.permissions_boundary
    roles = [one for *_, one in guarded.everything() if one["Type"] == "AWS::IAM::Role"]
    assert len(roles) > 8
    assert {role["Properties"]["PermissionsBoundary"] for role in roles} == {boundary}
    for *_, resource in seed.everything():
        assert "PermissionsBoundary" not in resource.get("Properties", {})


def test_a_key_encrypts_tables_async_objects_and_disks_and_may_be_used_through_them_only(
    guarded: Templates,
):
    key = guarded.settings.kms_key
    encrypted = guarded.one(MANAGER, TABLE)["Properties"]["SSESpecification"]
    assert (encrypted["KMSMasterKeyId"], encrypted["SSEEnabled"]) == (key, True)
    (rule,) = guarded.one(ASYNC, "AWS::S3::Bucket")["Properties"]["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert rule["ServerSideEncryptionByDefault"] == {
        "KMSMasterKeyID": key,
        "SSEAlgorithm": "aws:kms",
    }
    used = [
        statement
        for stack, role in ((MANAGER, "ClockRole"), (API, "ControlRole"), (ASYNC, "Role"))
        for statement in guarded.statements(stack, role)
        if "kms:Decrypt" in statement["Action"]
    ]
    assert len(used) == 3
    for statement in used:
        assert statement["Resource"] == key
        via = listed(statement["Condition"]["StringEquals"]["kms:ViaService"])
        assert set(via) <= {"dynamodb.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com"}


def test_sagemaker_gets_the_key_only_where_an_instance_has_a_volume(guarded: Templates):
    keys = {
        config["Properties"]["ProductionVariants"][0]["InstanceType"]: config["Properties"].get(
            "KmsKeyId"
        )
        for stack in ("FlanT5MeteredStack", "SmollmMeteredStack")
        for config in guarded.of_type(stack, CONFIG).values()
    }
    key = guarded.settings.kms_key
    assert keys == {"ml.g5.12xlarge": None, "ml.g5.24xlarge": None, "ml.m5.2xlarge": key}
    for kind in ("ml.m5d.xlarge", "ml.g4dn.xlarge", "ml.p4d.24xlarge", "ml.p5.48xlarge"):
        assert volume_key(guarded.settings, kind) is None, kind


def test_the_clock_may_pass_the_key_on_to_the_volumes_of_endpoints_and_to_nothing_else(
    guarded: Templates, seed: Templates
):
    (passed,) = (
        statement
        for statement in guarded.statements(MANAGER, "ClockRole")
        if "kms:CreateGrant" in statement["Action"]
    )
    assert passed["Resource"] == guarded.settings.kms_key
    via = {"kms:ViaService": "sagemaker.us-east-1.amazonaws.com"}
    assert passed["Condition"] == {"StringEquals": via}
    assert "kms:CreateGrant" not in guarded.actions(MANAGER, "LifecycleRole")
    only_local_disks = dataclasses.replace(guarded.settings, endpoints=(app.FLAN_T5_XXL,))
    assert list(encrypt_volumes(only_local_disks, "us-east-1")) == []
    assert "kms:CreateGrant" not in seed.actions(MANAGER, "ClockRole")


def test_a_vpc_a_driver_and_several_instances_reach_sagemaker(guarded: Templates):
    model = guarded.one("FlanT5MeteredStack", "AWS::SageMaker::Model")["Properties"]
    network = {"Subnets": ["subnet-0a1b2c3d"], "SecurityGroupIds": ["sg-0a1b2c3d"]}
    assert model["VpcConfig"] == network
    assert "ec2:CreateNetworkInterface" in guarded.actions("FlanT5MeteredStack", "Role")
    assert "ec2:CreateNetworkInterface" not in guarded.actions("SmollmMeteredStack", "Role")
    for config in guarded.of_type("FlanT5MeteredStack", CONFIG).values():
        (variant,) = config["Properties"]["ProductionVariants"]
        assert variant["InitialInstanceCount"] == 2
        assert variant["InferenceAmiVersion"] == "al2-ami-sagemaker-inference-gpu-2"


def test_several_instances_cost_several_prices(guarded: Templates):
    parameter = guarded.one(
        "FlanT5MeteredStack", "AWS::SSM::Parameter", Name="/parkmeter/endpoints/flan-t5"
    )
    prices = [
        one["price_per_hour"]
        for one in json.loads(flat(parameter["Properties"]["Value"]))["variants"]
    ]
    assert prices == ["14.18", "20.36"]
    listed_price = guarded.one("SmollmMeteredStack", "Custom::ParkmeterPrice")["Properties"]
    assert listed_price["InstanceCount"] == 1


def test_the_clock_keeps_its_share_of_the_account_and_prompts_have_a_cap(guarded: Templates):
    def reserved(stack: str, name: str) -> int | None:
        function = guarded.one(stack, "AWS::Lambda::Function", FunctionName=name)
        return function["Properties"].get("ReservedConcurrentExecutions")

    assert reserved(MANAGER, "parkmeter-clock") == 50
    assert reserved("FlanT5LambdaStack", "parkmeter-flan-t5-inference") == 100
    assert reserved("SmollmLambdaStack", "parkmeter-smollm-inference") is None


def test_without_a_queue_there_is_no_async_stack_and_no_path_for_it(guarded: Templates):
    assert [name for name in guarded.by_stack if name.endswith("AsyncStack")] == [ASYNC]
    parameter = guarded.one(
        "SmollmMeteredStack", "AWS::SSM::Parameter", Name="/parkmeter/endpoints/smollm"
    )
    assert json.loads(flat(parameter["Properties"]["Value"]))["async"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"auth_table": "a"}, "3 to 255"),
        ({"auth_table": "both", "meters_table": ExistingTable("both")}, "both are 'both'"),
        ({"kms_key": "alias/mine"}, "the ARN of a key"),
        ({"permissions_boundary": "boundary"}, "arn:aws:iam::"),
        ({"clock_concurrency": 1}, "5 or more"),
        ({"tags": {"aws:x": "y"}}, "that AWS accepts"),
        ({"tags": {"parkmeter:deployment": "y"}}, "that AWS accepts"),
        ({"tags": {"team": 5}}, "that AWS accepts"),
        ({"tags": {"team": "x" * 801}}, "800 characters"),
        ({"tags": [("team", "search")]}, "in braces"),
    ],
)
def test_a_wrong_setting_of_the_account_is_refused(change: dict[str, object], words: str):
    with pytest.raises(ValueError, match=re.escape(words)):
        Settings(region="us-east-1", endpoints=(app.FLAN_T5_XXL,), **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"instance_count": 0}, "1 or more"),
        ({"instance_count": True}, "1 or more"),
        ({"inference_ami_version": "latest"}, "al2-ami-sagemaker"),
        ({"vpc": "vpc-1"}, "Vpc("),
        ({"prompts_at_once": 0}, "1 or more"),
    ],
)
def test_a_wrong_setting_of_its_instances_is_refused(change: dict[str, object], words: str):
    with pytest.raises(ValueError, match=re.escape(words)):
        dataclasses.replace(app.FLAN_T5_XXL, **change)


def test_a_network_is_named_by_ids():
    with pytest.raises(ValueError, match="with a comma"):
        Vpc(subnets="subnet-0a1b2c3d", security_groups=("sg-0a1b2c3d",))
    with pytest.raises(ValueError, match="'sg-'"):
        Vpc(subnets=("subnet-0a1b2c3d",), security_groups=("default",))


def test_a_metered_queue_begins_without_instances_and_the_clock_may_change_that(
    guarded: Templates, seed: Templates
):
    target = guarded.one(ASYNC, "AWS::ApplicationAutoScaling::ScalableTarget")["Properties"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 0)
    parameter = guarded.one(
        "FlanT5MeteredStack", "AWS::SSM::Parameter", Name="/parkmeter/endpoints/flan-t5"
    )
    assert json.loads(flat(parameter["Properties"]["Value"]))["async_metered_instances"] == 2
    register = "application-autoscaling:RegisterScalableTarget"
    for templates, queues in ((guarded, "flan-t5"), (seed, None)):
        clock = templates.one(MANAGER, "AWS::Lambda::Function", FunctionName="parkmeter-clock")
        given = clock["Properties"]["Environment"]["Variables"]
        assert given.get("PARKMETER_METERED_QUEUES") == queues
        assert (register in templates.actions(MANAGER, "ClockRole")) == (queues is not None)
    (change,) = (
        statement
        for statement in guarded.statements(MANAGER, "ClockRole")
        if "sagemaker:UpdateEndpointWeightsAndCapacities" in statement["Action"]
    )
    assert flat(change["Resource"]).endswith(":endpoint/parkmeter-flan-t5-async")
