"""`ProbeStack`: what the smoke test needs beside the deployment.

A queue that receives what EventBridge and SNS say, and the last guard: a schedule in the account
that deletes each endpoint, even if this machine is gone.
"""

import json
from typing import Any

from aws_cdk import (
    Aws,
    Duration,
    Stack,
    aws_events,
    aws_events_targets,
    aws_iam,
    aws_scheduler,
    aws_sqs,
)
from constructs import Construct

from tools.smoke_aws.run import ENDPOINTS, Run


class ProbeStack(Stack):
    """Queue, rule and schedules."""

    def __init__(self, scope: Construct, construct_id: str, run: Run, **of: Any) -> None:
        super().__init__(scope, construct_id, **of)
        queue = aws_sqs.Queue(
            self,
            "Events",
            queue_name=run.stack("events"),
            retention_period=Duration.hours(4),
        )
        queue.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal("sns.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[queue.queue_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        aws_events.Rule(
            self,
            "EndpointChanged",
            event_pattern=aws_events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Endpoint State Change"],
                detail={"EndpointName": aws_events.Match.prefix(f"{run.prefix}-")},
            ),
            targets=[aws_events_targets.SqsQueue(queue)],
        )
        self._guard(run)

    def _guard(self, run: Run) -> None:
        role = aws_iam.Role(
            self,
            "GuardRole",
            assumed_by=aws_iam.ServicePrincipal("scheduler.amazonaws.com"),
        )
        # SageMaker deletes an endpoint that is scaled only for one who may end its scaling.
        for action, resource in (
            ("sagemaker:DeleteEndpoint", f"endpoint/{run.prefix}-*"),
            ("application-autoscaling:DeregisterScalableTarget", "scalable-target/*"),
        ):
            service, _, _ = action.partition(":")
            arn = f"arn:{Aws.PARTITION}:{service}:{run.region}:{Aws.ACCOUNT_ID}:{resource}"
            role.add_to_policy(aws_iam.PolicyStatement(actions=[action], resources=[arn]))
        schedule = aws_scheduler.CfnSchedule
        for name in ENDPOINTS:
            guard = schedule(
                self,
                f"Guard-{name}",
                name=f"{run.endpoint(name)}-guard",
                schedule_expression=f"at({run.ends:%Y-%m-%dT%H:%M:%S})",
                flexible_time_window=schedule.FlexibleTimeWindowProperty(mode="OFF"),
                target=schedule.TargetProperty(
                    arn=f"arn:{Aws.PARTITION}:scheduler:::aws-sdk:sagemaker:deleteEndpoint",
                    role_arn=role.role_arn,
                    input=json.dumps({"EndpointName": run.endpoint(name)}),
                    # An endpoint that is being created cannot be deleted yet.
                    retry_policy=schedule.RetryPolicyProperty(
                        maximum_event_age_in_seconds=86400, maximum_retry_attempts=185
                    ),
                ),
            )
            guard.node.add_dependency(role)
