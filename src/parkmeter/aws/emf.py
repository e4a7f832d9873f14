"""Lines from which CloudWatch takes metrics, in its embedded metric format; alarms read them.

The stacks know their names too (`stacks/names.py`). Pure.
"""

import json
from datetime import datetime, timedelta

METRICS = "parkmeter"
"""Namespace of the metrics."""


def metrics_line(deployment: str, now: datetime, overdue: timedelta, unsettled: int) -> str:
    """Return the line of a tick.

    `overdue`: the longest life past close and drain; `unsettled`: a count.
    """
    return _line(
        deployment,
        now,
        {
            "OverdueSeconds": ("Seconds", round(overdue.total_seconds(), 3)),
            "UnsettledMeters": ("Count", unsettled),
        },
    )


def failed_resource_line(deployment: str, now: datetime) -> str:
    """Return the line of a custom resource that failed."""
    return _line(deployment, now, {"FailedCustomResources": ("Count", 1)})


def _line(deployment: str, now: datetime, values: dict[str, tuple[str, float]]) -> str:
    metrics = [{"Name": name, "Unit": unit} for name, (unit, _) in values.items()]
    line = {
        "_aws": {
            "Timestamp": int(now.timestamp() * 1000),
            "CloudWatchMetrics": [
                {"Namespace": METRICS, "Dimensions": [["Deployment"]], "Metrics": metrics}
            ],
        },
        "Deployment": deployment,
        **{name: value for name, (_, value) in values.items()},
    }
    return json.dumps(line)
