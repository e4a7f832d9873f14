"""What each tick of the clock prints for CloudWatch: one line that two alarms live on.

In the embedded metric format, whose names the stacks know too (`stacks/names.py`). Pure.
"""

import json
from datetime import datetime, timedelta

METRICS = "parkmeter"
"""Namespace of the metrics."""


def metrics_line(deployment: str, now: datetime, overdue: timedelta, unsettled: int) -> str:
    """`overdue`: of who has lived longest past close and drain; `unsettled`: how many meters."""
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
