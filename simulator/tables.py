"""DynamoDB's two tables as the stacks make them, and a client as the store takes it."""

import uuid
from typing import Any

import boto3
from botocore.config import Config

from parkmeter.stores.dynamodb import Tables
from parkmeter.stores.dynamodb_items import UNSETTLED


def dynamodb_client(url: str) -> Any:
    """A client with plain values, as the store takes it."""
    resource = boto3.resource(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(max_pool_connections=32),
    )
    return resource.meta.client


def make_tables(client: Any) -> Tables:
    """Two new tables."""
    mark = uuid.uuid4().hex
    tables = Tables(f"meters-{mark}", f"auth-{mark}")
    client.create_table(
        TableName=tables.meters,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": UNSETTLED, "AttributeType": "N"},
        ],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": UNSETTLED,
                "KeySchema": [
                    {"AttributeName": UNSETTLED, "KeyType": "HASH"},
                    {"AttributeName": "pk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    client.create_table(
        TableName=tables.auth,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "token", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "token", "KeyType": "HASH"}],
    )
    return tables
