"""The line that each tick of the clock prints for CloudWatch; two alarms read it.

In the embedded metric format; the stacks know its names too (`stacks/names.py`). Pure.
"""

import json
from datetime import datetime, timedelta

METRICS = "parkmeter"
"""Namespace of the metrics."""


def metrics_line(deployment: str, now: datetime, overdue: timedelta, unsettled: int) -> str:
    """Return the line. `overdue`: the longest life past close and drain; `unsettled`: a count."""
    metrics = [
        {"Name": "OverdueSeconds", "Unit": "Seconds"},
        {"Name": "UnsettledMeters", "Unit": "Count"},
    ]
    line = {
        "_aws": {
            "Timestamp": int(now.timestamp() * 1000),
            "CloudWatchMetrics": [
                {"Namespace": METRICS, "Dimensions": [["Deployment"]], "Metrics": metrics}
            ],
        },
        "Deployment": deployment,
        "OverdueSeconds": round(overdue.total_seconds(), 3),
        "UnsettledMeters": unsettled,
    }
    return json.dumps(line)
