"""The async stack: scaling to zero, and a bucket whose objects expire."""

from tests.support.synthesized import Templates, flat

STACK = "FlanT5AsyncStack"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"


def test_results_and_failures_go_to_the_bucket_and_are_told_to_topics(seed: Templates):
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
        if policy["Properties"]["PolicyType"] == "StepScaling"
    )
    steps = step["StepScalingPolicyConfiguration"]["StepAdjustments"]
    assert steps == [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]
    alarm = seed.one(STACK, "AWS::CloudWatch::Alarm")["Properties"]
    assert alarm["MetricName"] == "HasBacklogWithoutCapacity"
    assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Period"]) == (1, 1, 60)
    assert alarm["AlarmActions"] == [{"Ref": step_id}]
