"""DynamoDB on moto, over HTTP, with the two tables as the stacks make them."""

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from parkmeter.stores.dynamodb import Tables
from parkmeter.stores.dynamodb_items import UNSETTLED

# A line for each request would bury what a failing test has to say.
logging.getLogger("werkzeug").setLevel(logging.WARNING)


@contextmanager
def moto_server() -> Iterator[str]:
    """The URL of a moto server in this process, until the block ends."""
    application = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def serial(environ: Any, start_response: Any) -> Any:
        # moto's dictionaries do not bear changes while another thread walks over them.
        with one_at_a_time:
            return list(application(environ, start_response))

    server = make_server("127.0.0.1", 0, serial, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        # By this name, because moto tells services apart by host and knows no bare addresses.
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
