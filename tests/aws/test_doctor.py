"""`parkmeter doctor --aws` on deployments that are broken in different ways."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from parkmeter.aws.doctor.account import Account
from parkmeter.core.finding import Level
from parkmeter.drivers.sagemaker import TAG
from simulator.sagemaker import refusals
from tests.support.command import run_command
from tests.support.examined import ARTIFACT, BUCKET, PROJECT, Examined, FewRegions, examined
from tests.support.wound_sagemaker import Wound


@pytest.fixture
def cloud(clock: Wound, monkeypatch: pytest.MonkeyPatch) -> Iterator[Examined]:
    with examined(clock, monkeypatch) as made:
        yield made


def test_a_healthy_deployment_has_nothing_wrong_and_nothing_to_note(cloud: Examined):
    findings = cloud.findings()
    assert [one for one in findings if one.level is not Level.GOOD] == []
    subjects = {one.what for one in findings}
    assert {"credentials", "clock", "orphans", "mails", "functions", "ml.g5.12xlarge"} <= subjects
    assert "111122223333" not in "".join(one.seen for one in findings)


def test_it_only_reads(cloud: Examined):
    before = len(cloud.sagemaker.account.calls)
    cloud.findings()
    called = {call.operation for call in cloud.sagemaker.account.calls[before:]}
    assert all(name.startswith(("Describe", "List")) for name in called)


def test_a_quota_of_zero_comes_with_the_command_that_asks_for_more(cloud: Examined):
    cloud.limits.defaults["ml.g5.12xlarge"] = 0
    found = cloud.notes()["ml.g5.12xlarge"]
    assert found.seen == "the quota is 0; flan-t5 runs on ml.p4d.24xlarge"
    cloud.limits.defaults["ml.p4d.24xlarge"] = 0
    found = cloud.trouble()["ml.g5.12xlarge"]
    assert found.seen == "the quota is 0: flan-t5 cannot start"
    assert found.do.startswith(
        "aws service-quotas request-service-quota-increase --service-code sagemaker --quota-code L-"
    )
    assert found.do.endswith("--desired-value 1 --region us-east-1")


def test_the_applied_quota_counts_before_the_default_one(cloud: Examined):
    cloud.sagemaker.faults.quotas["ml.g5.12xlarge"] = 0
    assert "ml.g5.12xlarge" in cloud.notes()


def test_an_async_endpoint_takes_a_second_instance_of_the_same_quota(cloud: Examined):
    queue = {"endpoint": "flan-async", "bucket": "b", "stack": "FlanT5AsyncStack"}
    cloud.deployment.define("flan-t5", **{"async": queue})
    assert cloud.notes() == {}
    cloud.orphan("flan-async", [])
    assert cloud.notes()["ml.g5.12xlarge"].seen.endswith("async ones included, take 2")


def test_a_queue_takes_as_many_instances_as_its_endpoint_or_as_its_meter_allows(cloud: Examined):
    queue = {"endpoint": "flan-async", "bucket": "b", "stack": "FlanT5AsyncStack"}
    cloud.orphan("flan-async", [])
    cloud.deployment.define("flan-t5", **{"async": queue, "async_metered_instances": 3})
    assert cloud.notes()["ml.g5.12xlarge"].seen.endswith("async ones included, take 4")


def test_an_endpoint_on_several_instances_takes_as_many_of_the_quota(cloud: Examined):
    client = cloud.sagemaker.client()
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "flan",
        "InstanceType": "ml.g5.12xlarge",
        "InitialInstanceCount": 3,
    }
    client.create_endpoint_config(EndpointConfigName="on-three", ProductionVariants=[variant])
    variants = [{"instance_type": "ml.g5.12xlarge", "config": "on-three"}]
    cloud.deployment.define("flan-t5", variants=variants)
    found = cloud.notes()["ml.g5.12xlarge"]
    assert found.seen.endswith("take 3")
    assert "--desired-value 3" in found.do


def test_an_image_and_an_artifact_that_are_gone(cloud: Examined):
    cloud.client("ecr").batch_delete_image(repositoryName="model", imageIds=[{"imageTag": "1"}])
    cloud.client("s3").delete_object(Bucket=BUCKET, Key=ARTIFACT)
    trouble = cloud.trouble()
    assert trouble["image of flan-t5"].seen.startswith("model:1 does not exist in the registry")
    assert trouble["artifact of flan-t5"].seen.startswith(f"s3://{BUCKET}/{ARTIFACT} does not")
    assert trouble["image of flan-t5"].do.endswith("cdk deploy FlanT5MeteredStack")
    cloud.client("s3").delete_bucket(Bucket=BUCKET)
    assert "artifact of flan-t5" in cloud.trouble()


def test_an_endpoint_configuration_that_was_deleted(cloud: Examined):
    cloud.sagemaker.client().delete_endpoint_config(EndpointConfigName="on-a10g")
    found = cloud.trouble()["model of flan-t5"]
    assert "ml.g5.12xlarge is started from no longer exists" in found.seen
    stack = "FlanT5MeteredStack"
    # CloudFormation does not see what was deleted by hand.
    assert found.do == f"cdk destroy {stack} --exclusively && cdk deploy {stack}"


def test_a_definition_that_cannot_be_read(cloud: Examined):
    cloud.deployment.put("falcon-7b", "{}")
    found = cloud.trouble()["definition of falcon-7b"]
    assert found.do.startswith("cdk deploy Falcon7bMeteredStack (if that finds no changes: cdk ")


def test_a_subscription_that_was_not_confirmed_or_does_not_exist(cloud: Examined):
    sns = cloud.client("sns")
    (topic,) = [one["TopicArn"] for one in sns.list_topics()["Topics"]]
    for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
        sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    assert cloud.trouble()["mails"].seen == "alarms and warnings reach no address"
    with cloud.services.lock:
        subscribed = cloud.services.backend("sns").subscribe(topic, "you@example.org", "email")
        subscribed.arn = "PendingConfirmation"
    found = cloud.trouble()["mails"]
    assert found.seen.startswith("you@example.org has not confirmed")
    assert "--protocol email --notification-endpoint you@example.org" in found.do


def test_few_concurrent_functions(cloud: Examined):
    cloud.limits.concurrent_functions = 10
    found = cloud.notes()["functions"]
    assert found.seen.startswith("10 functions may run at once in this region")
    assert "--service-code lambda --quota-code L-B99A9384" in found.do


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-3"])
def test_an_endpoint_whose_deployment_is_gone_in_whatever_region(cloud: Examined, region: str):
    cloud.orphan("old-flan", [{"Key": TAG, "Value": "old"}], region)
    found = cloud.trouble()["orphans"]
    assert found.seen.startswith(f"old-flan in {region} costs money")
    assert found.do == (f"aws sagemaker delete-endpoint --endpoint-name old-flan --region {region}")


def test_an_async_endpoint_whose_stack_is_gone(cloud: Examined):
    tags = [*PROJECT, {"Key": "aws:cloudformation:stack-name", "Value": "GoneAsyncStack"}]
    cloud.orphan("gone-async", tags)
    assert cloud.trouble()["orphans"].seen.startswith("gone-async in us-east-1")


def test_what_is_not_parkmeters_is_not_an_orphan(cloud: Examined):
    cloud.orphan("somebodys", [{"Key": "team", "Value": "vision"}])
    cloud.orphan("ours", [{"Key": TAG, "Value": cloud.prefix}])
    cloud.orphan("of-an-unknown-stack", PROJECT)
    assert cloud.trouble() == {}


def test_regions_that_do_not_answer_are_named(cloud: Examined):
    cloud.sagemaker.elsewhere("eu-west-3").faults.refuse(
        "ListEndpoints", refusals.internal_failure(), times=9
    )
    cloud.sagemaker.elsewhere("me-south-1").faults.refuse(
        "ListEndpoints", refusals.RefusedError("UnrecognizedClientException", "not enabled"), 9
    )
    assert cloud.notes()["orphans"].seen == "not looked at: eu-west-3"


def test_a_region_that_the_credentials_may_not_read_does_not_count_as_looked_at(cloud: Examined):
    denied = refusals.denied("arn:aws:iam::111122223333:user/ada", "ListEndpoints", "*")
    cloud.sagemaker.elsewhere("eu-west-3").faults.refuse("ListEndpoints", denied, times=9)
    found = {one.level: one for one in cloud.findings() if one.what == "orphans"}
    assert found[Level.NOTE].seen == "not looked at, your credentials may not: eu-west-3"
    assert found[Level.GOOD].seen == "no endpoint without a deployment, in 2 regions"


def test_a_deployment_in_another_region_or_of_another_prefix_is_named(cloud: Examined):
    cloud.stack("EndpointManagerStack")
    assert cloud.notes()["deployments"].seen == "parkmeter is deployed in this region too"
    cloud.client("cloudformation").delete_stack(StackName="EndpointManagerStack")
    assert "deployments" not in cloud.notes()
    cloud.clock_in("eu-west-3")
    found = cloud.notes()["deployments"]
    assert found.seen == f"{cloud.prefix} is deployed in eu-west-3 too"
    assert "docs/aws-operations.md, another region" in found.do


def test_a_table_that_a_first_deployment_in_production_left_comes_with_the_commands(
    cloud: Examined,
):
    name, table = f"{cloud.prefix}-APIStack", cloud.deployment.tables.auth
    cloud.stack(name, status="ROLLBACK_COMPLETE", table=table)
    found = cloud.trouble()["stacks"]
    assert f"left its table {table}" in found.seen
    assert found.do.startswith(f"aws cloudformation delete-stack --stack-name {name}")
    assert f"aws dynamodb delete-table --table-name {table}" in found.do


def test_stacks_and_queues_are_found_where_the_tag_project_has_another_value(cloud: Examined):
    other = {"Key": "project", "Value": "ours"}
    tags = [other, {"Key": "parkmeter:project", "Value": "parkmeter"}]
    cloud.stack(f"{cloud.prefix}-FlanT5MeteredStack", status="DELETE_FAILED", tags=tags)
    gone = {"Key": "aws:cloudformation:stack-name", "Value": "GoneAsyncStack"}
    cloud.orphan("gone-async", [*tags, gone])
    assert {"stacks", "orphans"} <= cloud.trouble().keys()


def test_stacks_that_failed_or_belong_to_no_endpoint(cloud: Examined):
    prefix = cloud.prefix
    cloud.stack(f"{prefix}-EndpointManagerStack", endpoint="flan-t5")
    cloud.stack(f"{prefix}-FlanT5MeteredStack", status="DELETE_FAILED")
    for stack in ("FlanT5LambdaStack", "FalconMeteredStack", "FalconAsyncStack"):
        cloud.stack(f"{prefix}-{stack}")
    found = [one for one in cloud.findings() if one.what == "stacks"]
    assert {one.do.split("--stack-name ")[1].split()[0]: one.level for one in found} == {
        f"{prefix}-FlanT5MeteredStack": Level.WRONG,
        f"{prefix}-FalconMeteredStack": Level.NOTE,
        f"{prefix}-FalconAsyncStack": Level.WRONG,
    }
    # It may also be that the manager is yet to be deployed with this endpoint.
    left = [one for one in found if "Falcon" in one.seen]
    assert all("or, if its endpoint is in app.py: cdk deploy" in one.do for one in left)


def test_a_clock_that_has_stopped(cloud: Examined):
    cloud.wound.wind(minutes=10)
    found = cloud.trouble()["clock"]
    assert found.seen == (
        "its last tick was at 2026-06-22 12:00:00 UTC, so nothing is started or stopped"
    )
    assert found.do == (
        f"aws logs tail /aws/lambda/{cloud.prefix}-clock --since 15m --region us-east-1"
    )
    cloud.client("events").disable_rule(Name=f"{cloud.prefix}-tick")
    found = cloud.trouble()["clock"]
    assert found.do == f"aws events enable-rule --name {cloud.prefix}-tick --region us-east-1"


def test_an_endpoint_that_outlives_its_meter(cloud: Examined):
    cloud.top_up(minutes=10)
    assert cloud.trouble() == {}
    cloud.wound.wind(minutes=70)
    cloud.beat()
    found = cloud.trouble()["meters"]
    assert found.seen.startswith("flan-t5 has lived 30 minutes past its meter")
    assert "describe-endpoint --endpoint-name parkmeter-flan-t5" in found.do


def test_tables_that_cannot_be_restored_or_may_be_deleted(cloud: Examined):
    client, tables = cloud.client("dynamodb"), cloud.deployment.tables
    client.update_continuous_backups(
        TableName=tables.meters,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
    )
    client.update_table(TableName=tables.auth, DeletionProtectionEnabled=False)
    found = cloud.trouble()[f"table {tables.meters}"]
    assert "point-in-time recovery is off" in found.seen
    noted = cloud.notes()[f"table {tables.auth}"]
    assert "--deletion-protection-enabled" in noted.do


def test_tables_that_are_gone(cloud: Examined):
    client, tables = cloud.client("dynamodb"), cloud.deployment.tables
    for table in (tables.meters, tables.auth):
        client.update_table(TableName=table, DeletionProtectionEnabled=False)
        client.delete_table(TableName=table)
    assert "nothing is stopped" in cloud.trouble()[f"table {tables.meters}"].seen
    assert "no token works" in cloud.notes()[f"table {tables.auth}"].seen


def test_a_check_that_is_not_permitted_is_a_note_and_stops_no_other(cloud: Examined):
    denied = refusals.denied("arn:aws:iam::111122223333:user/ada", "DescribeEndpointConfig", "*")
    cloud.sagemaker.faults.refuse("DescribeEndpointConfig", denied)
    found = cloud.notes()["models"]
    assert found.seen == "not checked: your credentials may not call DescribeEndpointConfig"
    assert "ml.g5.12xlarge" in {one.what for one in cloud.findings()}


def test_the_command_says_what_is_wrong_and_exits_with_1(cloud: Examined, monkeypatch):
    monkeypatch.setattr(Account, "regions", FewRegions.regions)

    def run(*words: str):
        return run_command("doctor", "--aws", *words)

    cloud.wound.time = datetime.now(UTC)
    cloud.beat()
    healthy = run("--prefix", cloud.prefix)
    assert healthy.exit_code == 0, healthy.output
    assert "✓ clock" in healthy.output
    absent = run("--prefix", "absent", "--region", "us-east-1", "--json")
    assert absent.exit_code == 1
    report = json.loads(absent.output)
    assert report["healthy"] is False
    (found,) = [one for one in report["findings"] if one["level"] == "wrong"]
    assert found["seen"] == "there is no function absent-clock in us-east-1"


def test_without_boto3_or_a_region_the_command_says_what_to_do(monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    done = run_command("doctor", "--aws")
    assert done.exit_code == 2
    assert "No region is configured" in done.output
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    done = run_command("doctor", "--aws")
    assert done.exit_code == 1
    assert "pip install -e '.[aws]'" in done.output
