"""What a prompt is told of its meter: why it has no seat, and how the meter stands. Pure."""

from datetime import datetime
from functools import lru_cache

from parkmeter.core.meter import NEVER
from parkmeter.core.time_text import iso
from parkmeter.core.view import View
from parkmeter.errors import MeterClosedError, NotServingError
from parkmeter.proxy.gate import Standing, standing
from parkmeter.web import refusals
from parkmeter.web.routes import Route


def not_admitted(
    route: Route, view: View | None, now: datetime, base: str
) -> MeterClosedError | NotServingError:
    """Why a request has no seat: the meter is closed, or its endpoint does not serve."""
    if standing(view, now) is Standing.CLOSED:
        return refusals.meter_closed(route, view, base)
    return refusals.not_serving(route, view, now)


def stamp(view: View | None, now: datetime, waited: int | None) -> bytes:
    """The headers that tell how the meter stands, and that a wish to wait was heard (seconds).

    Of a meter that never held time there is nothing to tell.
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
