"""The JSON of `/endpoint-expiry`, key for key as in the AWS sample, so that its clients work."""

from datetime import UTC, datetime, timedelta

from parkmeter.core.journal import Entry
from parkmeter.core.report import Report

TIME_FORMAT = "%d-%m-%Y-%H-%M-%S"
"""UTC."""


def legacy_expiry(report: Report) -> dict[str, str]:
    """Return the answer of `GET /endpoint-expiry` for one endpoint."""
    return _members(report.spec.name, report.closes_at, report.left, report.shown.status)


def legacy_change(entry: Entry) -> dict[str, str]:
    """Return the answer of `POST /endpoint-expiry`: the same, right after the top-up."""
    return _members(entry.endpoint, entry.at + entry.left, entry.left, entry.status)


def _members(name: str, closes_at: datetime, left: timedelta, status: str) -> dict[str, str]:
    expiry = closes_at.astimezone(UTC).strftime(TIME_FORMAT)
    return {
        "EndpointName": name,
        # The sample's documentation has this key with a trailing blank, so its clients read it so.
        "EndpointExpiry ": expiry,
        "EndpointExpiry": expiry,
        "TimeLeft": time_left(left),
        "Status": status,
    }


def time_left(left: timedelta) -> str:
    """Return the sample's form: `0:00:10.211300`, from a day on `1 day, 0:00:10.211300`.

    Unlike the sample's it always has six decimals and is never negative.
    """
    text = str(max(left, timedelta(0)))
    return text if "." in text else text + ".000000"
