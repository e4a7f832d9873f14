"""A prompt that asked to wait, on AWS: its meter is looked at once a second until it serves.

Knows the preference and how long a function may hold a request; neither models nor answers. No web
framework.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from parkmeter.core.meter import Meter, Status, is_open
from parkmeter.ports import View
from parkmeter.web.headers import prefer_of

LONGEST_SECONDS = 20
"""API Gateway waits for 29, and the model needs some of them."""

_EVERY_SECONDS = 1.0


def wait_in(headers: Mapping[str, str]) -> int | None:
    """Seconds that a request is held at most, as it asked; None if it did not ask.

    `headers` by their names in lower case.
    """
    said = headers.get("prefer", "").encode("latin-1", "replace")
    wait = prefer_of([(b"prefer", said)]).wait
    return None if wait is None else min(wait, LONGEST_SECONDS)


def held(
    read: Callable[[], Meter],
    meter: Meter,
    until: datetime,
    now: Callable[[], datetime],
    pause: Callable[[float], None],
) -> Meter:
    """The meter as it is once its endpoint serves, once it is closed, or `until` at the latest.

    `meter`: as it was read just now; `read` reads it anew; `pause` takes so many seconds.
    """
    while _may_come(meter, now()) and (left := (until - now()).total_seconds()) > 0:
        pause(min(_EVERY_SECONDS, left))
        meter = read()
    return meter


def _may_come(meter: Meter, now: datetime) -> bool:
    view = View.of(meter, now)
    return is_open(meter, now) and (view.status is not Status.RUNNING or view.address is None)
