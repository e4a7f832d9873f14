"""The intervals between looks at an endpoint, and between attempts to start it. Pure."""

from datetime import datetime, timedelta

from parkmeter.core.meter import Meter, Spec, latest_close

BACKOFF_FIRST = timedelta(seconds=1)
BACKOFF_MOST = timedelta(minutes=5)

SOON = timedelta(milliseconds=50)
INSIST = timedelta(seconds=1)
"""The longest pause before an endpoint that should be gone is stopped again, whatever its provider
takes."""

LOCKED = timedelta(seconds=20)
"""Between looks at an endpoint that its provider refuses to stop: asking more often is throttled,
and the provider reports the end of the state."""

_FIRST_LOOK = 20
"""After something was begun, the first look is this many times sooner than `Spec.look_again`."""


def paced(spec: Spec, begun: datetime | None, now: datetime) -> datetime:
    """Return when to look again at something begun at `begun`: the longer it takes, the later."""
    elapsed = now - (begun or now)
    return now + max(spec.look_again / _FIRST_LOOK, min(spec.look_again, elapsed / 10))


def while_locked(spec: Spec, now: datetime) -> datetime:
    """Return when to look again at an endpoint that cannot be stopped yet."""
    return now + max(LOCKED, spec.look_again / _FIRST_LOOK)


def paced_until_close(spec: Spec, meter: Meter, begun: datetime | None, now: datetime) -> datetime:
    """Return when to look again at an open meter, at its latest close at most; see `paced`."""
    return min(paced(spec, begun, now), latest_close(meter))


def backoff(attempts: int) -> timedelta:
    """Return the pause after this many starts in succession: 1 s, 2 s, 4 s … 5 min."""
    doubled: int = 2 ** min(max(attempts, 1) - 1, 16)
    return min(BACKOFF_MOST, BACKOFF_FIRST * doubled)
