"""API Gateway's proxy events of prompts, taken apart; and answers, put together for it.

Knows bodies, types and headers; neither meters nor models. No web framework.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from parkmeter.errors import InvalidRequestError, ParkmeterError, TooLargeError
from parkmeter.web.problems import problem_of

LARGEST = 4 * 2**20
"""Bytes of a body, either way: Lambda takes and gives 6 MB, in which a body is base64."""

_LONGEST_FIELD = 1024
"""Of a Content-Type or Accept (botocore's service model)."""

Answer = dict[str, Any]
"""As API Gateway takes it."""


def headers_of(event: Mapping[str, Any]) -> dict[str, str]:
    """The request's headers, by their names in lower case."""
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def prompt_in(event: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """What is passed on, as SageMaker's runtime takes it: Body, and if said ContentType and Accept.

    Raises:
        InvalidRequestError: the body is broken, or a type is none.
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
            raise InvalidRequestError("The body did not arrive whole.") from None
    if len(body) > LARGEST:
        raise TooLargeError(LARGEST)
    return body


def scope_of(event: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
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


def refused(error: ParkmeterError) -> Answer:
    """The problem that an error becomes."""
    said = problem_of(error)
    return answer(said.status, said.body, said.headers)


def answer(status: int, body: bytes, headers: Mapping[str, str]) -> Answer:
    """An answer from its parts."""
    # Base64 always: API Gateway is told to take every type for binary.
    return {
        "statusCode": status,
        "headers": dict(headers),
        "body": base64.b64encode(body).decode("ascii"),
        "isBase64Encoded": True,
    }


def kind_of(text: str) -> str:
    """A content type for words whose own one is lost; JSON is told apart."""
    try:
        json.loads(text)
    except ValueError:
        return "text/plain; charset=utf-8"
    return "application/json"
