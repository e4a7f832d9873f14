"""Moments and lengths of time as text, for programs and for people. Pure."""

from datetime import UTC, datetime, timedelta

_A_MINUTE = 60
_TENTHS_BELOW = 10
"""Seconds; below it a tenth of one is still worth reading."""


def iso(moment: datetime) -> str:
    """Return a moment for programs: `2026-06-22T08:24:12Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def utc(moment: datetime) -> str:
    """Return a moment for people: `2026-06-22 08:24:12 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(amount: timedelta) -> str:
    """Return a length of time, exact to the second: `0.3 s`, `12 s`, `3 min 5 s`."""
    seconds = max(0.0, amount.total_seconds())
    if seconds < _TENTHS_BELOW:
        return f"{seconds:.1f} s"
    if seconds < _A_MINUTE:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // _A_MINUTE} min {int(seconds) % _A_MINUTE} s"


def rounded(amount: timedelta) -> str:
    """Return a length of time in whole units: `1 second`, `45 seconds`, `30 minutes`."""
    seconds = max(0, round(amount.total_seconds()))
    if seconds < _A_MINUTE:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = round(seconds / _A_MINUTE)
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def minutes(amount: timedelta) -> str:
    """Return the number of minutes, never negative: `30`, `0.05`."""
    return f"{max(0.0, amount.total_seconds() / _A_MINUTE):.10g}"
