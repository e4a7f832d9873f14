"""Headers of an answer that show its meter. Pure."""

from datetime import datetime
from functools import lru_cache

from parkmeter.core.meter import NEVER
from parkmeter.core.time_text import iso
from parkmeter.core.view import View


def stamp(view: View | None, now: datetime, waited: int | None) -> bytes:
    """Return the headers that show the meter, and the wait in seconds that was applied.

    A meter that never held time has none.
    """
    lines = b""
    if view is not None and view.expires_at != NEVER:
        left = max(0, int((view.expires_at - now).total_seconds()))
        lines = b"parkmeter-seconds-left: %d\r\n%b" % (left, _expires_at(view.expires_at))
    if waited is not None:
        lines += b"preference-applied: wait=%d\r\n" % waited
    return lines


@lru_cache(maxsize=256)
def _expires_at(moment: datetime) -> bytes:
    return f"parkmeter-expires-at: {iso(moment)}\r\n".encode()
