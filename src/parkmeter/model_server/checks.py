"""Checks of single values of a payload, each with an error that names the field. Pure."""

import json
import math
from collections.abc import Callable
from typing import Any

# A longer prompt is not worth tokenizing: it is far beyond the engine's limit.
MAX_PROMPT_CHARACTERS = 32_768

Check = Callable[[str, Any], Any]
"""Takes a field's name and value; returns the value to use, or raises PayloadError."""


class PayloadError(ValueError):
    """Raised when a payload is invalid; `field` is the key at fault, if it is a single one."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises:
        PayloadError: It is not JSON, or not an object.
    """
    try:
        document = _DECODER.decode(body.decode("utf-8-sig"))
    except PayloadError:
        raise
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"The body is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise PayloadError(f"The body must be a JSON object; got {quoted(document)}.")
    return document


def prompt(name: str, text: str, field: str = "text_inputs") -> str:
    """Return a prompt as it is, if the engine can take it."""
    # Usually a variable that the client forgot to set; the model would answer with noise.
    if not text.strip():
        raise PayloadError(f"{name} is blank; it must contain a prompt.", field=field)
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise PayloadError(
            f"{name} may be at most {MAX_PROMPT_CHARACTERS} characters; got {len(text)}.",
            field=field,
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PayloadError(f"{name} contains half a surrogate pair.", field=field) from error
    return text


def integer(least: int, most: int | None = None) -> Check:
    """Return a check for an integer of this range."""
    expected = (
        f"an integer of at least {least}" if most is None else f"an integer, {least} to {most}"
    )

    def check(field: str, value: Any) -> int:
        # 50.0 is an integer in JSON; True is one in Python only.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(field, expected, value)
        if value < least or (most is not None and value > most):
            raise invalid(field, expected, value)
        return value

    return check


def number(expected: str, allowed: Callable[[float], bool]) -> Check:
    """Return a check for a finite number that is `allowed`."""

    def check(field: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(field, expected, value)
        try:
            converted = float(value)
        except OverflowError:
            converted = math.inf
        if not math.isfinite(converted) or not allowed(converted):
            raise invalid(field, expected, value)
        return converted

    return check


def boolean(field: str, value: Any) -> bool:
    """Check a value that is true or false."""
    if not isinstance(value, bool):
        raise invalid(field, "true or false", value)
    return value


def invalid(name: str, expected: str, value: Any, field: str | None = None) -> PayloadError:
    """Return the error for a value that is not what was expected."""
    return PayloadError(f"{name} must be {expected}; got {quoted(value)}.", field or name)


def quoted(value: Any) -> str:
    """Return `value` as JSON, truncated: it goes back to the client."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (ValueError, RecursionError):
        return "a value too large to show"
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 (a line's width)


def _refuse_constant(name: str) -> None:
    raise PayloadError(f"The body contains {name}, which is not valid in JSON.")


# Created once: that takes as long as decoding a payload.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
