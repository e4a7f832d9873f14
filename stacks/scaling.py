"""Scaling of an async endpoint to zero while its queue is empty, and back.

Three policies, because one is not enough: target tracking on the backlog per instance has nothing
to divide by at zero instances, would scale out only above its target, and does not scale in where
the backlog has no data: for an endpoint without any prompt since its start.
"""

from aws_cdk import (
    Duration,
    aws_applicationautoscaling,
    aws_cloudwatch,
    aws_sagemaker,
    aws_sns,
)
from constructs import Construct

from stacks.alarms import at_least, notify
from stacks.names import VARIANT

BACKLOG_FOR_EACH_INSTANCE = 5
ASLEEP_AFTER_SECONDS = 600
"""Loading a large model takes minutes; prompts that follow soon should not wait for it again."""

AWAKE_AGAIN_AFTER_SECONDS = 300

IDLE_MINUTES = 60
"""Instances with an empty queue for this long are removed, and an alarm says it."""

OLDEST_SECONDS = 1800
"""An older prompt in the queue is an alarm: a start takes less, so does the longest normal wait."""

_FIVE_MINUTES = Duration.minutes(5)

_SERVICE = "sagemaker"
_DIMENSION = "sagemaker:variant:DesiredInstanceCount"


class Scaling(Construct):
    """Scaling policies from zero to `most_instances`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint: aws_sagemaker.CfnEndpoint,
        most_instances: int,
        topic: aws_sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        endpoint_name = endpoint.endpoint_name
        assert endpoint_name is not None  # noqa: S101 (it has a literal name)
        target = aws_applicationautoscaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace=_SERVICE,
            scalable_dimension=_DIMENSION,
            resource_id=f"endpoint/{endpoint_name}/variant/{VARIANT}",
            min_capacity=0,
            max_capacity=most_instances,
        )
        # Registered by name, so the dependency must be explicit: the endpoint has to be in service.
        target.node.add_dependency(endpoint)
        self._sleep(target, endpoint_name)
        self._wake(target, endpoint_name)
        self._end_idling(target, endpoint_name, topic)
        self._report_old_prompts(endpoint_name, topic)

    def _sleep(
        self, target: aws_applicationautoscaling.CfnScalableTarget, endpoint_name: str
    ) -> None:
        policy = aws_applicationautoscaling.CfnScalingPolicy
        policy(
            self,
            "Sleep",
            policy_name=f"{endpoint_name}-backlog",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=policy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=BACKLOG_FOR_EACH_INSTANCE,
                scale_in_cooldown=ASLEEP_AFTER_SECONDS,
                scale_out_cooldown=AWAKE_AGAIN_AFTER_SECONDS,
                customized_metric_specification=policy.CustomizedMetricSpecificationProperty(
                    namespace="AWS/SageMaker",
                    metric_name="ApproximateBacklogSizePerInstance",
                    dimensions=[
                        policy.MetricDimensionProperty(name="EndpointName", value=endpoint_name)
                    ],
                    statistic="Average",
                ),
            ),
        )

    def _wake(
        self, target: aws_applicationautoscaling.CfnScalableTarget, endpoint_name: str
    ) -> None:
        wake = self._step("Wake", f"{endpoint_name}-wake", target, "ChangeInCapacity", 1)
        aws_cloudwatch.CfnAlarm(
            self,
            "Queued",
            alarm_name=f"{endpoint_name}-queued",
            alarm_description="The queue has prompts and there is no instance: starts one.",
            namespace="AWS/SageMaker",
            metric_name="HasBacklogWithoutCapacity",
            dimensions=[
                aws_cloudwatch.CfnAlarm.DimensionProperty(name="EndpointName", value=endpoint_name)
            ],
            statistic="Average",
            period=int(Duration.minutes(1).to_seconds()),
            evaluation_periods=1,
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="notBreaching",
            alarm_actions=[wake.ref],
        )

    def _end_idling(
        self,
        target: aws_applicationautoscaling.CfnScalableTarget,
        endpoint_name: str,
        topic: aws_sns.ITopic,
    ) -> None:
        end = self._step("End", f"{endpoint_name}-idle", target, "ExactCapacity", 0)
        # An instance reports its processor once a minute, also without prompts; the backlog may
        # have no data then.
        instances = aws_cloudwatch.Metric(
            namespace="/aws/sagemaker/Endpoints",
            metric_name="CPUUtilization",
            dimensions_map={"EndpointName": endpoint_name, "VariantName": VARIANT},
            statistic="SampleCount",
            period=_FIVE_MINUTES,
        )
        backlog = _of_queue(endpoint_name, "ApproximateBacklogSize")
        idle = aws_cloudwatch.MathExpression(
            expression="IF(instances > 0 AND FILL(backlog, 0) == 0, 1, 0)",
            using_metrics={"instances": instances, "backlog": backlog},
            label="instances without a queue",
            period=_FIVE_MINUTES,
        )
        alarm = at_least(
            self,
            "Idle",
            idle,
            name=f"{endpoint_name}-idle",
            why=f"Instances ran for {IDLE_MINUTES} minutes with an empty queue, and "
            "cost money: scales to zero.",
            threshold=1,
            periods=IDLE_MINUTES // 5,
        )
        notify(alarm, topic)
        made = alarm.node.default_child
        assert isinstance(made, aws_cloudwatch.CfnAlarm)  # noqa: S101 (an alarm always has one)
        made.alarm_actions = [end.ref, topic.topic_arn]

    def _step(
        self,
        construct_id: str,
        name: str,
        target: aws_applicationautoscaling.CfnScalableTarget,
        adjustment: str,
        instances: int,
    ) -> aws_applicationautoscaling.CfnScalingPolicy:
        """Return the policy by which an alarm adds instances, or sets their number."""
        policy = aws_applicationautoscaling.CfnScalingPolicy
        step = policy.StepAdjustmentProperty(
            metric_interval_lower_bound=0, scaling_adjustment=instances
        )
        return policy(
            self,
            construct_id,
            policy_name=name,
            policy_type="StepScaling",
            scaling_target_id=target.ref,
            step_scaling_policy_configuration=policy.StepScalingPolicyConfigurationProperty(
                adjustment_type=adjustment,
                metric_aggregation_type="Average",
                cooldown=AWAKE_AGAIN_AFTER_SECONDS if instances else None,
                step_adjustments=[step],
            ),
        )

    def _report_old_prompts(self, endpoint_name: str, topic: aws_sns.ITopic) -> None:
        notify(
            at_least(
                self,
                "OldPrompt",
                _of_queue(endpoint_name, "ApproximateAgeOfOldestRequest"),
                name=f"{endpoint_name}-old-prompt",
                why=f"A prompt has waited for {OLDEST_SECONDS // 60} minutes: no "
                "instance could be started, or the model fails.",
                threshold=OLDEST_SECONDS,
                periods=2,
            ),
            topic,
        )


def _of_queue(endpoint_name: str, metric: str) -> aws_cloudwatch.Metric:
    return aws_cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name=metric,
        dimensions_map={"EndpointName": endpoint_name},
        statistic="Maximum",
        period=_FIVE_MINUTES,
    )
