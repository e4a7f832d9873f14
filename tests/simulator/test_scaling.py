"""Scaling of an async endpoint to zero and back, by the deployed targets, policies and alarms."""

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from werkzeug.wrappers import Request

from simulator.cloudformation.stacks import Resource
from simulator.sagemaker.async_inference import take
from simulator.sagemaker.simulator import SageMakerSimulator
from simulator.scaling import IN_AFTER, Scaling
from tests.support.sagemaker_calls import message
from tests.support.wound_sagemaker import Wound

NAME = "flan-async"
TARGET = f"endpoint/{NAME}/variant/AllTraffic"


def resource(kind: str, physical_id: str, **properties: Any) -> Resource:
    created = SimpleNamespace(physical_resource_id=physical_id)
    return Resource({"Type": kind}, properties, created)


STACK = [
    resource(
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "target",
        ResourceId=TARGET,
        MinCapacity=0,
        MaxCapacity=1,
    ),
    resource(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "sleep",
        PolicyType="TargetTrackingScaling",
        ScalingTargetId="target",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 5,
            "CustomizedMetricSpecification": {
                "MetricName": "ApproximateBacklogSizePerInstance",
                "Dimensions": [{"Name": "EndpointName", "Value": NAME}],
            },
        },
    ),
    resource(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "wake",
        PolicyType="StepScaling",
        ScalingTargetId="target",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
        },
    ),
    resource(
        "AWS::CloudWatch::Alarm",
        "queued",
        Namespace="AWS/SageMaker",
        MetricName="HasBacklogWithoutCapacity",
        Dimensions=[{"Name": "EndpointName", "Value": NAME}],
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Threshold=1,
        AlarmActions=["wake"],
    ),
]


@pytest.fixture
def scaling(sagemaker: SageMakerSimulator, clock: Wound) -> Scaling:
    """An async endpoint in service, registered, with one instance and an empty queue."""
    async_config = {"OutputConfig": {"S3OutputPath": "s3://results/out"}}
    sagemaker.add_config("async", "ml.g5.xlarge", AsyncInferenceConfig=async_config)
    sagemaker.client().create_endpoint(EndpointName=NAME, EndpointConfigName="async")
    sagemaker.account.scalable.register(TARGET)
    clock.wind(minutes=3)
    return Scaling(lambda: STACK, sagemaker.account)


def pass_minutes(scaling: Scaling, clock: Wound, minutes: int) -> None:
    for _ in range(minutes):
        clock.wind(minutes=1)
        scaling.tick()


def instances(scaling: Scaling) -> int:
    return scaling.account.endpoint(NAME).instances


def prompt(sagemaker: SageMakerSimulator) -> None:
    sagemaker.client("sagemaker-runtime").invoke_endpoint_async(EndpointName=NAME, Body=b"{}")


def test_an_empty_queue_takes_the_last_instance_away_and_a_prompt_brings_it_back(
    scaling: Scaling, sagemaker: SageMakerSimulator, clock: Wound
):
    pass_minutes(scaling, clock, IN_AFTER - 1)
    assert instances(scaling) == 1
    pass_minutes(scaling, clock, 5)
    assert instances(scaling) == 0
    prompt(sagemaker)
    assert take(scaling.account) is None  # no instance runs it
    pass_minutes(scaling, clock, 5)
    assert instances(scaling) == 1
    assert take(scaling.account) is not None
    assert scaling.activities == [(NAME, 0), (NAME, 1)]


def test_a_prompt_in_time_keeps_the_instance(
    scaling: Scaling, sagemaker: SageMakerSimulator, clock: Wound
):
    for _ in range(6):
        prompt(sagemaker)
    pass_minutes(scaling, clock, 2 * IN_AFTER)
    assert instances(scaling) == 1
    assert scaling.activities == []


def test_an_update_wakes_an_instance_unless_the_variants_are_retained(
    scaling: Scaling, sagemaker: SageMakerSimulator, clock: Wound
):
    control = sagemaker.client()
    pass_minutes(scaling, clock, IN_AFTER + 4)
    for retained, expected in ((True, 0), (False, 1)):
        control.update_endpoint(
            EndpointName=NAME, EndpointConfigName="async", RetainAllVariantProperties=retained
        )
        clock.wind(minutes=4)
        assert instances(scaling) == expected


def test_a_lower_limit_takes_instances_away_at_once_and_policies_stay_below_it(
    scaling: Scaling, sagemaker: SageMakerSimulator, clock: Wound
):
    def limit(most: int) -> None:
        asked = {"ServiceNamespace": "sagemaker", "ResourceId": TARGET, "MaxCapacity": most}
        headers = {"X-Amz-Target": "AnyScaleFrontendService.RegisterScalableTarget"}
        answer = scaling.handle(Request.from_values(data=json.dumps(asked), headers=headers))
        assert answer is not None
        assert answer.status_code == 200

    limit(0)
    clock.wind(minutes=4)
    assert instances(scaling) == 0
    prompt(sagemaker)
    pass_minutes(scaling, clock, 5)
    assert instances(scaling) == 0
    limit(1)
    pass_minutes(scaling, clock, 5)
    assert instances(scaling) == 1


def test_the_instance_type_of_a_scalable_target_cannot_be_changed(
    scaling: Scaling, sagemaker: SageMakerSimulator
):
    control = sagemaker.client()
    with pytest.raises(ClientError) as refused:
        control.update_endpoint(EndpointName=NAME, EndpointConfigName="on-a100")
    assert "Deregister it first" in message(refused)
    scaling.account.scalable.deregister(TARGET)
    control.update_endpoint(EndpointName=NAME, EndpointConfigName="on-a100")


def test_a_deleted_endpoint_takes_its_scalable_target_with_it(
    scaling: Scaling, sagemaker: SageMakerSimulator
):
    sagemaker.client().delete_endpoint(EndpointName=NAME)
    assert scaling.account.scalable.all() == {}


def test_the_list_is_behind_the_description(sagemaker: SageMakerSimulator, clock: Wound):
    control, account = sagemaker.client(), sagemaker.account
    account.delays = replace(account.delays, listing=timedelta(seconds=10))

    def listed() -> list[str]:
        return [one["EndpointName"] for one in control.list_endpoints()["Endpoints"]]

    control.create_endpoint(EndpointName="new", EndpointConfigName="on-a10g")
    assert control.describe_endpoint(EndpointName="new")["EndpointStatus"] == "Creating"
    assert listed() == []
    clock.wind(minutes=4)
    assert listed() == ["new"]
    control.delete_endpoint(EndpointName="new")
    clock.wind(seconds=21)
    with pytest.raises(ClientError, match="Could not find"):
        control.describe_endpoint(EndpointName="new")
    assert listed() == ["new"]
    clock.wind(seconds=10)
    assert listed() == []


def test_calls_beyond_a_rate_are_throttled_until_a_second_has_passed(
    sagemaker: SageMakerSimulator, clock: Wound
):
    sagemaker.faults.rates["ListEndpoints"] = 2
    control = sagemaker.client()
    for _ in range(2):
        control.list_endpoints()
    with pytest.raises(ClientError, match="Rate exceeded"):
        control.list_endpoints()
    clock.wind(seconds=1)
    control.list_endpoints()
