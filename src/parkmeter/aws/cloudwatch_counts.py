"""Counts of endpoints from SageMaker's metrics in CloudWatch: requests, instance-minutes.

Knows no meter.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.core.request_counts import Count, slot_at

log = logging.getLogger(__name__)

_VARIANT = "AllTraffic"
"""`stacks/names.py`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of an endpoint's variant, and the statistic that counts."""

    namespace: str
    name: str
    statistic: str


INVOCATIONS = Metric("AWS/SageMaker", "Invocations", "Sum")

INSTANCE_MINUTES = Metric("/aws/sagemaker/Endpoints", "CPUUtilization", "SampleCount")
"""Each instance reports once a minute (SageMaker's guide, troubleshooting of async endpoints)."""


class CloudWatchCounts:
    """Implements `ports.RequestCounts` over boto3's CloudWatch client, made when first needed.

    `endpoints`: each one's name on SageMaker. CloudWatch keeps minutes for 15 days, five minutes
    for 63, hours for longer (its documentation), and lags some minutes.
    """

    def __init__(
        self,
        client: Callable[[], Any],
        endpoints: Mapping[str, str],
        metric: Metric = INVOCATIONS,
    ) -> None:
        self._client = client
        self._endpoints = endpoints
        self._metric = metric

    def of(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> list[Count] | None:
        """See `ports.RequestCounts`."""
        dimensions = {"EndpointName": self._endpoints[name], "VariantName": _VARIANT}
        metric = {
            "Namespace": self._metric.namespace,
            "MetricName": self._metric.name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        }
        stat = {"Metric": metric, "Period": int(slot.total_seconds())}
        stat["Stat"] = self._metric.statistic
        wanted = {
            "MetricDataQueries": [{"Id": "requests", "MetricStat": stat}],
            # A whole slot; otherwise CloudWatch's periods would begin within one.
            "StartTime": slot_at(begin, slot),
            "EndTime": end,
            "ScanBy": "TimestampAscending",
        }
        try:
            pages = self._client().get_paginator("get_metric_data").paginate(**wanted)
            return [
                Count(at.astimezone(UTC), round(value))
                for page in pages
                for found in page["MetricDataResults"]
                for at, value in zip(found["Timestamps"], found["Values"], strict=True)
                if value
            ]
        except (BotoCoreError, ClientError) as error:
            log.warning("%s: its counts cannot be read: %s", name, error)
            return None
