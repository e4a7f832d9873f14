"""Periods in requests, and long documents as answers: for routes of an endpoint's past."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic.json_schema import SkipJsonSchema

from parkmeter.api.schemas import Shape
from parkmeter.errors import InvalidRequestError

_A_DAY = timedelta(days=1)

Moment = str | SkipJsonSchema[None]
"""A parameter that may be left out, and is never null."""


def moment_query(alias: str, default: str) -> Any:
    """Return the query parameter for a moment; `default` says what stands for it if left out."""
    return Query(
        alias=alias,
        description=f"ISO 8601; UTC unless it has an offset; a date is its first moment. {default}",
        json_schema_extra={"anyOf": [{"format": "date"}, {"format": "date-time"}]},
    )


From = Annotated[Moment, moment_query("from", "Default: the journal's first line.")]
To = Annotated[Moment, moment_query("to", "Default, and at most: now.")]


def json_answer(shape: Shape) -> Response:
    """Return a shape as JSON, made on the thread: of a long receipt it takes a while."""
    body = shape.model_dump_json(by_alias=True).encode() + b"\n"
    return Response(body, media_type="application/json")


def day_before(moment: datetime) -> datetime:
    """Return the moment a day earlier. Raises InvalidRequestError if there is none."""
    try:
        return moment - _A_DAY
    except OverflowError:
        raise _no_moment("to") from None


def moment_of(value: str | None, field: str) -> datetime | None:
    """Parse ISO 8601, in UTC unless it has an offset; a date is its first moment. None stays None.

    Raises:
        InvalidRequestError: it cannot be parsed.

    """
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
        # An offset can move the first and the last years out of datetime's range.
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _no_moment(field) from None


def _no_moment(field: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{field} must be a date or a time in ISO 8601, for example 2026-06-22 or "
        "2026-06-22T08:24:12Z (write a + in a URL as %2B).",
        field=field,
    )
