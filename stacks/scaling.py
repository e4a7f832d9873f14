"""Scaling of an async endpoint to zero while its queue is empty, and back.

Two policies, because one is not enough: target tracking on the backlog per instance has nothing to
divide by at zero instances, and would scale out only above its target.
"""

from aws_cdk import Duration, aws_applicationautoscaling, aws_cloudwatch, aws_sagemaker
from constructs import Construct

from stacks.names import VARIANT

BACKLOG_FOR_EACH_INSTANCE = 5
ASLEEP_AFTER_SECONDS = 600
"""Loading a large model takes minutes; prompts that follow soon should not wait for it again."""

AWAKE_AGAIN_AFTER_SECONDS = 300

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
        endpoint_name: str,
        most_instances: int,
    ) -> None:
        super().__init__(scope, construct_id)
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
        policy = aws_applicationautoscaling.CfnScalingPolicy
        wake = policy(
            self,
            "Wake",
            policy_name=f"{endpoint_name}-wake",
            policy_type="StepScaling",
            scaling_target_id=target.ref,
            step_scaling_policy_configuration=policy.StepScalingPolicyConfigurationProperty(
                adjustment_type="ChangeInCapacity",
                metric_aggregation_type="Average",
                cooldown=AWAKE_AGAIN_AFTER_SECONDS,
                step_adjustments=[
                    policy.StepAdjustmentProperty(
                        metric_interval_lower_bound=0, scaling_adjustment=1
                    )
                ],
            ),
        )
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
