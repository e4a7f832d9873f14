"""Waiting of a prompt for its endpoint on AWS: the meter is read once a second.

Knows the `Prefer` header and how long a function may hold a request; neither models nor answers. No
web framework.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from parkmeter.core.meter import Meter, Status, is_open
from parkmeter.core.view import View
from parkmeter.web.headers import prefer_of

LONGEST_SECONDS = 20
"""API Gateway waits 29 s, and the model needs some of them."""

_EVERY_SECONDS = 1.0


def wait_in(headers: Mapping[str, str]) -> int | None:
    """Return the longest wait that the request asks for, in seconds; None if it asks for none.

    `headers` by their lower-case names.
    """
    prefer = headers.get("prefer", "").encode("latin-1", "replace")
    wait = prefer_of([(b"prefer", prefer)]).wait
    return None if wait is None else min(wait, LONGEST_SECONDS)


def wait_until_serving(
    read: Callable[[], Meter],
    meter: Meter,
    until: datetime,
    now: Callable[[], datetime],
    pause: Callable[[float], None],
) -> Meter:
    """Return the meter once its endpoint serves, once it is closed, or at `until`.

    `meter` was read just now; `read` reads it again; `pause` sleeps the given seconds.
    """
    while _may_serve_later(meter, now()) and (left := (until - now()).total_seconds()) > 0:
        pause(min(_EVERY_SECONDS, left))
        meter = read()
    return meter


def _may_serve_later(meter: Meter, now: datetime) -> bool:
    view = View.of(meter, now)
    return is_open(meter, now) and (view.status is not Status.RUNNING or view.address is None)
