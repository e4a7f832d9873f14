"""`EndpointManagerStack`: the meters, the clock that reconciles them, provisioning and removal.

Deployed after the metered stacks, destroyed before them. It alone may create and delete endpoints.
"""

from typing import Any

from aws_cdk import (
    Annotations,
    CfnOutput,
    CustomResource,
    Duration,
    Stack,
    aws_events,
    aws_events_targets,
)
from constructs import Construct

from stacks.alarms import Monitoring
from stacks.encryption import encrypt_volumes
from stacks.functions import Deployment, MeterFunction, Program, kept_log_group
from stacks.iam import Grants
from stacks.iam_scaling import limit_queues
from stacks.names import endpoint_log_group
from stacks.notifications import NotificationTopic
from stacks.tables import meters_table

CLOCK_TIMEOUT_SECONDS = 150
"""A run waits for what falls due within 75 s; the rest is for acting."""

CLOCK_MEGABYTES = 1769
"""The memory that comes with one whole processor, for which many stops at once would wait."""

SWEEP_MINUTES = 10

EVENT_AGE_SECONDS = 60
"""A tick is useless once the next one has come; also the least that AWS allows."""

LIFECYCLE_TIMEOUT_SECONDS = 900
"""Lambda's limit; the handler continues in another invocation before it."""


