"""The ancestor's `/endpoint-expiry`, key for key, so that its clients work unchanged."""

from datetime import UTC, datetime, timedelta

from parkmeter.core.journal import Entry
from parkmeter.core.report import Report

TIME_FORMAT = "%d-%m-%Y-%H-%M-%S"
"""UTC."""


def seed_view(report: Report) -> dict[str, str]:
    """What `GET /endpoint-expiry` says of an endpoint."""
    return _view(report.spec.name, report.closes_at, report.left, report.shown.status)


def seed_answer(entry: Entry) -> dict[str, str]:
    """What `POST /endpoint-expiry` answers: the same, as it was right after the top-up."""
    return _view(entry.endpoint, entry.at + entry.left, entry.left, entry.status)


def _view(name: str, closes_at: datetime, left: timedelta, status: str) -> dict[str, str]:
    expiry = closes_at.astimezone(UTC).strftime(TIME_FORMAT)
    return {
        "EndpointName": name,
        # The ancestor documented this key with a trailing blank, so its clients read it so.
        "EndpointExpiry ": expiry,
        "EndpointExpiry": expiry,
        "TimeLeft": time_left(left),
        "Status": status,
    }


def time_left(left: timedelta) -> str:
    """`0:00:10.211300`, beyond a day `1 day, 0:00:10.211300`, as the ancestor wrote it.

    Unlike there it always has six decimals and is never negative.
    """
    text = str(max(left, timedelta(0)))
    return text if "." in text else text + ".000000"
