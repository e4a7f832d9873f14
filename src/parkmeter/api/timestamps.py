"""Moments in the query of a control route, as people type them."""

from datetime import UTC, datetime

from parkmeter.errors import InvalidRequestError


def moment(value: str | None, field: str) -> datetime | None:
    """ISO 8601, in UTC unless it says otherwise; a date is its first moment. None stays None.

    Raises:
        InvalidRequestError: it is none.

    """
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
        # A time zone can put the first and last years there are out of reach.
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequestError(
            f"{field} must be a date or a time in ISO 8601, for example 2026-06-22 or "
            "2026-06-22T08:24:12Z (a + in an address must be written %2B).",
            field=field,
        ) from None
