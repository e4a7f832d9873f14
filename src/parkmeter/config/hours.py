"""The setting `hours`: one text or several, read as they are validated."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from parkmeter.core.hours import EXAMPLE, LOOKS_LIKE, Hours

_MINUTE = timedelta(minutes=1)


def _several(value: object) -> object:
    if not isinstance(value, str | list | tuple):
        wrong = f'must be text, or a list of texts, such as "{EXAMPLE}"'
        raise ValueError(wrong)  # noqa: TRY004 (a finding of pydantic's)
    return (value,) if isinstance(value, str) else value


def _right(texts: tuple[str, ...]) -> tuple[str, ...]:
    if texts:
        Hours.of(texts)
    return texts


_TEXT = {"type": "string", "pattern": LOOKS_LIKE}
HoursTexts = Annotated[
    tuple[str, ...],
    BeforeValidator(_several),
    AfterValidator(_right),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}),
]


def too_long(texts: Sequence[str], most: timedelta) -> str:
    """What is wrong with right texts whose windows do not fit on a meter; empty if they do."""
    longest = Hours.of(texts).longest if texts else most
    if longest <= most:
        return ""
    minutes, limit = longest / _MINUTE, most / _MINUTE
    return f"has a window of {minutes:g} minutes; max_minutes_ahead is {limit:g}"
