"""The log of a container, in the log group of its endpoint: a stream for each start."""

import contextlib
import time
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError


def container_logs(logs: Any) -> Callable[[dict[str, Any]], None]:
    """Return a listener of the event bus; without its log group a container's lines are lost."""

    def listener(event: dict[str, Any]) -> None:
        status = event["detail"].get("EndpointStatus")
        if event["source"] != "aws.sagemaker" or status not in {"IN_SERVICE", "FAILED"}:
            return
        group = f"/aws/sagemaker/Endpoints/{event['detail']['EndpointName']}"
        stream = f"AllTraffic/i-{uuid.uuid4().hex[:17]}"
        line = {"timestamp": round(time.time() * 1000), "message": f"the container: {status}"}
        with contextlib.suppress(ClientError):
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[line])

    return listener
