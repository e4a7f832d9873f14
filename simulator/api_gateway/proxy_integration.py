"""The Lambda proxy integration: a request to an event of format 1.0, its result to a response.

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
"""Headers of a function that reach the client under another name."""

_DROPPED = frozenset({"content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` is relative to the stage, as sent, and may be empty at its root.

    `body` is None if it was too large.
    """

    method: str
    stage: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes | None
    source_ip: str
    request_id: str


def event(
    request: Request, api_id: str, resource: str, parameters: dict[str, str]
) -> dict[str, Any]:
    """Return the event of the request without its body, as the authorizer gets it."""
    all_headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        all_headers.setdefault(name, []).append(value)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    headers = {name: values[-1] for name, values in all_headers.items()}
    lower = {name.lower(): value for name, value in headers.items()}
    return {
        "resource": resource,
        "path": request.path or "/",
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": all_headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": api_id,
            "stage": request.stage,
            "path": f"/{request.stage}{request.path}",
            "resourcePath": resource,
            "httpMethod": request.method,
            "protocol": "HTTP/1.1",
            "domainName": lower.get("host", ""),
            "domainPrefix": api_id,
            "requestId": request.request_id,
            "extendedRequestId": request.request_id,
            "requestTimeEpoch": round(time.time() * 1000),
            "identity": {
                "sourceIp": request.source_ip,
                "userAgent": lower.get("user-agent"),
            },
        },
    }


def with_body(common: Mapping[str, Any], body: bytes, *, binary: bool) -> dict[str, Any]:
    """Add the body to an event. `binary`: the API treats the request's type as binary."""
    if not body:
        return {**common, "body": None, "isBase64Encoded": False}
    if binary:
        return {**common, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {**common, "body": body.decode("utf-8", "replace"), "isBase64Encoded": False}


def response(payload: bytes, request_id: str, *, binary: bool) -> Response:
    """Convert a function's result to a response.

    Raises:
        GatewayError: the result is not in the format of the integration.

    """
    try:
        result = json.loads(payload)
        status = int(result["statusCode"])
        text = result.get("body") or ""
        encoded = result.get("isBase64Encoded") and binary
        body = base64.b64decode(text, validate=True) if encoded else text.encode()
        given = [(k, str(v)) for k, v in (result.get("headers") or {}).items()]
        for name, values in (result.get("multiValueHeaders") or {}).items():
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
