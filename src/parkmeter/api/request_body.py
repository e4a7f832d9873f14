"""Bodies of the control routes: bounded in size and time, JSON or `minutes=30`, refused plainly.

The content type is not asked for, because `curl -d` sends the same one for both. The short form
is for people at a shell, and for calls shown inside JSON, where quotes would be escaped.
"""

import asyncio
import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from parkmeter.errors import InvalidRequestError, TooLargeError, UploadStalledError

LARGEST = 64 * 1024
"""Bytes. No control route needs more than a few hundred."""

_ARRIVES_WITHIN = 30.0
"""Seconds for a whole body. A few hundred bytes take so long on no line that works, and whoever
sends one byte after the other would hold a connection and a task for as long as they like."""

_Shape = TypeVar("_Shape", bound=BaseModel)
_FORM = re.compile(rb"(minutes|dollars)=([0-9]{1,9}(?:\.[0-9]{1,9})?)")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def read_json(request: Request) -> object:
    """What the body says; an empty one is None.

    Raises:
        TooLargeError: over `LARGEST`; the rest is not read.
        UploadStalledError: it did not arrive in time.
        InvalidRequestError: not JSON.

    """
    # Said before it is sent: who asks whether to (Expect: 100-continue) never has to.
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
        raise UploadStalledError("The client left before its body was here.") from None
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
    """The body a route takes, for the OpenAPI document, which FastAPI cannot know."""
    schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)  # the answers bring the same shapes into the document
    required = "required" in schema or "oneOf" in schema
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}
    }


def parsed(shape: type[_Shape], document: object) -> _Shape:
    """The body as the shape a route takes.

    Raises:
        InvalidRequestError: names the first field that does not fit.

    """
    if not isinstance(document, dict):
        wanted = ", ".join(f'"{name}"' for name in _names(shape))
        raise InvalidRequestError(f"The body must be a JSON object with {wanted}.", field="body")
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        finding = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, finding["loc"]))
        wrong = _WRONG.get(finding["type"], finding["msg"])
        raise InvalidRequestError(f"{field} {wrong}.", field=field) from None


def idempotency_key(value: str | None) -> str | None:
    """The header as a key.

    Raises:
        InvalidRequestError: empty, longer than 255, or not visible ASCII.

    """
    if value is not None and not _KEY.fullmatch(value):
        raise InvalidRequestError(
            "An Idempotency-Key has 1 to 255 visible ASCII characters.", field="Idempotency-Key"
        )
    return value


_WRONG = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "timezone_aware": "needs its time zone, for example a Z at the end",
}


def _names(shape: type[BaseModel]) -> list[Any]:
    return [field.alias or name for name, field in shape.model_fields.items()]
