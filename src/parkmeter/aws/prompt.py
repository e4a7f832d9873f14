"""Prompts of one endpoint: check the meter, call the model, return the model's own answer.

Reads the meter once, or repeatedly while it waits, and calls the model once; starts, stops and
writes nothing itself. Knows API Gateway's events and SageMaker's runtime; not the store. No web
framework.
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
    guess_content_type,
    headers_of,
    prompt_in,
    refused,
    scope_of,
)
from parkmeter.aws.definitions import Definition
from parkmeter.aws.token_context import token_in
from parkmeter.core.meter import Meter, Status, is_open, price_of
from parkmeter.core.status import View
from parkmeter.core.tokens import Scope, Token, require
from parkmeter.errors import (
    EndpointRemovedError,
    ParkmeterError,
    TokenMissingError,
    UpstreamError,
    UpstreamTimeoutError,
)
from parkmeter.web import refusals
from parkmeter.web.headers import base_of, prefer_of
from parkmeter.web.meter_headers import meter_headers
from parkmeter.web.routes import Route

_log = logging.getLogger(__name__)

_SECONDS = 27.0
"""For waiting and the model together: API Gateway waits 29 s."""

LONGEST_WAIT_SECONDS = 20
"""Of `Prefer: wait`: API Gateway waits 29 s, and the model needs some of them."""

_POLL_SECONDS = 1.0

PATIENCE = Config(
    connect_timeout=1,
    read_timeout=_SECONDS,
    # A prompt is sent once: a second attempt would cost twice, and there is no time for it.
    retries={"mode": "standard", "total_max_attempts": 1},
)

_SPARE_SECONDS = 1.0
"""A shorter wait needs no client with a shorter timeout, which takes long to create."""


def models_runtime(seconds: float = _SECONDS) -> Any:
    """Return a client of SageMaker's runtime with this read timeout."""
    config = PATIENCE.merge(Config(read_timeout=seconds))
    return boto3.client("sagemaker-runtime", config=config)


