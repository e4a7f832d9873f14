"""JSON bodies of the control routes: bounded, whatever their content type says, refused plainly.

The content type is not asked for because the ancestor's users type `curl -d '{…}'`, which sends
another one.
"""

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from parkmeter.errors import InvalidRequestError, TooLargeError

LARGEST = 64 * 1024
"""Bytes. No control route needs more than a few hundred."""

_Shape = TypeVar("_Shape", bound=BaseModel)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def read_json(request: Request) -> object:
    """The body as JSON; an empty one is None.

    Raises:
        TooLargeError: over `LARGEST`; the rest is not read.
        InvalidRequestError: not JSON.

    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise TooLargeError(LARGEST)
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequestError("The body is not JSON.", field="body") from None


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
        raise InvalidRequestError(f"{field}: {finding['msg']}.", field=field) from None


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


def _names(shape: type[BaseModel]) -> list[Any]:
    return [field.alias or name for name, field in shape.model_fields.items()]
