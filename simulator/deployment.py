"""A parkmeter deployment on moto, without CloudFormation.

The tables, the definitions in SSM and the environment of the functions, as `stacks/` creates them.
For tests and benchmarks that call the handlers in their own process.
"""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from parkmeter.core.events import MAILED
from parkmeter.stores.dynamodb import DynamoStore, Tables
from parkmeter.stores.dynamodb_items import UNSETTLED


def dynamodb_client(url: str) -> Any:
    """Return a client with plain values, as the store expects it."""
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
    """Create the two tables of a deployment, under new names."""
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


@dataclass
class Deployed:
    """One deployment on moto; `path` is the SSM path of its definitions."""

    dynamodb: Any
    ssm: Any
    tables: Tables
    path: str
    store: DynamoStore
    names: list[str] = field(default_factory=list)

    def define(self, name: str = "flan-t5", **more: Any) -> None:
        """Write an endpoint's definition, as `stacks/metered.py` does."""
        document = {
            "name": name,
            "endpoint": f"parkmeter-{name}",
            "variants": [
                {
                    "instance_type": "ml.g5.12xlarge",
                    "config": "on-a10g",
                    "price_per_hour": "7.09",
                    "price_source": "configuration",
                },
                {
                    "instance_type": "ml.p4d.24xlarge",
                    "config": "on-a100",
                    "price_per_hour": "37.69",
                    "price_source": "AWS Price List, 2026-11-22",
                },
            ],
            "api_resource": name.partition("-")[0],
            "price_per_hour": "7.09",
            "price_source": "configuration",
            "max_top_up_minutes": 1440,
            "max_minutes_ahead": 10080,
            "startup_credit_minutes": 30,
            "drain_seconds": 30,
            "warn_minutes": [10, 2],
            **more,
        }
        self.put(name, json.dumps(document))
        path = self.path.replace("/endpoints/", "/hours/") + name
        if hours := document.get("hours"):
            value = json.dumps(hours)
            self.ssm.put_parameter(Name=path, Value=value, Type="String", Overwrite=True)
        else:
            with contextlib.suppress(self.ssm.exceptions.ParameterNotFound):
                self.ssm.delete_parameter(Name=path)
        self.names.append(name)

    def put(self, name: str, value: str) -> None:
        """Write `value` as the definition of `name`, valid or not."""
        self.ssm.put_parameter(Name=self.path + name, Value=value, Type="String", Overwrite=True)


@contextlib.contextmanager
def deployed(moto: str, setenv: Callable[[str, str], None]) -> Iterator[Deployed]:
    """Create a deployment; `setenv` gets the variables by which its functions find it.

    The caller restores the environment.
    """
    dynamodb = dynamodb_client(moto)
    tables, prefix = make_tables(dynamodb), f"p{uuid.uuid4().hex[:8]}"
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "PARKMETER_PREFIX": prefix,
        "PARKMETER_METERS_TABLE": tables.meters,
        "PARKMETER_AUTH_TABLE": tables.auth,
        "PARKMETER_ENDPOINTS_PATH": f"/{prefix}/endpoints/",
        "PARKMETER_EXPIRY_PATH": f"/{prefix}/expiry/",
        "PARKMETER_HOURS_PATH": f"/{prefix}/hours/",
        "PARKMETER_CLOCK_FUNCTION": f"{prefix}-clock",
        "PARKMETER_ENDPOINT": "flan-t5",
        "PARKMETER_CONTROL_FUNCTION": f"{prefix}-control",
    }.items():
        setenv(name, value)
    ssm = boto3.client("ssm")
    path = f"/{prefix}/endpoints/"
    yield Deployed(dynamodb, ssm, tables, path, DynamoStore(dynamodb, tables, posts=MAILED))
    dynamodb.close()
    ssm.close()
