"""The Lambda behind one endpoint's prompts: is the meter open? Then the model's own answer.

One look at the meter, one call of the model. No web framework: API Gateway's event in, its answer
out. It starts and stops nothing and writes nothing.
"""

import base64
import binascii
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
)

from parkmeter.aws.asking import token_in
from parkmeter.aws.definitions import definition
from parkmeter.errors import (
    InvalidRequestError,
    ParkmeterError,
    TokenMissingError,
    TooLargeError,
    UpstreamError,
    UpstreamTimeoutError,
)
from parkmeter.meter import Meter, Status, is_open
from parkmeter.ports import View
from parkmeter.stores.records import read
from parkmeter.tokens import Scope
from parkmeter.web import refusals
from parkmeter.web.auth import require
from parkmeter.web.problems import problem_of
from parkmeter.web.routes import Route

_log = logging.getLogger(__name__)

LARGEST = 4 * 2**20
"""Bytes of a body, either way: Lambda takes and gives 6 MB, in which a body is base64."""

_LONGEST_FIELD = 1024
"""Of a Content-Type or Accept (botocore's service model)."""

_MODELS_PATIENCE = Config(
    connect_timeout=1,
    read_timeout=27,
    # A prompt is sent once: a second one would cost twice and could not be waited for.
    retries={"mode": "standard", "total_max_attempts": 1},
)
_PATIENCE = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 2},
)
_TOO_LONG = (
    "The model server did not answer within the 27 seconds there are here. Longer ones go through "
    "the endpoint's -async path."
)

Answer = dict[str, Any]


def handler(event: dict[str, Any], _context: Any) -> Answer:
    """API Gateway's proxy event, answered."""
    return inference().answer(event)


@cache
def inference() -> "Inference":
    """The endpoint of this function, from its environment."""
    name = os.environ["PARKMETER_ENDPOINT"]
    dynamodb = boto3.client("dynamodb", config=_PATIENCE)
    runtime = boto3.client("sagemaker-runtime", config=_MODELS_PATIENCE)
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
        return Route(
            name,
            found.api_resource,
            price_per_hour=found.spec.price_per_hour,
            suggested_minutes=found.suggested_minutes,
        )

    return Inference(name, meter, route, runtime)


@dataclass(frozen=True, slots=True)
class Inference:
    """Prompts of one endpoint.

    `meter` reads it, consistently; `route` finds what a refused client is told; `runtime` is
    boto3's client of SageMaker's runtime.
    """

    name: str
    meter: Callable[[], Meter]
    route: Callable[[], Route]
    runtime: Any
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def answer(self, event: Mapping[str, Any]) -> Answer:
        """The model's own answer, or a problem."""
        try:
            return self._prompt(event)
        except ParkmeterError as error:
            return _refused(error)
        except Exception:  # noqa: BLE001 (a problem, not API Gateway's words)
            _log.exception("a prompt for %s failed", self.name)
            return _refused(ParkmeterError("See the log."))

    def _prompt(self, event: Mapping[str, Any]) -> Answer:
        now = self.now()
        token = token_in(event["requestContext"].get("authorizer"), now)
        if token is None:
            raise TokenMissingError
        require(token, Scope.INVOKE, self.name)
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        request = _request(event, headers)
        meter = self.meter()
        view = View.of(meter, now)
        try:
            if not is_open(meter, now):
                raise refusals.meter_closed(self.route(), view, _scope(event, headers))
            if view.status is not Status.RUNNING or view.address is None:
                raise self._not_serving(view)
            answer = self._ask(view.address, request, view)
        except ParkmeterError as error:
            answer = _refused(error)
        answer["headers"] |= _stamp(meter, self.now())
        return answer

    def _not_serving(self, view: View) -> ParkmeterError:
        return refusals.not_serving(Route(self.name, self.name), view, self.now(), held=False)

    # ── The model ───────────────────────────────────────────────────────────────────────────────

    def _ask(self, endpoint: str, request: dict[str, Any], view: View) -> Answer:
        try:
            said = self.runtime.invoke_endpoint(EndpointName=endpoint, **request)
            body = said["Body"].read()
        except ClientError as error:
            return self._refusal(error, view)
        except (ConnectTimeoutError, ReadTimeoutError):
            raise UpstreamTimeoutError(_TOO_LONG) from None
        except BotoCoreError as error:
            _log.warning("%s could not be asked: %s", self.name, error)
            raise UpstreamError("The model server could not be reached.") from None
        if len(body) > LARGEST:
            raise UpstreamError(
                f"The model's answer has {len(body):,} bytes, and {LARGEST:,} can be passed on "
                "here. Larger ones go through the endpoint's -async path."
            )
        return _answer(200, body, {"Content-Type": said.get("ContentType") or "application/json"})

    def _refusal(self, error: ClientError, view: View) -> Answer:
        """The model's own error; or an error for what SageMaker says, whose words name accounts."""
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code == "ModelError":
            return self._model_error(error.response)
        _log.warning("%s was not invoked: %s: %s", self.name, code, message)
        if code == "ModelNotReadyException":
            raise self._not_serving(_starting(view, "SageMaker says that the model is not ready"))
        if code == "ValidationError" and message.rstrip(". ").endswith("not found"):
            raise self._not_serving(_starting(view, "SageMaker does not serve it yet"))
        raise UpstreamError(f"SageMaker did not pass the prompt on ({code}).")

    def _model_error(self, said: Mapping[str, Any]) -> Answer:
        status = said.get("OriginalStatusCode") or 0
        original = said.get("OriginalMessage") or ""
        if 300 <= status < 600:  # noqa: PLR2004 (what HTTP calls no success)
            body = original.encode()
            return _answer(status, body, {"Content-Type": _kind(original)})
        # Without a status these are SageMaker's words, not the model's.
        _log.warning("%s gave no answer: %s", self.name, original)
        if "timed out" in original:
            raise UpstreamTimeoutError(_TOO_LONG)
        raise UpstreamError("The model server broke off.")


