"""The Lambda behind one endpoint's prompts: from its environment to what answers them.

Starts in a moment, so it imports no more than it needs: API Gateway's event in, its answer out.
"""

import logging
import os
from dataclasses import replace
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.definitions import definition
from parkmeter.aws.events import Answer
from parkmeter.aws.prompts import Inference, models_runtime, route_of
from parkmeter.errors import ParkmeterError
from parkmeter.meter import Meter
from parkmeter.stores.records import read
from parkmeter.web.routes import Route

_log = logging.getLogger(__name__)

_PATIENCE = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 2},
)


def handler(event: dict[str, Any], _context: Any) -> Answer:
    """API Gateway's proxy event, answered."""
    return inference().answer(event)


@cache
def inference() -> Inference:
    """The endpoint of this function, from its environment."""
    name = os.environ["PARKMETER_ENDPOINT"]
    dynamodb = boto3.client("dynamodb", config=_PATIENCE)
    runtime = models_runtime()
    table, path = os.environ["PARKMETER_METERS_TABLE"], os.environ["PARKMETER_ENDPOINTS_PATH"]

    def meter() -> Meter:
        key = {"pk": {"S": name}, "sk": {"S": "meter"}}
        item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        if item is None:
            return Meter(name)
        return replace(read(Meter, item["body"]["S"]), version=int(item["version"]["N"]))

    def route() -> Route:
        # Only who is refused hears of the price, so only then it is looked up.
        try:
            found = definition(boto3.client("ssm", config=_PATIENCE), path, name)
        except (BotoCoreError, ClientError, ParkmeterError) as error:
            _log.warning("no definition of %s, so its price is not told: %s", name, error)
            return Route(name, name)
        return route_of(found)

    return Inference(name, meter, route, runtime)


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # While the function is being made it has more of a processor than when it is asked.
    inference()
