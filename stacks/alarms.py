"""Monitoring of the clock, of the stacks and of the API: alarms and a dashboard.

An endpoint that outlives its meter costs money, so missing data is an alarm too. Knows CloudWatch's
own metrics and those of the lines that functions print (see `names.py`).
"""

from aws_cdk import ArnFormat, Duration, Stack, aws_cloudwatch, aws_cloudwatch_actions, aws_sns
from constructs import Construct

from stacks.names import (
    FAILED_RESOURCES,
    METRICS,
    METRICS_DIMENSION,
    OVERDUE,
    STAGE,
    UNSETTLED,
    VARIANT,
)
from stacks.notifications import topic_by_name
from stacks.settings import Settings

OVERDUE_SECONDS = 900
"""SageMaker refuses to delete an endpoint that it creates or updates, mostly for less than this."""

MANY_REQUESTS = 20
"""In five minutes; with fewer, a few failures of one client would be an alarm."""

FAILING_PERCENT = 50
"""Of requests. Prompts to an endpoint that is starting are answered 503, which counts too."""

_MINUTE = Duration.minutes(1)
_FIVE_MINUTES = Duration.minutes(5)


class Monitoring(Construct):
    """Alarms that notify the topic, and a dashboard of them and of every endpoint."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, topic: aws_sns.ITopic
    ) -> None:
        super().__init__(scope, construct_id)
        self._names = settings.names
        makers = {
            f"{self._names.clock}-errors": self._clock_errors,
            f"{self._names.clock}-missing": self._missing_heartbeat,
            f"{self._names.clock}-throttled": self._clock_throttled,
            f"{self._names.prefix}-endpoint-overdue": self._endpoint_overdue,
            f"{self._names.prefix}-custom-resource-failed": self._failed_custom_resource,
        }
        self._alarms = {name: make(name) for name, make in makers.items()}
        for alarm in self._alarms.values():
            notify(alarm, topic)
        self._dashboard(settings)

    def _clock_errors(self, name: str) -> aws_cloudwatch.Alarm:
        return at_least(
            self,
            "ClockErrors",
            self._of_lambda("Errors"),
            name=name,
            why="The clock failed to reconcile a meter in three of five minutes. "
            "Its log names the meter and the cause.",
            threshold=1,
            periods=5,
            # A single failure is retried the next minute; AWS has transient errors.
            datapoints=3,
        )

    def _missing_heartbeat(self, name: str) -> aws_cloudwatch.Alarm:
        # Counts completed ticks: a disabled rule, a clock that cannot start and one that never
        # finishes all look the same here.
        return self._of_lines(OVERDUE, "SampleCount", _FIVE_MINUTES).create_alarm(
            self,
            "MissingHeartbeat",
            alarm_name=name,
            alarm_description="No tick of the clock was completed for five minutes: endpoints are "
            "neither started nor stopped.",
            threshold=1,
            evaluation_periods=1,
            comparison_operator=aws_cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            treat_missing_data=aws_cloudwatch.TreatMissingData.BREACHING,
        )

    def _clock_throttled(self, name: str) -> aws_cloudwatch.Alarm:
        return at_least(
            self,
            "ClockThrottled",
            self._of_lambda("Throttles"),
            name=name,
            why="Lambda refused to run the clock in two of five minutes: other "
            "functions use up the account's concurrency. Set clock_concurrency, or have the quota "
            "raised.",
            threshold=1,
            periods=5,
            datapoints=2,
        )

    def _failed_custom_resource(self, name: str) -> aws_cloudwatch.Alarm:
        return at_least(
            self,
            "CustomResourceFailed",
            self._of_lines(FAILED_RESOURCES, "Sum", _MINUTE),
            name=name,
            why="A deploy or destroy failed in a custom resource, perhaps leaving an "
            "endpoint that costs money. The stack's events have the cause.",
            threshold=1,
            periods=1,
        )

    def _endpoint_overdue(self, name: str) -> aws_cloudwatch.Alarm:
        return at_least(
            self,
            "EndpointOverdue",
            self._of_lines(OVERDUE, "Maximum", _MINUTE),
            name=name,
            why=f"An endpoint has lived {OVERDUE_SECONDS // 60} minutes past its "
            "meter and costs money. The journal has the cause.",
            threshold=OVERDUE_SECONDS,
            periods=1,
        )

    def _dashboard(self, settings: Settings) -> None:
        board = aws_cloudwatch.Dashboard(self, "Dashboard", dashboard_name=self._names.dashboard)
        board.add_widgets(
            aws_cloudwatch.AlarmStatusWidget(alarms=self._shown(), title="Alarms", width=6),
            _graph(
                "Clock",
                self._of_lambda("Invocations"),
                self._of_lambda("Errors"),
                self._of_lambda("Throttles"),
            ),
            _graph("Unsettled meters", self._of_lines(UNSETTLED, "Maximum", _FIVE_MINUTES)),
            _graph(
                "Seconds past close and drain",
                self._of_lines(OVERDUE, "Maximum", _FIVE_MINUTES),
            ),
        )
        for endpoint in settings.endpoints:
            hosted = self._names.endpoint(endpoint.name)
            board.add_widgets(
                _graph(
                    f"{endpoint.name}: prompts",
                    _of_endpoint(hosted, "Invocations", "Sum"),
                    _of_endpoint(hosted, "Invocation4XXErrors", "Sum"),
                    _of_endpoint(hosted, "Invocation5XXErrors", "Sum"),
                ),
                _graph(
                    f"{endpoint.name}: model latency, microseconds",
                    _of_endpoint(hosted, "ModelLatency", "p50"),
                    _of_endpoint(hosted, "ModelLatency", "p90"),
                ),
                _graph(
                    f"{endpoint.name}: use, percent",
                    _of_instance(hosted, "GPUUtilization"),
                    _of_instance(hosted, "GPUMemoryUtilization"),
                ),
            )

    def _shown(self) -> list[aws_cloudwatch.IAlarm]:
        """Return the alarms by their literal names: the dashboard then depends on none of them."""
        return [
            aws_cloudwatch.Alarm.from_alarm_arn(
                self,
                f"Shown{alarm.node.id}",
                Stack.of(self).format_arn(
                    service="cloudwatch",
                    resource="alarm",
                    resource_name=name,
                    arn_format=ArnFormat.COLON_RESOURCE_NAME,
                ),
            )
            for name, alarm in self._alarms.items()
        ]

    def _of_lambda(self, name: str) -> aws_cloudwatch.Metric:
        return aws_cloudwatch.Metric(
            namespace="AWS/Lambda",
            metric_name=name,
            dimensions_map={"FunctionName": self._names.clock},
            statistic="Sum",
            period=_MINUTE,
        )

    def _of_lines(self, name: str, statistic: str, period: Duration) -> aws_cloudwatch.Metric:
        return aws_cloudwatch.Metric(
            namespace=METRICS,
            metric_name=name,
            dimensions_map={METRICS_DIMENSION: self._names.prefix},
            statistic=statistic,
            period=period,
        )


def at_least(  # noqa: PLR0913 (the properties of an alarm)
    scope: Construct,
    construct_id: str,
    metric: aws_cloudwatch.Metric | aws_cloudwatch.MathExpression,
    *,
    name: str,
    why: str,
    threshold: float,
    periods: int,
    datapoints: int | None = None,
) -> aws_cloudwatch.Alarm:
    """Return the alarm on a metric that reaches a threshold; without data all is well.

    `datapoints`: how many of the `periods` must do so; None: all.
    """
    return metric.create_alarm(
        scope,
        construct_id,
        alarm_name=name,
        alarm_description=why,
        threshold=threshold,
        evaluation_periods=periods,
        datapoints_to_alarm=datapoints,
        comparison_operator=aws_cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=aws_cloudwatch.TreatMissingData.NOT_BREACHING,
    )


def notify(alarm: aws_cloudwatch.Alarm, topic: aws_sns.ITopic) -> None:
    """Publish the beginning and the end of an alarm."""
    alarm.add_alarm_action(aws_cloudwatch_actions.SnsAction(topic))
    alarm.add_ok_action(aws_cloudwatch_actions.SnsAction(topic))


def add_api_alarm(scope: Construct, settings: Settings) -> None:
    """Add the alarm for an API most of whose answers are failures, to the manager's topic."""

    def of_api(name: str) -> aws_cloudwatch.Metric:
        return aws_cloudwatch.Metric(
            namespace="AWS/ApiGateway",
            metric_name=name,
            dimensions_map={"ApiName": settings.names.api, "Stage": STAGE},
            statistic="Sum",
            period=_FIVE_MINUTES,
        )

    failing = aws_cloudwatch.MathExpression(
        expression=f"IF(requests >= {MANY_REQUESTS}, 100 * failures / requests, 0)",
        using_metrics={"requests": of_api("Count"), "failures": of_api("5XXError")},
        label="percent of requests answered 5XX",
        period=_FIVE_MINUTES,
    )
    alarm = at_least(
        scope,
        "Failing",
        failing,
        name=f"{settings.names.prefix}-api-failing",
        why=f"{FAILING_PERCENT} percent of the API's answers or more were 5XX for "
        "fifteen minutes. The logs of control and inference have the causes.",
        threshold=FAILING_PERCENT,
        periods=3,
    )
    notify(alarm, topic_by_name(scope, settings))


def _of_endpoint(name: str, metric: str, statistic: str) -> aws_cloudwatch.Metric:
    return aws_cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name=metric,
        dimensions_map={"EndpointName": name, "VariantName": VARIANT},
        statistic=statistic,
        label=f"{metric} {statistic}",
    )


def _of_instance(name: str, metric: str) -> aws_cloudwatch.Metric:
    return aws_cloudwatch.Metric(
        namespace="/aws/sagemaker/Endpoints",
        metric_name=metric,
        dimensions_map={"EndpointName": name, "VariantName": VARIANT},
        statistic="Average",
    )


def _graph(title: str, *metrics: aws_cloudwatch.IMetric) -> aws_cloudwatch.GraphWidget:
    return aws_cloudwatch.GraphWidget(title=title, left=list(metrics))
