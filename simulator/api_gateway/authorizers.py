"""Lambda authorizers of the kind REQUEST: asked once for an identity, then remembered for a while.

After the developer guide's "Use API Gateway Lambda authorizers". Knows policies; no route.
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
    """One authorizer, as its template says. `ticks` is a clock that only goes forward."""

    def __init__(
        self,
        properties: Mapping[str, Any],
        invoke: Callable[[str, bytes], Outcome],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._function = function_of(properties["AuthorizerUri"])
        self._sources = [s for s in properties.get("IdentitySource", "").split(",") if s]
        self._ttl = int(properties.get("AuthorizerResultTtlInSeconds", _DEFAULT_TTL))
        self._invoke = invoke
        self._ticks = ticks
        self._lock = threading.Lock()
        self._known: dict[tuple[str, ...], tuple[float, dict[str, Any]]] = {}

    def context(self, event: dict[str, Any]) -> Context:
        """What the integration is told of the caller.

        Raises:
            GatewayError: the caller may not, or the authorizer did not do its part.

        """
        identity = tuple(_value(source, event) for source in self._sources)
        if not all(identity):
            raise GatewayError("UNAUTHORIZED")
        key = identity if self._ttl and identity else None
        answer = self._remembered(key) if key else None
        if answer is None:
            answer = self._asked(event)
            if key:
                with self._lock:
                    self._known[key] = (self._ticks() + self._ttl, answer)
        if not _allows(answer["policyDocument"], event["methodArn"]):
            raise GatewayError("ACCESS_DENIED")
        context = {name: _text(value) for name, value in (answer.get("context") or {}).items()}
        return {**context, "principalId": answer["principalId"]}

    def _remembered(self, key: tuple[str, ...]) -> dict[str, Any] | None:
        with self._lock:
            until, answer = self._known.get(key, (0.0, {}))
            return answer if self._ticks() < until else None

    def _asked(self, event: dict[str, Any]) -> dict[str, Any]:
        outcome = self._invoke(self._function, json.dumps(event).encode())
        if outcome.error:
            # This very message means that there is no valid token; any other is a failure.
            said = json.loads(outcome.payload).get("errorMessage")
            raise GatewayError("UNAUTHORIZED" if said == "Unauthorized" else "AUTHORIZER_FAILURE")
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
    """The ARN of the function that an integration or authorizer names."""
    return uri.partition("/functions/")[2].removesuffix("/invocations")


def _value(source: str, event: Mapping[str, Any]) -> str:
    """`method.request.header.Authorization` and its like; empty if there is none."""
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
    # Only `*` and `?` mean something in a policy.
    return any(fnmatch.fnmatchcase(value, p.replace("[", "[[]")) for p in listed)


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