def _starting(view: View, reason: str) -> View:
    return replace(view, status=Status.STARTING, reason=reason, retry_at=None)


# ── API Gateway ─────────────────────────────────────────────────────────────────────────────────


def _request(event: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """What is passed on: the body as it is, and what it is."""
    request: dict[str, Any] = {"Body": _body(event)}
    for field, member in (("content-type", "ContentType"), ("accept", "Accept")):
        if value := headers.get(field):
            if not value.isascii() or not value.isprintable() or len(value) > _LONGEST_FIELD:
                label = field.title()
                raise InvalidRequestError(
                    f"{label} may have at most {_LONGEST_FIELD} ASCII characters.", field=label
                )
            request[member] = value
    return request


def _body(event: Mapping[str, Any]) -> bytes:
    text: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        body = text.encode()
    else:
        try:
            body = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequestError("The body did not arrive whole.") from None
    if len(body) > LARGEST:
        raise TooLargeError(LARGEST)
    return body


def _scope(event: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """How the client called, in the words of ASGI: the path of the event lacks the stage."""
    context = event["requestContext"]
    host = headers.get("host") or context.get("domainName") or ""
    path: str = event.get("path") or ""
    whole: str = context.get("path") or path
    return {
        "scheme": headers.get("x-forwarded-proto") or "https",
        "headers": [(b"host", host.encode("ascii", "replace"))],
        "root_path": whole.removesuffix(path) if whole.endswith(path) else "",
    }


def _stamp(meter: Meter, now: datetime) -> dict[str, str]:
    """What every answer says of the meter."""
    closes = View.of(meter, now).expires_at
    left = max(0, int((closes - now).total_seconds()))
    return {
        "Parkmeter-Seconds-Left": str(left),
        "Parkmeter-Expires-At": closes.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }


def _kind(text: str) -> str:
    """The model's own type is lost; JSON is told apart."""
    try:
        json.loads(text)
    except ValueError:
        return "text/plain; charset=utf-8"
    return "application/json"


def _refused(error: ParkmeterError) -> Answer:
    said = problem_of(error)
    return _answer(said.status, said.body, said.headers)


def _answer(status: int, body: bytes, headers: Mapping[str, str]) -> Answer:
    # Base64 always: API Gateway is told to take every type for binary.
    return {
        "statusCode": status,
        "headers": dict(headers),
        "body": base64.b64encode(body).decode("ascii"),
        "isBase64Encoded": True,
    }


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # While the function is being made it has more of a processor than when it is asked.
    inference()
