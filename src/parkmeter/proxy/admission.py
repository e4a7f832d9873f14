"""Why a request gets no permit: the refusal for the state of its meter. Pure."""

from datetime import datetime

from parkmeter.errors import MeterClosedError, NotServingError
from parkmeter.ports import View
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
