"""Lambda authorizers of type REQUEST: invoked once for an identity, then cached for a while.

After the developer guide's "Use API Gateway Lambda authorizers". Knows no route.
"""

import fnmatch
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from simulator.api_gateway.gateway_responses import GatewayError
from simulator.lambda_runtime.process import Outcome

Context = dict[str, str]
_DEFAULT_TTL = 300


class Authorizer:
    """One authorizer, configured by its template. `monotonic` is a clock in seconds."""

    def __init__(
        self,
        properties: Mapping[str, Any],
        invoke: Callable[[str, bytes], Outcome],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.function = function_of(properties["AuthorizerUri"])
        self._sources = [s for s in properties.get("IdentitySource", "").split(",") if s]
        self._ttl = int(properties.get("AuthorizerResultTtlInSeconds", _DEFAULT_TTL))
        self._invoke = invoke
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, ...], tuple[float, dict[str, Any]]] = {}

    def context(self, event: dict[str, Any]) -> Context:
        """Return what the integration gets as `requestContext.authorizer`.

        Raises:
            GatewayError: the caller is refused, or the authorizer failed.

        """
        identity = tuple(_value(source, event) for source in self._sources)
        if not all(identity):
            raise GatewayError("UNAUTHORIZED")
        key = identity if self._ttl and identity else None
        answer = self._cached(key) if key else None
        if answer is None:
            answer = self._call(event)
            if key:
                with self._lock:
                    self._cache[key] = (self._monotonic() + self._ttl, answer)
        if not _allows(answer["policyDocument"], event["methodArn"]):
            raise GatewayError("ACCESS_DENIED")
        context = {name: _text(value) for name, value in (answer.get("context") or {}).items()}
        return {**context, "principalId": answer["principalId"]}

    def _cached(self, key: tuple[str, ...]) -> dict[str, Any] | None:
        with self._lock:
            expires_at, answer = self._cache.get(key, (0.0, {}))
            return answer if self._monotonic() < expires_at else None

    def _call(self, event: dict[str, Any]) -> dict[str, Any]:
        outcome = self._invoke(self.function, json.dumps(event).encode())
        if outcome.error:
            # Exactly this message means 401; any other is a failure.
            message = json.loads(outcome.payload).get("errorMessage")
            unauthorized = message == "Unauthorized"
            raise GatewayError("UNAUTHORIZED" if unauthorized else "AUTHORIZER_FAILURE")
        try:
            answer = json.loads(outcome.payload)
            valid = answer["principalId"] and answer["policyDocument"]["Statement"]
            plain = all(
                isinstance(v, str | int | float) for v in answer.get("context", {}).values()
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            valid = plain = False
        if not valid or not plain:
            raise GatewayError("AUTHORIZER_CONFIGURATION_ERROR")
        return answer


def function_of(uri: str) -> str:
    """Return the ARN of the function that an integration or authorizer names."""
    return uri.partition("/functions/")[2].removesuffix("/invocations")


def _value(source: str, event: Mapping[str, Any]) -> str:
    """Return the value of a source such as `method.request.header.Authorization`, or ""."""
    _, _, place, name = source.strip().split(".", 3)
    if place == "header":
        headers = {key.lower(): value for key, value in event["headers"].items()}
        return headers.get(name.lower(), "")
    return (event["queryStringParameters"] or {}).get(name, "")


def _allows(policy: Mapping[str, Any], method_arn: str) -> bool:
    statements = policy["Statement"]
    effects = {
        statement["Effect"]
        for statement in (statements if isinstance(statements, list) else [statements])
        if _covers(statement["Action"], "execute-api:Invoke")
        and _covers(statement["Resource"], method_arn)
    }
    return effects == {"Allow"}


def _covers(patterns: str | list[str], value: str) -> bool:
    listed = [patterns] if isinstance(patterns, str) else patterns
    # Only `*` and `?` are wildcards in a policy.
    return any(fnmatch.fnmatchcase(value, p.replace("[", "[[]")) for p in listed)


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
