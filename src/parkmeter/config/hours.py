"""The setting `hours`: one text or several, parsed during validation."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from parkmeter.core.hours import EXAMPLE, LOOKS_LIKE, Hours

_MINUTE = timedelta(minutes=1)


def _as_texts(value: object) -> object:
    if not isinstance(value, str | list | tuple):
        mistake = f'must be text, or a list of texts, such as "{EXAMPLE}"'
        raise ValueError(mistake)  # noqa: TRY004 (pydantic's own error)
    return (value,) if isinstance(value, str) else value


def _check_texts(texts: tuple[str, ...]) -> tuple[str, ...]:
    if texts:
        Hours.of(texts)
    return texts


_TEXT = {"type": "string", "pattern": LOOKS_LIKE}
HoursTexts = Annotated[
    tuple[str, ...],
    BeforeValidator(_as_texts),
    AfterValidator(_check_texts),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}),
]


def too_long(texts: Sequence[str], most: timedelta) -> str:
    """Return the complaint about a window longer than the meter may hold, or an empty text."""
    longest = Hours.of(texts).longest if texts else most
    if longest <= most:
        return ""
    minutes, limit = longest / _MINUTE, most / _MINUTE
    return f"has a window of {minutes:g} minutes; max_minutes_ahead is {limit:g}"
