"""Translation of API Gateway's proxy events into prompts, and of answers into its format.

Knows bodies, types and headers; neither meters nor models. No web framework.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from parkmeter.errors import InvalidRequestError, ParkmeterError, TooLargeError
from parkmeter.web.headers import document_fields
from parkmeter.web.problems import problem_of

LARGEST = 4 * 2**20
"""Bytes of a body in either direction: Lambda's limit is 6 MB, and a body is base64 in it."""

_LONGEST_FIELD = 1024
"""Characters of a Content-Type or Accept (botocore's service model)."""

Answer = dict[str, Any]
"""The form that API Gateway expects."""


def headers_of(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the request's headers by their lower-case names."""
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def prompt_in(event: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments for SageMaker's runtime: Body, and ContentType and Accept if given.

    Raises:
        InvalidRequestError: the body is broken, or a type is invalid.
        TooLargeError: it is over `LARGEST`.

    """
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
            raise InvalidRequestError("The body is not valid base64.") from None
    if len(body) > LARGEST:
        raise TooLargeError(LARGEST)
    return body


def scope_of(event: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the request's ASGI scope; the path of the event lacks the stage."""
    context = event["requestContext"]
    host = headers.get("host") or context.get("domainName") or ""
    path: str = event.get("path") or ""
    whole: str = context.get("path") or path
    return {
        "scheme": headers.get("x-forwarded-proto") or "https",
        "headers": [(b"host", host.encode("ascii", "replace"))],
        "root_path": whole.removesuffix(path) if whole.endswith(path) else "",
    }


def refused(error: ParkmeterError) -> Answer:
    """Return the problem that an error maps to."""
    problem = problem_of(error)
    return answer(problem.status, problem.body, problem.headers)


def answer(status: int, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Return an answer in API Gateway's format."""
    # Always base64: the API is configured to treat every type as binary.
    return {
        "statusCode": status,
        "headers": {**headers, **document_fields(headers.get("Content-Type", ""))},
        "body": base64.b64encode(body).decode("ascii"),
        "isBase64Encoded": True,
    }


def guess_content_type(text: str) -> str:
    """Return a content type for a text whose own is lost: JSON or plain text."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return "text/plain; charset=utf-8"
    return "application/json"
