"""Prompts of one endpoint: is the meter open? Then the model's own answer.

A look at the meter, or several if it waits, and one call of the model; it starts and stops nothing
and writes nothing itself.
Knows API Gateway's events and SageMaker's runtime; not where meters are kept. No web framework.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
)

from parkmeter.aws.api_events import (
    LARGEST,
    Answer,
    answer,
    headers_of,
    kind_of,
    prompt_in,
    refused,
    scope_of,
)
from parkmeter.aws.definitions import Definition
from parkmeter.aws.token_context import token_in
from parkmeter.aws.wait_until_serving import held, wait_in
from parkmeter.core.meter import Meter, Status, is_open, price_of
from parkmeter.core.tokens import Scope, Token
from parkmeter.errors import (
    ParkmeterError,
    TokenMissingError,
    UpstreamError,
    UpstreamTimeoutError,
)
from parkmeter.ports import View
from parkmeter.web import refusals
from parkmeter.web.auth import require
from parkmeter.web.headers import base_of
from parkmeter.web.meter_headers import meter_headers
from parkmeter.web.routes import Route

_log = logging.getLogger(__name__)

_SECONDS = 27.0
"""For the waiting and the model together: API Gateway waits for 29."""

PATIENCE = Config(
    connect_timeout=1,
    read_timeout=_SECONDS,
    # A prompt is sent once: a second one would cost twice and could not be waited for.
    retries={"mode": "standard", "total_max_attempts": 1},
)


_NOTICED_SECONDS = 1.0
"""Less than the spare time there is; a runtime with a patience of its own takes long to make."""


def models_runtime(seconds: float = _SECONDS) -> Any:
    """boto3's client of SageMaker's runtime, so patient; no more than API Gateway lets it be."""
    config = PATIENCE.merge(Config(read_timeout=seconds))
    return boto3.client("sagemaker-runtime", config=config)


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
    `used` notes that a prompt goes to the model. `hurried` gives a runtime for what has waited and
    has only so many seconds left; `pause` takes as many as it is told.
    """

    name: str
    meter: Callable[[], Meter]
    route: Callable[[Meter], Route]
    runtime: Any
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    wake: Callable[[Token, Mapping[str, Any]], Answer | None] | None = None
    used: Callable[[datetime], None] = lambda _now: None
    hurried: Callable[[float], Any] = models_runtime
    pause: Callable[[float], None] = time.sleep

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
        began = self.now()
        token = token_in(event["requestContext"].get("authorizer"), began)
        if token is None:
            raise TokenMissingError
        require(token, Scope.INVOKE, self.name)
        headers = headers_of(event)
        request = prompt_in(event, headers)
        wait, meter, route = wait_in(headers), self.meter(), None
        try:
            if not is_open(meter, began):
                route = self.route(meter)
                woken = self._woken(route, token, event)
                meter = self.meter() if route.wakes else meter
                if woken is not None and not self._may_wait(woken, wait, meter):
                    woken["headers"] |= meter_headers(None, began, wait)
                    return woken
            until = began + timedelta(seconds=wait or 0)
            meter = held(self.meter, meter, until, self.now, self.pause)
            now = self.now()
            view = View.of(meter, now)
            if not is_open(meter, now):
                base = base_of(scope_of(event, headers))
                raise refusals.meter_closed(route or self.route(meter), view, base)
            if view.status is not Status.RUNNING or view.address is None:
                raise self._not_serving(view)
            self.used(now)
            said = self._ask(view, request, (now - began).total_seconds())
        except ParkmeterError as error:
            said = refused(error)
        now = self.now()
        said["headers"] |= meter_headers(View.of(meter, now), now, wait)
        return said

    def _may_wait(self, woken: Answer, wait: int | None, meter: Meter) -> bool:
        """Whether whoever woke it is held on, instead of being told 503 as by control."""
        told_503 = woken["statusCode"] == 503  # noqa: PLR2004
        return bool(wait) and told_503 and is_open(meter, self.now())

    def _woken(self, route: Route, token: Token, event: Mapping[str, Any]) -> Answer | None:
        if self.wake is None or not route.wakes or not token.may(Scope.TOP_UP, self.name):
            return None
        return self.wake(token, event)

    def _not_serving(self, view: View) -> ParkmeterError:
        return refusals.not_serving(Route(self.name, self.name), view, self.now(), held=False)

    # ── The model ───────────────────────────────────────────────────────────────────────────────

    def _ask(self, view: View, request: dict[str, Any], gone: float) -> Answer:
        """The answer to a prompt of which so many seconds are gone."""
        waited = gone >= _NOTICED_SECONDS
        left = max(_SECONDS - gone, 1.0) if waited else _SECONDS
        runtime = self.hurried(left) if waited else self.runtime
        try:
            said = runtime.invoke_endpoint(EndpointName=view.address, **request)
            body = said["Body"].read()
        except ClientError as error:
            return self._refusal(error, view, left)
        except (ConnectTimeoutError, ReadTimeoutError):
            raise _too_long(left) from None
        except BotoCoreError as error:
            _log.warning("%s could not be asked: %s", self.name, error)
            raise UpstreamError("The model server could not be reached.") from None
        if len(body) > LARGEST:
            raise UpstreamError(
                f"The model's answer has {len(body):,} bytes, and {LARGEST:,} can be passed on "
                "here. Larger ones go through the endpoint's -async path."
            )
        return answer(200, body, {"Content-Type": said.get("ContentType") or "application/json"})

    def _refusal(self, error: ClientError, view: View, left: float) -> Answer:
        """The model's own error; or an error for what SageMaker says, whose words name accounts."""
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code == "ModelError":
            return self._model_error(error.response, left)
        _log.warning("%s was not invoked: %s: %s", self.name, code, message)
        if code == "ModelNotReadyException":
            raise self._not_serving(_starting(view, "SageMaker says that the model is not ready"))
        if code == "ValidationError" and message.rstrip(". ").endswith("not found"):
            raise self._not_serving(_starting(view, "SageMaker does not serve it yet"))
        raise UpstreamError(f"SageMaker did not pass the prompt on ({code}).")

    def _model_error(self, said: Mapping[str, Any], left: float) -> Answer:
        status = said.get("OriginalStatusCode") or 0
        original = said.get("OriginalMessage") or ""
        if 300 <= status < 600:  # noqa: PLR2004 (what HTTP calls no success)
            body = original.encode()
            return answer(status, body, {"Content-Type": kind_of(original)})
        # Without a status these are SageMaker's words, not the model's.
        _log.warning("%s gave no answer: %s", self.name, original)
        if "timed out" in original:
            raise _too_long(left)
        raise UpstreamError("The model server broke off.")


def _too_long(seconds: float) -> UpstreamTimeoutError:
    return UpstreamTimeoutError(
        f"The model server did not answer within the {seconds:.0f} seconds there are here. Longer "
        "ones go through the endpoint's -async path."
    )


def _starting(view: View, reason: str) -> View:
    return replace(view, status=Status.STARTING, reason=reason, retry_at=None)
