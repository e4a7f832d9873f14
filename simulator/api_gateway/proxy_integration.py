"""The Lambda proxy integration: a request as an event of format 1.0, and its answer as a response.

After the developer guide's "Lambda proxy integrations". Knows no route and no function.
"""

import base64
import binascii
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from simulator.api_gateway.gateway_responses import GatewayError, Response
from simulator.sagemaker.account import ACCOUNT

_REMAPPED = frozenset({"authorization", "connection", "date", "host", "server", "www-authenticate"})
"""A function's own headers of these names reach the client under another one."""

_DROPPED = frozenset({"content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `path` is below the stage, as it was sent, at its root perhaps empty.

    `body` is None if there was too much of it.
    """

    method: str
    stage: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes | None
    source_ip: str
    request_id: str


def event(asked: Asked, api_id: str, resource: str, parameters: dict[str, str]) -> dict[str, Any]:
    """What authorizer and integration have in common: the request without its body."""
    several: dict[str, list[str]] = {}
    for name, value in asked.headers:
        several.setdefault(name, []).append(value)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(asked.query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    headers = {name: values[-1] for name, values in several.items()}
    lower = {name.lower(): value for name, value in headers.items()}
    return {
        "resource": resource,
        "path": asked.path or "/",
        "httpMethod": asked.method,
        "headers": headers,
        "multiValueHeaders": several,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": api_id,
            "stage": asked.stage,
            "path": f"/{asked.stage}{asked.path}",
            "resourcePath": resource,
            "httpMethod": asked.method,
            "protocol": "HTTP/1.1",
            "domainName": lower.get("host", ""),
            "domainPrefix": api_id,
            "requestId": asked.request_id,
            "extendedRequestId": asked.request_id,
            "requestTimeEpoch": round(time.time() * 1000),
            "identity": {
                "sourceIp": asked.source_ip,
                "userAgent": lower.get("user-agent"),
            },
        },
    }


def with_body(common: Mapping[str, Any], body: bytes, *, binary: bool) -> dict[str, Any]:
    """The integration's event. `binary`: the API takes this request's type for binary."""
    if not body:
        return {**common, "body": None, "isBase64Encoded": False}
    if binary:
        return {**common, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {**common, "body": body.decode("utf-8", "replace"), "isBase64Encoded": False}


def encoded(said: Mapping[str, Any]) -> bytes:
    """An event as the function gets it."""
    return json.dumps(said).encode()


def response(payload: bytes, request_id: str, *, binary: bool) -> Response:
    """What the function's answer means.

    Raises:
        GatewayError: it means nothing.

    """
    try:
        said = json.loads(payload)
        status = int(said["statusCode"])
        text = said.get("body") or ""
        encoded = said.get("isBase64Encoded") and binary
        body = base64.b64decode(text, validate=True) if encoded else text.encode()
        given = [(k, str(v)) for k, v in (said.get("headers") or {}).items()]
        for name, values in (said.get("multiValueHeaders") or {}).items():
            given = [(k, v) for k, v in given if k.lower() != name.lower()]
            given += [(name, str(value)) for value in values]
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise GatewayError("DEFAULT_5XX") from None
    headers = [
        (f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name, value)
        for name, value in given
        if name.lower() not in _DROPPED
    ]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    headers.append(("x-amzn-RequestId", request_id))
    return Response(status, headers, body)