class EndpointManagerStack(Stack):
    """Table, clock with its events, lifecycle, alarms."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        deployment: Deployment,
        **of: Any,
    ) -> None:
        super().__init__(scope, construct_id, **of)
        self._deployment, self._settings = deployment, deployment.settings
        settings = self._settings
        self._may = Grants(self, settings.names)
        table = meters_table(self, settings)
        topic = NotificationTopic(self, "Notifications", settings)
        if settings.notification_email is None:
            Annotations.of(self).add_warning_v2(
                "parkmeter:no-notification-email",
                "notification_email is None in app.py: alarms and warnings are sent only to "
                f"subscribers that you add to the topic {settings.names.notifications}.",
            )
        clock = self._clock(topic)
        events = self._events(clock)
        lifecycle = self._lifecycle()
        # Created before the custom resources, so that it still exists when they are deleted.
        needed = [one for one in (table, clock, topic, *events) if one is not None]
        self._endpoints(lifecycle, *needed)
        self._check_deployment()
        Monitoring(self, "Watching", settings=settings, topic=topic.topic)

    def _clock(self, topic: NotificationTopic) -> MeterFunction:
        may = self._may
        queues = [
            one.name for one in self._settings.endpoints if one.async_queue and one.async_metered
        ]
        return MeterFunction(
            self,
            "Clock",
            self._deployment,
            Program(
                name=self._settings.names.clock,
                module="parkmeter.aws.clock",
                description="Reconciles meters every minute and on events.",
                timeout_seconds=CLOCK_TIMEOUT_SECONDS,
                memory_megabytes=CLOCK_MEGABYTES,
                environment={
                    "PARKMETER_TOPIC_ARN": topic.topic.topic_arn,
                    "PARKMETER_MAILED": " ".join(self._settings.notification_events),
                    "PARKMETER_PUBLIC_URL": self._settings.public_url or "",
                    "PARKMETER_ADDRESS_PARAMETER": self._settings.names.address_parameter,
                    **({"PARKMETER_METERED_QUEUES": " ".join(queues)} if queues else {}),
                },
                # Several: overlapping runs are harmless, because every step is a conditional
                # commit, and a run that waits must not keep another one out.
                reserved=self._settings.clock_concurrency,
                retries=0,
                event_age_seconds=EVENT_AGE_SECONDS,
            ),
            [
                may.keep_meters(),
                may.list_unsettled(),
                may.read_all_meters(),
                may.read_endpoints(),
                may.read_hours(),
                may.publish_expiry(),
                may.empty_outbox(),
                may.sign_links(),
                may.find_address(),
                *may.start_endpoints(),
                *encrypt_volumes(self._settings, self._settings.region),
                *may.see_and_stop_endpoints(),
                may.list_endpoints(),
                topic.publish(),
                *(limit_queues(may, self._settings.names, queues) if queues else ()),
            ],
        )

    def _events(self, clock: MeterFunction) -> list[Construct]:
        names = self._settings.names

        def target(event: aws_events.RuleTargetInput | None = None) -> aws_events.IRuleTarget:
            return aws_events_targets.LambdaFunction(
                clock.function,
                event=event,
                retry_attempts=0,
                max_event_age=Duration.seconds(EVENT_AGE_SECONDS),
            )

        tick = aws_events.Rule(
            self,
            "Tick",
            rule_name=names.tick_rule,
            schedule=aws_events.Schedule.rate(Duration.minutes(1)),
            targets=[target(aws_events.RuleTargetInput.from_object({"kind": "tick"}))],
        )
        sweep = aws_events.Rule(
            self,
            "Sweep",
            description="Finds what ticks and events may have missed: unmetered endpoints, edits.",
            schedule=aws_events.Schedule.rate(Duration.minutes(SWEEP_MINUTES)),
            targets=[target(aws_events.RuleTargetInput.from_object({"kind": "sweep"}))],
        )
        changed = aws_events.Rule(
            self,
            "EndpointChanged",
            description="An endpoint of this deployment became ready, failed or was deleted.",
            event_pattern=aws_events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Endpoint State Change"],
                detail={"EndpointName": aws_events.Match.prefix(names.endpoint_prefix)},
            ),
            targets=[target()],
        )
        edited = aws_events.Rule(
            self,
            "ExpiryEdited",
            description="A published expiry was edited by hand.",
            event_pattern=aws_events.EventPattern(
                source=["aws.ssm"],
                detail_type=["Parameter Store Change"],
                detail={"name": aws_events.Match.prefix(names.expiry_path)},
            ),
            targets=[target()],
        )
        return [tick, sweep, changed, edited]

    def _lifecycle(self) -> MeterFunction:
        may, names = self._may, self._settings.names
        return MeterFunction(
            self,
            "Lifecycle",
            self._deployment,
            Program(
                name=names.lifecycle,
                module="parkmeter.aws.lifecycle",
                description="Provisions an endpoint on the first deploy; stops it on destroy.",
                timeout_seconds=LIFECYCLE_TIMEOUT_SECONDS,
            ),
            [
                may.keep_meters(),
                may.read_endpoints(),
                may.withdraw_expiry(),
                *may.see_and_stop_endpoints(),
                may.wake(names.clock),
                may.wake(names.lifecycle),
            ],
        )

    def _endpoints(self, lifecycle: MeterFunction, *needed: Construct) -> None:
        names = self._settings.names
        for endpoint in self._settings.endpoints:
            logs = kept_log_group(
                self,
                f"{endpoint.title}Logs",
                endpoint_log_group(names.endpoint(endpoint.name)),
                self._settings.log_days,
            )
            resource = CustomResource(
                self,
                endpoint.title,
                resource_type="Custom::ParkmeterEndpoint",
                service_token=lifecycle.function.function_arn,
                # An endpoint that is still being created cannot be deleted before that has ended.
                service_timeout=Duration.hours(1),
                properties={
                    "Name": endpoint.name,
                    "InitialProvisionTimeMinutes": f"{self._settings.initial_minutes(endpoint):g}",
                },
            )
            resource.node.add_dependency(lifecycle, logs, *needed)

    def _check_deployment(self) -> None:
        """Add the check of each deployment, with a function that the stack's destroy still has."""
        may, settings = self._may, self._settings
        function = MeterFunction(
            self,
            "DeployCheck",
            self._deployment,
            Program(
                name=settings.names.deploy_check,
                module="parkmeter.aws.deploy_check",
                description="Refuses to leave an async endpoint behind; reports quotas of 0.",
                timeout_seconds=120,
            ),
            [may.see_queues(), may.read_quotas()],
        )
        checked = CustomResource(
            self,
            "Checked",
            resource_type="Custom::ParkmeterDeployCheck",
            service_token=function.function.function_arn,
            service_timeout=Duration.minutes(5),
            properties={
                "Queues": [one.name for one in settings.endpoints if one.async_queue],
                "Endpoints": [
                    {
                        "Name": one.name,
                        "InstanceTypes": list(one.instance_types),
                        "InstanceCount": one.instance_count,
                    }
                    for one in settings.endpoints
                ],
            },
        )
        checked.node.add_dependency(function)
        CfnOutput(
            self,
            "Quotas",
            value=checked.get_att_string("Quotas"),
            description="Endpoints that no quota of the account lets start, when deployed.",
        )
