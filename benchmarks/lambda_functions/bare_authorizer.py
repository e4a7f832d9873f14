"""A minimal authorizer: one read of a table, and a policy."""

import os
from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Allow each token in the table."""
    key = {"token": {"S": event["headers"]["Authorization"]}}
    found = dynamodb.get_item(
        TableName=os.environ["PARKMETER_AUTH_TABLE"], Key=key, ConsistentRead=True
    )
    effect = "Allow" if "Item" in found else "Deny"
    what = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    policy = {"Version": "2012-10-17", "Statement": [what]}
    return {"principalId": "user", "policyDocument": policy}
