"""The async stack: scaling to zero, and a bucket whose objects expire."""

from tests.support.synthesized import Templates, flat

STACK = "FlanT5AsyncStack"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"


def test_results_and_failures_go_to_the_bucket_and_are_published_to_topics(seed: Templates):
    config = seed.one(STACK, "AWS::SageMaker::EndpointConfig")["Properties"]
    output = config["AsyncInferenceConfig"]["OutputConfig"]
    assert flat(output["S3OutputPath"]).endswith("/results")
    assert flat(output["S3FailurePath"]).endswith("/failures")
    assert set(output["NotificationConfig"]) == {"SuccessTopic", "ErrorTopic"}


def test_the_bucket_forgets_is_private_and_goes_with_the_stack(seed: Templates):
    bucket = seed.one(STACK, "AWS::S3::Bucket")
    (rule,) = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 7)
    assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())
    assert bucket["DeletionPolicy"] == "Delete"


def test_the_bucket_is_emptied_after_the_endpoint_is_gone_and_before_the_bucket(seed: Templates):
    (emptied,) = seed.of_type(STACK, "Custom::ParkmeterBucket")
    (bucket,) = seed.of_type(STACK, "AWS::S3::Bucket")
    (endpoint,) = seed.of_type(STACK, "AWS::SageMaker::Endpoint").values()
    assert emptied in endpoint["DependsOn"]
    resource = seed.by_stack[STACK]["Resources"][emptied]
    assert bucket in resource["DependsOn"]
    assert flat(resource["Properties"]["AsyncBucket"]).startswith("parkmeter-flan-t5-async-")


def test_it_scales_to_zero_once_the_endpoint_is_there(seed: Templates):
    (endpoint,) = seed.of_type(STACK, "AWS::SageMaker::Endpoint")
    target = seed.one(STACK, "AWS::ApplicationAutoScaling::ScalableTarget")
    assert endpoint in target["DependsOn"]
    assert target["Properties"]["MinCapacity"] == 0
    assert target["Properties"]["MaxCapacity"] == 1
    assert (
        target["Properties"]["ResourceId"] == "endpoint/parkmeter-flan-t5-async/variant/AllTraffic"
    )


def test_it_sleeps_when_nothing_is_queued(seed: Templates):
    tracking = seed.one(STACK, POLICY, PolicyType="TargetTrackingScaling")["Properties"]
    metric = tracking["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
    assert metric["MetricName"] == "ApproximateBacklogSizePerInstance"
    assert metric["Dimensions"] == [{"Name": "EndpointName", "Value": "parkmeter-flan-t5-async"}]


def test_the_first_request_wakes_it(seed: Templates):
    ((step_id, step),) = (
        (logical_id, policy["Properties"])
        for logical_id, policy in seed.of_type(STACK, POLICY).items()
        if policy["Properties"]["PolicyName"] == "parkmeter-flan-t5-async-wake"
    )
    steps = step["StepScalingPolicyConfiguration"]["StepAdjustments"]
    assert steps == [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]
    alarm = seed.one(STACK, "AWS::CloudWatch::Alarm", AlarmName="parkmeter-flan-t5-async-queued")[
        "Properties"
    ]
    assert alarm["MetricName"] == "HasBacklogWithoutCapacity"
    assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Period"]) == (1, 1, 60)
    assert alarm["AlarmActions"] == [{"Ref": step_id}]


def _alarm(templates: Templates, name: str) -> dict[str, object]:
    alarm = templates.one(STACK, "AWS::CloudWatch::Alarm", AlarmName=name)
    return alarm["Properties"]


def test_instances_without_a_queue_for_an_hour_are_an_alarm_and_are_removed(seed: Templates):
    ((end_id, end),) = (
        (logical_id, policy["Properties"]["StepScalingPolicyConfiguration"])
        for logical_id, policy in seed.of_type(STACK, POLICY).items()
        if policy["Properties"]["PolicyName"] == "parkmeter-flan-t5-async-idle"
    )
    assert end["AdjustmentType"] == "ExactCapacity"
    assert end["StepAdjustments"] == [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 0}]
    alarm = _alarm(seed, "parkmeter-flan-t5-async-idle")
    action, topic = alarm["AlarmActions"]
    assert action == {"Ref": end_id}
    assert flat(topic).endswith(":sns:us-east-1:<AWS::AccountId>:parkmeter-notifications")
    metrics = {one["Id"]: one for one in alarm["Metrics"]}
    assert metrics["instances"]["MetricStat"]["Stat"] == "SampleCount"
    periods = {one["MetricStat"]["Period"] for one in metrics.values() if "MetricStat" in one}
    assert periods == {300}
    assert (alarm["EvaluationPeriods"], alarm["Threshold"]) == (12, 1)
    assert alarm["TreatMissingData"] == "notBreaching"


def test_a_prompt_that_waits_too_long_is_an_alarm(seed: Templates):
    alarm = _alarm(seed, "parkmeter-flan-t5-async-old-prompt")
    assert (alarm["MetricName"], alarm["Threshold"]) == ("ApproximateAgeOfOldestRequest", 1800)
    assert alarm["Dimensions"] == [{"Name": "EndpointName", "Value": "parkmeter-flan-t5-async"}]


def test_an_update_starts_no_instance_and_its_type_is_checked_before(seed: Templates):
    endpoint = seed.one(STACK, "AWS::SageMaker::Endpoint")
    assert endpoint["Properties"]["RetainAllVariantProperties"] is True
    ((checked, resource),) = seed.of_type(STACK, "Custom::ParkmeterInstanceType").items()
    assert checked in endpoint["DependsOn"]
    assert resource["Properties"]["InstanceType"] == "ml.g5.12xlarge"
    assert resource["Properties"]["AsyncEndpoint"] == "parkmeter-flan-t5-async"


def test_the_synthesis_says_what_deploying_it_costs(seed: Templates):
    ((level, text),) = seed.messages[STACK]
    assert level == "info"
    assert "starts 1 x ml.g5.12xlarge at once" in text
    assert "(at $7.09 an hour each: about $2.95, or at most $10.04)" in text
