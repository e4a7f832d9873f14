"""Bodies of the control routes: bounded in size and time, JSON or `minutes=30`.

The content type is ignored, because `curl -d` sends the same one for both. The short form is for
people at a shell, and for calls shown inside JSON, where quotes would be escaped.
"""

import asyncio
import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from parkmeter.errors import InvalidRequestError, TooLargeError, UploadStalledError

LARGEST = 64 * 1024
"""Bytes. Control routes need a few hundred."""

_ARRIVES_WITHIN = 30.0
"""Seconds for a whole body of a few hundred bytes. Without a bound a client that sends byte by byte
holds a connection and a task for as long as it likes."""

_Shape = TypeVar("_Shape", bound=BaseModel)
_FORM = re.compile(rb"(minutes|dollars)=([0-9]{1,9}(?:\.[0-9]{1,9})?)")
KEY = r"[\x21-\x7e]{1,255}"
_KEY = re.compile(KEY)


async def read_json(request: Request) -> object:
    """Return the body's content; None for an empty one.

    Raises:
        TooLargeError: it is over `LARGEST`; the rest is not read.
        UploadStalledError: it did not arrive in time.
        InvalidRequestError: it is not JSON.

    """
    # Checked before it is read, so that a client with `Expect: 100-continue` need not send it.
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > LARGEST:
        raise TooLargeError(LARGEST)
    body = bytearray()
    try:
        async with asyncio.timeout(_ARRIVES_WITHIN):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    raise TooLargeError(LARGEST)
    except ClientDisconnect:
        raise UploadStalledError("The client disconnected before its body arrived.") from None
    except TimeoutError:
        raise UploadStalledError(
            f"The request's body did not arrive within {_ARRIVES_WITHIN:g} seconds."
        ) from None
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        if (form := _FORM.fullmatch(body.strip())) is not None:
            return {form[1].decode(): float(form[2])}
        raise InvalidRequestError("The body is not JSON.", field="body") from None


def takes(shape: type[BaseModel]) -> dict[str, Any]:
    """Return the body of a route for the OpenAPI document, as FastAPI does not parse it itself.

    `api.openapi` moves its schema among the document's, under the name of the shape.
    """
    schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    required = "required" in schema or "oneOf" in schema
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}
    }


def parsed(shape: type[_Shape], document: object) -> _Shape:
    """Return the body as the shape that a route takes.

    Raises:
        InvalidRequestError: a field is not valid; names the first one.

    """
    if not isinstance(document, dict):
        members = ", ".join(f'"{name}"' for name in _names(shape))
        raise InvalidRequestError(f"The body must be a JSON object with {members}.", field="body")
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        finding = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, finding["loc"]))
        mistake = _MISTAKES.get(
            finding["type"], finding["msg"].replace("Input should be", "must be", 1)
        )
        raise InvalidRequestError(f"{field} {mistake}.", field=field) from None


def idempotency_key(value: str | None) -> str | None:
    """Return the header as a key.

    Raises:
        InvalidRequestError: it is empty, longer than 255, or not visible ASCII.

    """
    if value is not None and not _KEY.fullmatch(value):
        raise InvalidRequestError(
            "An Idempotency-Key has 1 to 255 visible ASCII characters.", field="Idempotency-Key"
        )
    return value


_MISTAKES = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "timezone_aware": "needs a time zone, for example a Z at the end",
}


def _names(shape: type[BaseModel]) -> list[Any]:
    return [field.alias or name for name, field in shape.model_fields.items()]
