"""The manager: meters, clock, lifecycle, alarms."""

import json
import re
from datetime import timedelta

from parkmeter.aws.clock import LOOK_AHEAD
from parkmeter.aws.invocation_clock import LATEST
from parkmeter.aws.link_secret import SECRET_PARTITION
from parkmeter.core.events import MAILED
from parkmeter.stores.dynamodb_items import UNSETTLED
from parkmeter.stores.dynamodb_outbox import OUTBOX
from stacks import names as agreed
from stacks.names import OUTBOX_PARTITION, UNSETTLED_INDEX
from tests.support.synthesized import Templates, flat

STACK = "EndpointManagerStack"

ONE_CORE_MEGABYTES = 1769
"""The memory at which a function has one processor (AWS Lambda's documentation)."""

ONE_STEP = timedelta(seconds=30)
"""More than the calls of one step take with their retries, unless AWS does not answer at all."""


def test_the_meters_table_is_the_one_that_the_store_uses(seed: Templates):
    assert UNSETTLED_INDEX == UNSETTLED
    assert OUTBOX_PARTITION == OUTBOX
    assert agreed.SECRET_PARTITION == SECRET_PARTITION
    table = seed.one(STACK, "AWS::DynamoDB::Table")
    properties = table["Properties"]
    assert properties["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert {a["AttributeName"]: a["AttributeType"] for a in properties["AttributeDefinitions"]} == {
        "pk": "S",
        "sk": "S",
        UNSETTLED: "N",
    }
    assert properties["GlobalSecondaryIndexes"] == [
        {
            "IndexName": UNSETTLED,
            "KeySchema": [
                {"AttributeName": UNSETTLED, "KeyType": "HASH"},
                {"AttributeName": "pk", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert table["DeletionPolicy"] == "Delete"


def test_the_clock_ticks_every_minute_and_is_never_retried_or_kept_out(seed: Templates):
    clock = seed.one(STACK, "AWS::Lambda::Function", FunctionName="parkmeter-clock")["Properties"]
    assert clock["Handler"] == "parkmeter.aws.clock.handler"
    assert (clock["Timeout"], clock["MemorySize"]) == (150, ONE_CORE_MEGABYTES)
    assert clock["Timeout"] >= (LOOK_AHEAD + LATEST + ONE_STEP).total_seconds()
    assert "ReservedConcurrentExecutions" not in clock
    assert flat(clock["Environment"]["Variables"]["PARKMETER_TOPIC_ARN"]).startswith("<Notif")

    invoked = seed.one(STACK, "AWS::Lambda::EventInvokeConfig")["Properties"]
    assert (invoked["MaximumRetryAttempts"], invoked["MaximumEventAgeInSeconds"]) == (0, 60)
    rule = seed.one(STACK, "AWS::Events::Rule", Name="parkmeter-tick")["Properties"]
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert json.loads(rule["Targets"][0]["Input"]) == {"kind": "tick"}
    for each in seed.of_type(STACK, "AWS::Events::Rule").values():
        for target in each["Properties"]["Targets"]:
            assert target["RetryPolicy"] == {
                "MaximumEventAgeInSeconds": 60,
                "MaximumRetryAttempts": 0,
            }


def test_every_ten_minutes_the_clock_sweeps(seed: Templates):
    (sweep,) = (
        rule["Properties"]
        for rule in seed.of_type(STACK, "AWS::Events::Rule").values()
        if rule["Properties"].get("ScheduleExpression") == "rate(10 minutes)"
    )
    assert [target["Input"] for target in sweep["Targets"]] == ['{"kind":"sweep"}']


def test_the_clock_hears_of_its_own_endpoints_and_of_edited_expiries_only(seed: Templates):
    patterns = {
        rule["Properties"]["EventPattern"]["detail-type"][0]: rule["Properties"]["EventPattern"]
        for rule in seed.of_type(STACK, "AWS::Events::Rule").values()
        if "EventPattern" in rule["Properties"]
    }
    assert patterns == {
        "SageMaker Endpoint State Change": {
            "source": ["aws.sagemaker"],
            "detail-type": ["SageMaker Endpoint State Change"],
            "detail": {"EndpointName": [{"prefix": "parkmeter-"}]},
        },
        "Parameter Store Change": {
            "source": ["aws.ssm"],
            "detail-type": ["Parameter Store Change"],
            "detail": {"name": [{"prefix": "/parkmeter/expiry/"}]},
        },
    }
    assert len(seed.of_type(STACK, "AWS::Lambda::Permission")) == 4


def test_each_endpoint_has_a_custom_resource_that_goes_before_what_its_end_needs(
    several: Templates,
):
    resources = several.of_type(STACK, "Custom::ParkmeterEndpoint")
    given = {one["Properties"]["Name"]: one["Properties"] for one in resources.values()}
    assert {name: one["InitialProvisionTimeMinutes"] for name, one in given.items()} == {
        "flan-t5": "60",
        "falcon-7b": "60",
        "qwen-7b": "0",
        "smollm": "60",
    }
    for resource in resources.values():
        needed = " ".join(resource["DependsOn"])
        for what in ("Meters", "ClockRole", "ClockFunction", "LifecycleRole", "Tick", "Logs"):
            assert what in needed
        assert resource["Properties"]["ServiceTimeout"] == "3600"
        assert flat(resource["Properties"]["ServiceToken"]).startswith("<LifecycleFunction")


def test_a_redeploy_with_changed_code_does_not_touch_the_custom_resources(seed: Templates):
    for resource in seed.of_type(STACK, "Custom::ParkmeterEndpoint").values():
        assert set(resource["Properties"]) == {
            "ServiceToken",
            "ServiceTimeout",
            "Name",
            "InitialProvisionTimeMinutes",
        }


def test_every_function_knows_all_literal_names(several: Templates):
    for _, logical_id, resource in several.everything():
        if resource["Type"] == "AWS::Lambda::Function":
            environment = resource["Properties"]["Environment"]["Variables"]
            assert (
                environment.items()
                >= {
                    "PARKMETER_PREFIX": "acme",
                    "PARKMETER_METERS_TABLE": "acme-meters",
                    "PARKMETER_AUTH_TABLE": "acme-auth",
                    "PARKMETER_ENDPOINTS_PATH": "/acme/endpoints/",
                    "PARKMETER_EXPIRY_PATH": "/acme/expiry/",
                    "PARKMETER_HOURS_PATH": "/acme/hours/",
                    "PARKMETER_CLOCK_FUNCTION": "acme-clock",
                }.items()
            ), logical_id
            assert resource["Properties"]["Architectures"] == ["arm64"]
            assert resource["Properties"]["Runtime"] == "python3.14"


def test_what_goes_wrong_is_an_alarm_that_reaches_the_topic(seed: Templates):
    alarms = {
        alarm["Properties"]["AlarmName"]: alarm["Properties"]
        for alarm in seed.of_type(STACK, "AWS::CloudWatch::Alarm").values()
    }
    errors = alarms["parkmeter-clock-errors"]
    missing = alarms["parkmeter-clock-missing"]
    overdue = alarms["parkmeter-endpoint-overdue"]
    throttled = alarms["parkmeter-clock-throttled"]
    resource = alarms["parkmeter-custom-resource-failed"]
    assert len(alarms) == 5
    assert (throttled["Namespace"], throttled["MetricName"]) == ("AWS/Lambda", "Throttles")
    assert throttled["Dimensions"] == [{"Name": "FunctionName", "Value": "parkmeter-clock"}]
    assert (resource["Namespace"], resource["MetricName"]) == ("parkmeter", "FailedCustomResources")
    assert (errors["Namespace"], errors["MetricName"]) == ("AWS/Lambda", "Errors")
    assert missing["TreatMissingData"] == "breaching"
    assert (missing["Statistic"], missing["Period"]) == ("SampleCount", 300)
    for one in (missing, overdue):
        assert (one["Namespace"], one["MetricName"]) == ("parkmeter", "OverdueSeconds")
        assert one["Dimensions"] == [{"Name": "Deployment", "Value": "parkmeter"}]
    assert (overdue["Statistic"], overdue["Threshold"]) == ("Maximum", 900)
    for one in alarms.values():
        assert flat(one["AlarmActions"][0]).startswith("<Notifications")


def test_alarms_may_publish_to_the_topic_and_only_over_tls(seed: Templates):
    policy = seed.one(STACK, "AWS::SNS::TopicPolicy")["Properties"]["PolicyDocument"]
    allowed = [each for each in policy["Statement"] if each["Effect"] == "Allow"]
    assert [each["Principal"] for each in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
    denied = [each for each in policy["Statement"] if each["Effect"] == "Deny"]
    assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_an_address_is_subscribed_only_if_one_is_configured(seed: Templates, several: Templates):
    assert not seed.of_type(STACK, "AWS::SNS::Subscription")
    one = several.one(STACK, "AWS::SNS::Subscription")["Properties"]
    assert (one["Protocol"], one["Endpoint"]) == ("email", "ops@example.org")


def test_a_deployment_without_an_address_for_its_alarms_says_so(
    seed: Templates, several: Templates
):
    ((level, text),) = seed.messages[STACK]
    assert level == "warning"
    assert "notification_email is None" in text
    assert several.messages[STACK] == []


def test_the_clock_knows_what_to_mail_and_where_links_lead(seed: Templates, several: Templates):
    def told(templates: Templates, name: str) -> dict[str, object]:
        clock = templates.one(STACK, "AWS::Lambda::Function", FunctionName=f"{name}-clock")
        return clock["Properties"]["Environment"]["Variables"]

    assert told(seed, "parkmeter")["PARKMETER_MAILED"].split() == [*MAILED]
    assert told(seed, "parkmeter")["PARKMETER_PUBLIC_URL"] == ""
    assert told(several, "acme")["PARKMETER_MAILED"] == "warning failure"
    assert told(several, "acme")["PARKMETER_PUBLIC_URL"] == "https://meter.example.org"
    address = several.one("APIStack", "AWS::SSM::Parameter")["Properties"]
    assert address["Name"] == told(several, "acme")["PARKMETER_ADDRESS_PARAMETER"]
    assert re.fullmatch(
        r"https://<Api\w*>\.execute-api\.eu-west-1\.<AWS::URLSuffix>/prod", flat(address["Value"])
    )


def test_the_dashboard_shows_every_endpoint(several: Templates):
    body = flat(several.one(STACK, "AWS::CloudWatch::Dashboard")["Properties"]["DashboardBody"])
    for endpoint in several.settings.endpoints:
        assert f"acme-{endpoint.name}" in body


def test_logs_are_kept_for_a_while_and_go_with_their_stack(several: Templates):
    groups = set()
    for stack, logical_id, resource in several.everything():
        if resource["Type"] == "AWS::Logs::LogGroup":
            assert resource["Properties"]["RetentionInDays"] == 30, logical_id
            assert resource["DeletionPolicy"] == "Delete", logical_id
            groups.add(resource["Properties"]["LogGroupName"])
        if resource["Type"] == "AWS::Lambda::Function":
            assert resource["Properties"]["LoggingConfig"]["LogGroup"], (stack, logical_id)
    assert "/aws/lambda/acme-clock" in groups
    assert "/aws/sagemaker/Endpoints/acme-flan-t5" in groups
    assert "/aws/sagemaker/Endpoints/acme-flan-t5-async" in groups


def test_each_deployment_is_checked_for_queues_that_it_loses_and_for_quotas(guarded: Templates):
    check = guarded.one(STACK, "Custom::ParkmeterDeployCheck")["Properties"]
    assert check["Queues"] == ["flan-t5"]  # SmolLM has none
    assert check["Endpoints"] == [
        {
            "Name": "flan-t5",
            "InstanceTypes": ["ml.g5.12xlarge", "ml.g5.24xlarge"],
            "InstanceCount": 2,
        },
        {"Name": "smollm", "InstanceTypes": ["ml.m5.2xlarge"], "InstanceCount": 1},
    ]
    outputs = guarded.by_stack[STACK]["Outputs"]
    assert outputs["Quotas"]["Value"]["Fn::GetAtt"][1] == "Quotas"
    # Nothing waits for it: reading quotas takes seconds.
    (checked,) = guarded.of_type(STACK, "Custom::ParkmeterDeployCheck")
    resources = guarded.by_stack[STACK]["Resources"].values()
    assert all(checked not in one.get("DependsOn", ()) for one in resources)
