"""The Lambda behind one endpoint's prompts: builds `Inference` from its environment.

Its start delays a prompt, so it imports only what it needs.
"""

import gc
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.api_events import Answer
from parkmeter.aws.definitions import RememberedDefinition, definition
from parkmeter.aws.last_use import UseNote
from parkmeter.aws.prompt import Inference, models_runtime, route_of
from parkmeter.core.meter import Meter
from parkmeter.core.tokens import Token
from parkmeter.errors import StoreBusyError
from parkmeter.stores.records import read
from parkmeter.web.routes import Route

_log = logging.getLogger(__name__)

_PATIENCE = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 2},
)

_PATIENCE_WITH_CONTROL = Config(
    connect_timeout=1,
    read_timeout=25,  # the function may have to start first; API Gateway waits 29 seconds
    retries={"mode": "standard", "total_max_attempts": 1},
)


def handler(event: dict[str, Any], _context: Any) -> Answer:
    """Answer API Gateway's proxy event."""
    return inference().answer(event)


@cache
def inference() -> Inference:
    """Return the endpoint of this function, from its environment."""
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

    # Only a refusal names the price, so only then it is looked up, and not for each: clients repeat
    # refused prompts, and their reads of SSM would be those that the clock then lacks.
    found = RememberedDefinition(
        lambda: definition(boto3.client("ssm", config=_PATIENCE), path, name)
    )

    def route(seen: Meter) -> Route:
        known = found()
        return Route(name, name) if known is None else route_of(known, seen)

    def wake(_token: Token, event: Mapping[str, Any]) -> Answer:
        # Only a waking prompt waits for this client, and for the function that may write meters.
        functions = boto3.client("lambda", config=_PATIENCE_WITH_CONTROL)
        return forward_to_control(functions, os.environ["PARKMETER_CONTROL_FUNCTION"], name, event)

    made = Inference(name, meter, route, runtime, wake=wake)
    if os.environ.get("PARKMETER_NOTES_USE") != "1":
        return made
    return replace(made, used=UseNote(dynamodb, table, name).take)


def forward_to_control(functions: Any, control: str, name: str, event: Mapping[str, Any]) -> Answer:
    """Forward a prompt to control by the endpoint's name, with its token; return the answer.

    Control answers without waiting; a request that asked to wait does so here.

    Raises:
        StoreBusyError: control could not be called, or failed.

    """
    path, context = f"/endpoints/{name}/invocations", event["requestContext"]
    whole: str = context.get("path") or event["path"]
    context = {**context, "path": whole.removesuffix(event["path"]) + path}
    fields = {name: _without_wait(event.get(name)) for name in ("headers", "multiValueHeaders")}
    request = {**event, **fields, "path": path, "resource": "/{proxy+}", "requestContext": context}
    try:
        response = functions.invoke(FunctionName=control, Payload=json.dumps(request).encode())
        answer: Answer = json.loads(response["Payload"].read())
    except (BotoCoreError, ClientError) as error:
        _log.warning("%s could not be woken: %s", name, error)
        raise StoreBusyError from None
    if "FunctionError" in response:
        _log.warning("%s could not be woken: control failed", name)
        raise StoreBusyError
    return answer


def _without_wait(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (headers or {}).items() if name.lower() != "prefer"}


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # A function has more processor time while it is initialized than when it handles an event.
    inference()
    # All of it is permanent. Without this the first collection costs an early answer 30 ms.
    gc.freeze()
