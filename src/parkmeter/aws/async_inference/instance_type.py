"""The custom resource that refuses a change of an async endpoint's instance type.

SageMaker refuses it while the endpoint is a scalable target, in the middle of the stack's update
and with a message that names no way out. Here it is refused before anything is changed. Knows
SageMaker and its scaling; nothing of meters.
"""

import logging
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from parkmeter.aws import custom_resource

log = logging.getLogger(__name__)

_PATIENCE = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}
)


def handler(event: dict[str, Any], _context: Any) -> None:
    """Fail if `AsyncEndpoint` is scaled on another type than `InstanceType`; else succeed."""
    given = event["ResourceProperties"]
    endpoint, wanted, stack = given["AsyncEndpoint"], given["InstanceType"], given["Stack"]
    physical_id = f"instance-type-of-{endpoint}"
    present = None if event["RequestType"] == "Delete" else _scaled_on(endpoint)
    if present in (None, wanted):
        custom_resource.succeed(event, physical_id)
        return
    custom_resource.fail(
        event,
        physical_id,
        f"{endpoint} runs on {present}, and SageMaker cannot change the type of an endpoint that "
        f"is scaled. Nothing was changed. Fetch the results that you need, then run: "
        f"cdk destroy {stack} && cdk deploy {stack}",
    )


def _scaled_on(endpoint: str) -> str | None:
    """Return the instance type of a scaled endpoint; None if it is not scaled, or unknown."""
    try:
        return scaled_on(
            boto3.client("sagemaker", config=_PATIENCE),
            boto3.client("application-autoscaling", config=_PATIENCE),
            endpoint,
        )
    except Exception:
        # SageMaker refuses by itself; a deployment that changes no type must not fail for this.
        log.exception("the instance type of %s could not be read", endpoint)
        return None


def scaled_on(sagemaker: Any, scaling: Any, endpoint: str) -> str | None:
    """Return the instance type of an endpoint that is a scalable target, else None.

    Raises:
        BotoCoreError, ClientError: AWS does not answer, or refuses.

    """
    try:
        found = sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if error.response["Error"]["Message"].startswith("Could not find endpoint"):
            return None
        raise
    config = sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    (variant,) = config["ProductionVariants"]
    targets = scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker",
        ResourceIds=[f"endpoint/{endpoint}/variant/{variant['VariantName']}"],
    )
    if not targets["ScalableTargets"]:
        return None
    instance_type: str = variant["InstanceType"]
    return instance_type
