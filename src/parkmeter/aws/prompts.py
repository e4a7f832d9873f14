"""Prompts of one endpoint: is the meter open? Then the model's own answer.

One look at the meter, one call of the model; it starts and stops nothing and writes nothing itself.
Knows API Gateway's events and SageMaker's runtime; not where meters are kept. No web framework.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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
from parkmeter.aws.definitions import Definition
from parkmeter.aws.events import (
    LARGEST,
    Answer,
    answer,
    headers_of,
    kind_of,
    prompt_in,
    refused,
    scope_of,
)
from parkmeter.errors import (
    ParkmeterError,
    TokenMissingError,
    UpstreamError,
    UpstreamTimeoutError,
)
from parkmeter.meter import Meter, Status, is_open, price_of
from parkmeter.ports import View
from parkmeter.tokens import Scope, Token
from parkmeter.web import refusals
from parkmeter.web.auth import require
from parkmeter.web.fields import base_of
from parkmeter.web.routes import Route

_log = logging.getLogger(__name__)

PATIENCE = Config(
    connect_timeout=1,
    read_timeout=27,
    # A prompt is sent once: a second one would cost twice and could not be waited for.
    retries={"mode": "standard", "total_max_attempts": 1},
)
_TOO_LONG = (
    "The model server did not answer within the 27 seconds there are here. Longer ones go through "
    "the endpoint's -async path."
)


def models_runtime() -> Any:
    """boto3's client of SageMaker's runtime, as patient as API Gateway lets it be."""
    return boto3.client("sagemaker-runtime", config=PATIENCE)


def route_of(found: Definition, meter: Meter) -> Route:
    """What a refused client is told of an endpoint: the present price, and what to top up."""
    return Route(
        found.spec.name,
        found.api_resource,
        price_per_hour=price_of(found.spec, meter).per_hour,
        suggested_minutes=found.suggested_minutes,
        wakes=found.spec.wake is not None,
    )


@dataclass(frozen=True, slots=True)
class Inference:
    """Prompts of one endpoint.

    `meter` reads it, consistently; `route` finds what a refused client is told; `runtime` is
    boto3's client of SageMaker's runtime. `wake` puts time on the closed meter for a token, or
    passes the event on to who may and gives its answer; it raises ParkmeterError where it refuses.
    `used` notes that a prompt goes to the model.
    """

    name: str
    meter: Callable[[], Meter]
    route: Callable[[Meter], Route]
    runtime: Any
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    wake: Callable[[Token, Mapping[str, Any]], Answer | None] | None = None
    used: Callable[[datetime], None] = lambda _now: None

    def answer(self, event: Mapping[str, Any]) -> Answer:
        """The model's own answer, or a problem."""
        try:
            return self._prompt(event)
        except ParkmeterError as error:
            return refused(error)
        except Exception:  # noqa: BLE001 (a problem, not API Gateway's words)
            _log.exception("a prompt for %s failed", self.name)
            return refused(ParkmeterError("See the log."))

    def _prompt(self, event: Mapping[str, Any]) -> Answer:
        now = self.now()
        token = token_in(event["requestContext"].get("authorizer"), now)
        if token is None:
            raise TokenMissingError
        require(token, Scope.INVOKE, self.name)
        headers = headers_of(event)
        request = prompt_in(event, headers)
        meter = self.meter()
        try:
            if not is_open(meter, now):
                route = self.route(meter)
                if (woken := self._woken(route, token, event)) is not None:
                    return woken
                meter = self.meter() if route.wakes else meter
                if not is_open(meter, now):
                    view, base = View.of(meter, now), base_of(scope_of(event, headers))
                    raise refusals.meter_closed(route, view, base)
            view = View.of(meter, now)
            if view.status is not Status.RUNNING or view.address is None:
                raise self._not_serving(view)
            self.used(now)
            said = self._ask(view.address, request, view)
        except ParkmeterError as error:
            said = refused(error)
        said["headers"] |= _stamp(meter, self.now())
        return said

    def _woken(self, route: Route, token: Token, event: Mapping[str, Any]) -> Answer | None:
        if self.wake is None or not route.wakes or not token.may(Scope.TOP_UP, self.name):
            return None
        return self.wake(token, event)

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
        return answer(200, body, {"Content-Type": said.get("ContentType") or "application/json"})

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
            return answer(status, body, {"Content-Type": kind_of(original)})
        # Without a status these are SageMaker's words, not the model's.
        _log.warning("%s gave no answer: %s", self.name, original)
        if "timed out" in original:
            raise UpstreamTimeoutError(_TOO_LONG)
        raise UpstreamError("The model server broke off.")


def _starting(view: View, reason: str) -> View:
    return replace(view, status=Status.STARTING, reason=reason, retry_at=None)


def _stamp(meter: Meter, now: datetime) -> dict[str, str]:
    """What every answer says of the meter."""
    closes = View.of(meter, now).expires_at
    left = max(0, int((closes - now).total_seconds()))
    return {
        "Parkmeter-Seconds-Left": str(left),
        "Parkmeter-Expires-At": closes.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
