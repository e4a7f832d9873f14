"""A minimal function for prompts: one read of a table, one call of the model."""

import base64
import os
from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")
runtime = boto3.client("sagemaker-runtime")


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Pass the prompt on if there is a meter at all."""
    name = os.environ["PARKMETER_ENDPOINT"]
    key = {"pk": {"S": name}, "sk": {"S": "meter"}}
    found = dynamodb.get_item(
        TableName=os.environ["PARKMETER_METERS_TABLE"], Key=key, ConsistentRead=True
    )
    if "Item" not in found:
        return {"statusCode": 402, "body": "closed"}
    body, kind = base64.b64decode(event["body"]), "application/json"
    said = runtime.invoke_endpoint(EndpointName=f"parkmeter-{name}", ContentType=kind, Body=body)
    return {
        "statusCode": 200,
        "headers": {"Content-Type": kind},
        "body": base64.b64encode(said["Body"].read()).decode(),
        "isBase64Encoded": True,
    }
