"""Application Auto Scaling for SageMaker's endpoints: targets, policies and the alarms behind them.

Targets are those of the stacks and those registered by a call. At each tick, a minute, the deployed
alarms are held against the metrics of async endpoints, and policies change instance counts. After
the guides "Autoscale an asynchronous endpoint" and "Target tracking scaling policies".
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from werkzeug.wrappers import Request, Response

from simulator.cloudformation.stacks import Resource
from simulator.sagemaker.account import Account
from simulator.sagemaker.async_inference import waiting
from simulator.sagemaker.endpoint import Status

_TARGET_HEADER = "AnyScaleFrontendService."
_ALARM = "AWS::CloudWatch::Alarm"
_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
_SCALABLE = "AWS::ApplicationAutoScaling::ScalableTarget"

OUT_AFTER, IN_AFTER = 3, 15
"""Minutes above, or below nine tenths of, its target after which target tracking acts."""

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
}


@dataclass
class Scaling:
    """Scaling of one account. `resources` returns all deployed resources.

    `activities` lists what was done: the endpoint and its new number of instances.
    """

    resources: Callable[[], Iterable[Resource]]
    account: Account
    activities: list[tuple[str, int]] = field(default_factory=list)
    _minutes: dict[str, int] = field(default_factory=dict)

    def handle(self, request: Request) -> Response | None:
        """Answer a call of Application Auto Scaling; None for any other."""
        target = request.headers.get("X-Amz-Target", "")
        if not target.startswith(_TARGET_HEADER):
            return None
        asked = json.loads(request.get_data() or b"{}")
        with self.account.lock:
            match target.removeprefix(_TARGET_HEADER):
                case "RegisterScalableTarget":
                    arn = self._registered(asked["ResourceId"], asked.get("MaxCapacity"))
                    return _answer({"ScalableTargetARN": arn})
                case "DeregisterScalableTarget":
                    self.account.scalable.deregister(asked["ResourceId"])
                    return _answer({})
                case "DescribeScalableTargets":
                    return _answer({"ScalableTargets": self._described(asked)})
                case other:
                    return Response(f"The simulator has no {other}.", 501)

    def tick(self) -> None:
        """Let a minute pass."""
        deployed = list(self.resources())
        policies = {one.physical_id: one for one in deployed if one.kind == _POLICY}
        for alarm in deployed:
            if alarm.kind == _ALARM and self._breaches(alarm.properties):
                for action in alarm.properties.get("AlarmActions", ()):
                    if action in policies:
                        self._step(policies[action].properties, deployed)
        for policy in policies.values():
            if policy.properties["PolicyType"] == "TargetTrackingScaling":
                self._track(policy.physical_id, policy.properties, deployed)

    def metric(self, name: str, endpoint: str) -> float | None:
        """Return a metric of an async endpoint; None where CloudWatch would have no data."""
        if endpoint not in self._names():
            return None
        backlog = float(sum(job.endpoint == endpoint for job in waiting(self.account)))
        instances = self.account.endpoint(endpoint).instances
        match name:
            case "ApproximateBacklogSize":
                return backlog
            case "ApproximateBacklogSizePerInstance":
                return backlog / instances if instances else None
            case "HasBacklogWithoutCapacity":
                return float(backlog > 0 and instances == 0)
            case _:
                return None

    # ── Internal ────────────────────────────────────────────────────────────────────────────────

    def _names(self) -> set[str]:
        return {one.name for one in self.account.endpoints()}

    def _registered(self, resource: str, most: int | None) -> str:
        """Register a target and return its ARN; the number of instances is brought within limits.

        botocore's model, RegisterScalableTarget.
        """
        arn, name = self.account.scalable.register(resource, most), resource.split("/")[1]
        if most is not None and name in self._names():
            self._rescale(name, 0, 0, most)
        return arn

    def _described(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = asked.get("ResourceIds", [])
        return [
            {
                "ServiceNamespace": "sagemaker",
                "ResourceId": resource,
                "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
                "MinCapacity": 0,
                "MaxCapacity": self.account.scalable.most.get(resource, 1),
                "RoleARN": "arn:aws:iam::111122223333:role/aws-service-role/scaling",
                "CreationTime": 0,
                "ScalableTargetARN": arn,
            }
            for resource, arn in self.account.scalable.all().items()
            if not wanted or resource in wanted
        ]

    def _breaches(self, alarm: dict[str, Any]) -> bool:
        dimensions = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", ())}
        if alarm.get("Namespace") != "AWS/SageMaker" or "EndpointName" not in dimensions:
            return False
        value = self.metric(alarm.get("MetricName", ""), dimensions["EndpointName"])
        compare = _COMPARISONS[alarm["ComparisonOperator"]]
        return value is not None and compare(value, float(alarm["Threshold"]))

    def _step(self, policy: dict[str, Any], deployed: list[Resource]) -> None:
        configuration = policy["StepScalingPolicyConfiguration"]
        if configuration["AdjustmentType"] != "ChangeInCapacity":
            raise NotImplementedError(configuration["AdjustmentType"])
        change = int(configuration["StepAdjustments"][0]["ScalingAdjustment"])
        self._change(policy, deployed, change)

    def _track(self, policy_id: str, policy: dict[str, Any], deployed: list[Resource]) -> None:
        configuration = policy["TargetTrackingScalingPolicyConfiguration"]
        target, metric = (
            configuration["TargetValue"],
            configuration["CustomizedMetricSpecification"],
        )
        value = self.metric(metric["MetricName"], metric["Dimensions"][0]["Value"])
        high = value is not None and value > target
        low = value is not None and value < target * 0.9
        for verdict, after, change in ((high, OUT_AFTER, 1), (low, IN_AFTER, -1)):
            key = f"{policy_id} {change}"
            self._minutes[key] = self._minutes.get(key, 0) + 1 if verdict else 0
            if self._minutes[key] >= after:
                self._minutes[key] = 0
                self._change(policy, deployed, change)

    def _change(self, policy: dict[str, Any], deployed: list[Resource], change: int) -> None:
        for target in deployed:
            if target.kind == _SCALABLE and target.physical_id == policy["ScalingTargetId"]:
                name = target.properties["ResourceId"].split("/")[1]
                lowest = int(target.properties["MinCapacity"])
                highest = self.account.scalable.most.get(
                    target.properties["ResourceId"], int(target.properties["MaxCapacity"])
                )
                if name in self._names():
                    self._rescale(name, change, lowest, highest)

    def _rescale(self, name: str, change: int, lowest: int, highest: int) -> None:
        with self.account.lock:
            endpoint = self.account.endpoint(name)
            wanted = min(highest, max(lowest, endpoint.desired + change))
            if endpoint.status is Status.IN_SERVICE and wanted != endpoint.desired:
                self.account.rescale(name, wanted)
                self.activities.append((name, wanted))


def _answer(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document), mimetype="application/x-amz-json-1.1")
