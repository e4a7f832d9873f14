"""The Lambda behind the custom resources of an async stack: the bucket, and the instance type."""

from typing import Any

from parkmeter.aws.async_inference import bucket, instance_type


def handler(event: dict[str, Any], context: Any) -> None:
    """Pass one request of CloudFormation to the function that answers it."""
    match event["ResourceType"]:
        case "Custom::ParkmeterInstanceType":
            instance_type.handler(event, context)
        case _:
            bucket.handler(event, context)