def route_of(found: Definition, meter: Meter) -> Route:
    """Return the facts that a refusal names: the present price and the suggested top-up."""
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

    `meter` reads it consistently; `route` finds the facts for a refusal; `runtime` is a client of
    SageMaker's runtime. `wake` tops up the closed meter for a token, or forwards the event to the
    function that may and returns its answer; it raises ParkmeterError where it refuses. `used`
    notes that a prompt goes to the model. `hurried` returns a runtime with a shorter timeout, for a
    prompt that has waited; `pause` sleeps the given seconds.
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
        """Return the model's own answer, or a problem."""
        try:
            return self._prompt(event)
        except ParkmeterError as error:
            return refused(error)
        except Exception:  # noqa: BLE001 (a problem, not API Gateway's own error)
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
        wait, meter, route = _wait_in(headers), self.meter(), None
        try:
            if not is_open(meter, began):
                self._check_not_removed(meter)
                route = self.route(meter)
                woken = self._woken(route, token, event)
                meter = self.meter() if route.wakes else meter
                if woken is not None and not self._waits_on(woken, wait, meter):
                    woken["headers"] |= meter_headers(None, began, wait)
                    return woken
            until = began + timedelta(seconds=wait or 0)
            meter = _wait_until_serving(self.meter, meter, until, self.now, self.pause)
            now = self.now()
            view = View.of(meter, now)
            if not is_open(meter, now):
                self._check_not_removed(meter)
                base = base_of(scope_of(event, headers))
                may_top_up = token.may(Scope.TOP_UP, self.name)
                route = route or self.route(meter)
                raise refusals.meter_closed(route, view, base, may_top_up=may_top_up)
            if view.status is not Status.RUNNING or view.address is None:
                raise self._not_serving(view)
            self.used(now)
            reply = self._invoke(view, request, (now - began).total_seconds())
        except ParkmeterError as error:
            reply = refused(error)
        now = self.now()
        reply["headers"] |= meter_headers(View.of(meter, now), now, wait)
        return reply

    def _check_not_removed(self, meter: Meter) -> None:
        """Raise EndpointRemovedError where a 402 would ask for time that no meter takes."""
        if meter.removed:
            raise EndpointRemovedError(self.name)

    def _waits_on(self, woken: Answer, wait: int | None, meter: Meter) -> bool:
        """Return whether the request waits here instead of passing on control's 503."""
        starting = woken["statusCode"] == 503  # noqa: PLR2004
        return bool(wait) and starting and is_open(meter, self.now())

    def _woken(self, route: Route, token: Token, event: Mapping[str, Any]) -> Answer | None:
        if self.wake is None or not route.wakes or not token.may(Scope.TOP_UP, self.name):
            return None
        return self.wake(token, event)

    def _not_serving(self, view: View) -> ParkmeterError:
        return refusals.not_serving(Route(self.name, self.name), view, self.now(), held=False)

    # ── The model ───────────────────────────────────────────────────────────────────────────────

    def _invoke(self, view: View, request: dict[str, Any], elapsed: float) -> Answer:
        """Return the model's answer to a prompt that has used `elapsed` seconds already."""
        waited = elapsed >= _SPARE_SECONDS
        left = max(_SECONDS - elapsed, 1.0) if waited else _SECONDS
        runtime = self.hurried(left) if waited else self.runtime
        try:
            response = runtime.invoke_endpoint(EndpointName=view.address, **request)
            body = response["Body"].read()
        except ClientError as error:
            return self._refusal(error, view, left)
        except (ConnectTimeoutError, ReadTimeoutError):
            raise _too_long(left) from None
        except BotoCoreError as error:
            _log.warning("%s could not be reached: %s", self.name, error)
            raise UpstreamError("The model server could not be reached.") from None
        if len(body) > LARGEST:
            raise UpstreamError(
                f"The model's answer has {len(body):,} bytes; at most {LARGEST:,} can be returned "
                "here. Use the endpoint's -async path for larger answers."
            )
        kind = response.get("ContentType") or "application/json"
        return answer(200, body, {"Content-Type": kind})

    def _refusal(self, error: ClientError, view: View, left: float) -> Answer:
        """Return the model's own error; raise for SageMaker's, whose messages name accounts."""
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code == "ModelError":
            return self._model_error(error.response, left)
        _log.warning("%s was not invoked: %s: %.500s", self.name, code, message)
        if code == "ModelNotReadyException":
            raise self._not_serving(_starting(view, "SageMaker reports that the model is loading"))
        if code == "ValidationError" and message.rstrip(". ").endswith("not found"):
            raise self._not_serving(_starting(view, "SageMaker does not serve it yet"))
        raise UpstreamError(f"SageMaker rejected the prompt ({code}).")

    def _model_error(self, response: Mapping[str, Any], left: float) -> Answer:
        status = response.get("OriginalStatusCode") or 0
        original = response.get("OriginalMessage") or ""
        if 300 <= status < 600:  # noqa: PLR2004 (HTTP's statuses other than success)
            body = original.encode()
            return answer(status, body, {"Content-Type": guess_content_type(original)})
        # Without a status the message is SageMaker's, not the model's.
        _log.warning("%s gave no answer: %.500s", self.name, original)
        if "timed out" in original:
            raise _too_long(left)
        raise UpstreamError("The model server closed the connection before it answered.")


def _too_long(seconds: float) -> UpstreamTimeoutError:
    return UpstreamTimeoutError(
        f"The model server did not answer within {seconds:.0f} seconds. Use the endpoint's -async "
        "path for prompts that take longer."
    )


def _starting(view: View, reason: str) -> View:
    return replace(view, status=Status.STARTING, reason=reason, retry_at=None)


def _wait_in(headers: Mapping[str, str]) -> int | None:
    """Return the longest wait that the request asks for, in seconds; None if it asks for none.

    `headers` by their lower-case names.
    """
    prefer = headers.get("prefer", "").encode("latin-1", "replace")
    wait = prefer_of([(b"prefer", prefer)]).wait
    return None if wait is None else min(wait, LONGEST_WAIT_SECONDS)


def _wait_until_serving(
    read: Callable[[], Meter],
    meter: Meter,
    until: datetime,
    now: Callable[[], datetime],
    pause: Callable[[float], None],
) -> Meter:
    """Return the meter once its endpoint serves, once it is closed, or at `until`.

    `meter` was read just now; `read` reads it again; `pause` sleeps the given seconds.
    """
    while _may_serve_later(meter, now()) and (left := (until - now()).total_seconds()) > 0:
        pause(min(_POLL_SECONDS, left))
        meter = read()
    return meter


def _may_serve_later(meter: Meter, now: datetime) -> bool:
    view = View.of(meter, now)
    return is_open(meter, now) and (view.status is not Status.RUNNING or view.address is None)
