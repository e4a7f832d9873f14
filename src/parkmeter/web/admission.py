"""What is checked of a prompt before its meter is asked, and what it is told of the meter. Pure."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from parkmeter.errors import InvalidRequestError, MeterClosedError, NotServingError
from parkmeter.ports import View
from parkmeter.web import refusals
from parkmeter.web.fields import refuse_repeats, upgrade_wanted
from parkmeter.web.gate import Standing, standing
from parkmeter.web.incoming import Incoming
from parkmeter.web.routes import Route, Target

_DOT_SEGMENT = re.compile(rb"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


def check_credentials(request: Incoming) -> None:
    """Pass, if there is one reading only of who asks and for how much.

    Raises:
        InvalidRequestError: a header that may come only once came again, or the host is missing.

    """
    refuse_repeats(request.fields, request.named)
    if request.modern and b"host" not in request.named:
        raise InvalidRequestError("The header Host is missing.", field="Host")


def check_form(request: Incoming, target: Target) -> None:
    """Pass, if a model server may be asked this way.

    Raises:
        Refusal: a method or an upgrade that nobody serves here.
        InvalidRequestError: a path that two readers could read differently.

    """
    if target.prompt:
        if request.method != "POST":
            raise refusals.method_not_allowed()
    elif _DOT_SEGMENT.search(target.path):
        raise InvalidRequestError(
            "A path with . or .. means different things to different servers; send the path "
            "they stand for."
        )
    if b"upgrade" in request.named and upgrade_wanted(request.fields):
        raise refusals.no_upgrade()


def not_admitted(
    route: Route, view: View | None, now: datetime, base: str
) -> MeterClosedError | NotServingError:
    """Why a request has no seat: the meter is closed, or its endpoint does not serve."""
    if standing(view, now) is Standing.CLOSED:
        return refusals.meter_closed(route, view, base)
    return refusals.not_serving(route, view, now)


def stamp(view: View | None, now: datetime, waited: int | None) -> bytes:
    """The headers that tell how the meter stands, and that a wish to wait was heard (seconds)."""
    lines = b""
    if view is not None:
        left = max(0, int((view.expires_at - now).total_seconds()))
        lines = b"parkmeter-seconds-left: %d\r\n%b" % (left, _expires_at(view.expires_at))
    if waited is not None:
        lines += b"preference-applied: wait=%d\r\n" % waited
    return lines


@lru_cache(maxsize=256)
def _expires_at(moment: datetime) -> bytes:
    said = moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return f"parkmeter-expires-at: {said}\r\n".encode()
