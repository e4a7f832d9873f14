"""`Parkmeter-*` response headers: how the meter stood when the data plane answered. Pure."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from parkmeter.core.meter import NEVER
from parkmeter.core.status import View
from parkmeter.core.time_text import iso


def meter_headers(view: View | None, now: datetime, waited: int | None) -> dict[str, str]:
    """Return the headers by name: time left, expiry, and the `wait` (seconds) that was applied.

    A meter that never held time has neither time left nor an expiry.
    """
    left, expires_at = _standing(view, now)
    return _headers(left, expires_at, waited)


def meter_header_lines(view: View | None, now: datetime, waited: int | None) -> bytes:
    """Return the same as lines of an HTTP/1.1 head, each with its end."""
    return _lines(*_standing(view, now), waited)


class MeterStamp:
    """The lines of one endpoint, kept for the second in which they are the same."""

    __slots__ = ("_after", "_lines", "_until", "_view")

    def __init__(self) -> None:
        self._view: View | None = None
        self._after = self._until = datetime.min.replace(tzinfo=UTC)
        self._lines = b""

    def lines(self, view: View | None, now: datetime) -> bytes:
        """Return `meter_header_lines`, where no `wait` was applied."""
        if view is not self._view or not self._after < now <= self._until:
            left, expires_at = _standing(view, now)
            self._lines = _lines(left, expires_at, None)
            self._view = view
            self._until = (expires_at or now) - timedelta(seconds=left)
            self._after = self._until - _SECOND
        return self._lines


_SECOND = timedelta(seconds=1)


def _standing(view: View | None, now: datetime) -> tuple[int, datetime | None]:
    if view is None or view.expires_at == NEVER:
        return 0, None
    return max(0, int((view.expires_at - now).total_seconds())), view.expires_at


def _headers(left: int, expires_at: datetime | None, waited: int | None) -> dict[str, str]:
    headers = {}
    if expires_at is not None:
        headers["Parkmeter-Seconds-Left"] = str(left)
        headers["Parkmeter-Expires-At"] = iso(expires_at)
    if waited is not None:
        headers["Preference-Applied"] = f"wait={waited}"
    return headers


# Cached because every request needs them and they change once a second.
@lru_cache(maxsize=256)
def _lines(left: int, expires_at: datetime | None, waited: int | None) -> bytes:
    headers = _headers(left, expires_at, waited)
    return "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items()).encode()
