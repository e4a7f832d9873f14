"""The event that EventBridge gets when an endpoint's state changes.

After the SageMaker developer guide, "SageMaker endpoint state change": the status is in
UPPER_SNAKE, times are in milliseconds.
"""

import re
import uuid
from typing import Any

from simulator.sagemaker.endpoint import Endpoint


def state_change(endpoint: Endpoint, account: str, region: str) -> dict[str, Any]:
    """Return the event of an endpoint's present state."""
    detail = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config.name,
        "EndpointStatus": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", endpoint.status).upper(),
        "CreationTime": round(endpoint.created.timestamp() * 1000),
        "LastModifiedTime": round(endpoint.modified.timestamp() * 1000),
        "Tags": dict(endpoint.tags),
    }
    if endpoint.failure:
        detail["FailureReason"] = endpoint.failure
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "SageMaker Endpoint State Change",
        "source": "aws.sagemaker",
        "account": account,
        "time": f"{endpoint.modified:%Y-%m-%dT%H:%M:%SZ}",
        "region": region,
        "resources": [endpoint.arn],
        "detail": detail,
    }
