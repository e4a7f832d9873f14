"""The rules of the meter: how time is added, given up, and when it is used up. Pure.

Time is always an argument (`now`, aware, UTC). Nothing here knows of stores, drivers or HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from parkmeter.core.hours import Hours
from parkmeter.core.time_text import minutes
from parkmeter.errors import EndpointRemovedError, LimitExceededError

ZERO = timedelta(0)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The expiry of a meter that never held time."""

EJECTED = "ejected"
REMOVED = "removed with its deployment"
"""Reasons for the early end of a meter."""


class Phase(StrEnum):
    """The observed state of an endpoint."""

    ABSENT = "absent"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    BUSY = "busy"
    FAILED = "failed"


class Status(StrEnum):
    """The state that people see."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per hour and the source shown to people. None: unknown, which is never zero."""

    per_hour: Decimal | None = None
    source: str | None = None


UNKNOWN = Price()
MAKE_BELIEVE = "make-believe price of the demo"
"""Source of a price made up for the demo: it must be marked wherever it is shown."""

LOCAL = "local"
"""The one variant of a local server process."""


@dataclass(frozen=True, slots=True)
class Spec:
    """The configuration of one endpoint. Never stored with the meter.

    How an endpoint is started is its driver's business and not in here. `variants` are the ways to
    start it (instance types), best first, with their `prices`; the price of any other is unknown.
    `look_again`: the pause between observations while nothing falls due. `device`: the GPU that
    it shares with others, one at a time. `hours`: when it starts on a schedule. `idle`: the time
    without a prompt after which it is ejected. `wake`: the time that a prompt to the closed meter
    buys. `extend_by`: the time that the link in a warning adds.
    """

    name: str
    max_top_up: timedelta = timedelta(minutes=1440)
    max_ahead: timedelta = timedelta(minutes=10080)
    startup_credit: timedelta = timedelta(minutes=30)
    drain: timedelta = timedelta(seconds=30)
    warn_before: tuple[timedelta, ...] = (timedelta(minutes=10), timedelta(minutes=2))
    prices: Mapping[str, Price] = field(default_factory=dict)
    variants: tuple[str, ...] = (LOCAL,)
    look_again: timedelta = timedelta(seconds=1)
    device: str | None = None
    hours: Hours | None = None
    idle: timedelta | None = None
    wake: timedelta | None = None
    extend_by: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Elapsed:
    """A moment of a clock that no one can set: the time since a boot, suspends included."""

    boot: str
    time: timedelta


@dataclass(frozen=True, slots=True)
class Run:
    """The present run of the endpoint. Only `decide` writes it.

    `started_at`: since when it is being brought up; it stays through failed attempts until the
    endpoint is ready, because all of that is waiting for one start. `created_at`: the start call of
    the endpoint that exists now, from which it costs money. `address`: where it answers.
    `device`: the one it was started on, even if the configuration has changed. `warned_at`: when
    the last warning of the close was due, `warned_before` this long before the close. `trouble`:
    why its driver could not observe or act at the last look; empty when it could. `trouble_at`:
    since when, until it has lasted long enough to be journaled.
    """

    phase: Phase = Phase.ABSENT
    reason: str = ""
    started_at: datetime | None = None
    created_at: datetime | None = None
    ready_at: datetime | None = None
    attempts: int = 0
    next_try: datetime | None = None
    variant: str | None = None
    device: str | None = None
    address: str | None = None
    warned_at: datetime | None = None
    warned_before: timedelta | None = None
    trouble: str = ""
    trouble_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """The record of how long one endpoint may run.

    `opened_at`: when time was last put on a closed meter. `set_at`: when `expires_at` last changed.
    `settled`: closed, and its endpoint seen absent: nothing to do until a top-up. `removed`: gone
    for good with its deployment; no time can be added. `windows_until`: the windows of `Spec.hours`
    up to here have been used; a meter ended before that is not opened by them again.
    `window_since`: from here to `windows_until` only a window put time on it; None: no time is a
    window's. `ended`: the reason shown for an early end; emptied when it is opened. `limit`: the
    close in elapsed time, which bounds what was bought; None: wall time alone counts. `set_back`:
    how much sooner than by the wall time at the purchase it closes, because the clock was set back
    since; see `core.elapsed`. `version`: the store's, as read.
    """

    name: str
    expires_at: datetime = NEVER
    opened_at: datetime = NEVER
    set_at: datetime = NEVER
    credit_left: timedelta = ZERO
    settled: bool = True
    removed: bool = False
    windows_until: datetime = NEVER
    window_since: datetime | None = None
    ended: str = ""
    limit: Elapsed | None = None
    set_back: timedelta = ZERO
    run: Run = field(default_factory=Run)
    version: int = 0


def span_of(minutes: float | None) -> timedelta | None:
    """Return a number of minutes as a span; None, for what is turned off, stays None."""
    return None if minutes is None else timedelta(minutes=minutes)


def price_of(spec: Spec, meter: Meter) -> Price:
    """Return the hourly price of the variant that runs, or would be started next.

    The price of one that runs and is no longer configured is unknown, even if others have one.
    """
    return spec.prices.get(meter.run.variant or spec.variants[0], UNKNOWN)


def start_awaited_since(meter: Meter) -> datetime | None:
    """Return since when a start is awaited, called or not; None if none is.

    A start that was not called yet counts from the opening: the wait for its call is no time that
    the endpoint could be used. A run with a reason and no start was put off (parked): its time
    passes. A settled or removed meter awaits nothing, or its old credit would open it again.
    """
    run = meter.run
    if run.ready_at is not None:
        return None
    if run.started_at is not None:
        return max(run.started_at, meter.opened_at)
    is_awaited = run.phase is Phase.ABSENT and not run.reason
    return meter.opened_at if is_awaited and not (meter.settled or meter.removed) else None


def standing_still(meter: Meter, now: datetime) -> timedelta:
    """Return how much of the awaited start is not counted against the meter."""
    since = start_awaited_since(meter)
    return ZERO if since is None else max(ZERO, min(now - since, meter.credit_left))


def closes_at(meter: Meter, now: datetime) -> datetime:
    """Return when the meter closes, as known at `now`: it moves on while the meter stands still."""
    return meter.expires_at + standing_still(meter, now)


def latest_close(meter: Meter) -> datetime:
    """Return the close that only another top-up can pass, whatever the start still takes."""
    return meter.expires_at + (meter.credit_left if start_awaited_since(meter) else ZERO)


def is_open(meter: Meter, now: datetime) -> bool:
    """Return whether the endpoint may run. Expiry is exclusive: at its close a meter is closed."""
    return not is_over(meter) and now < closes_at(meter, now)


def is_over(meter: Meter) -> bool:
    """Return whether it has closed and stays so, even if the clock is set to before its close.

    A window of `hours` is wall time: it is on again, unless it was ended early.
    """
    return meter.settled and (meter.window_since is None or bool(meter.ended))


def time_left(meter: Meter, now: datetime) -> timedelta:
    """Return the usable time on the meter, never negative."""
    return closes_at(meter, now) - now if is_open(meter, now) else ZERO


def top_up(spec: Spec, meter: Meter, amount: timedelta, now: datetime) -> Meter:
    """Add time. From a closed meter the base is `now`, otherwise the present expiry.

    Raises:
        EndpointRemovedError: it was removed, so no time can be added.
        LimitExceededError: over `max_top_up` at once or `max_ahead` on the meter.

    """
    if meter.removed:
        raise EndpointRemovedError(meter.name)
    fits = min(spec.max_top_up, spec.max_ahead - time_left(meter, now))
    if amount > spec.max_top_up:
        raise LimitExceededError(
            f"At most {minutes(spec.max_top_up)} minutes may be added at once; "
            f"{minutes(fits)} would fit now.",
            limit=spec.max_top_up,
            fits=fits,
        )
    if amount > fits:
        raise LimitExceededError(
            f"At most {minutes(spec.max_ahead)} minutes may be on the meter; "
            f"{minutes(fits)} would fit now.",
            limit=spec.max_ahead,
            fits=fits,
        )
    if is_open(meter, now):
        return replace(meter, expires_at=meter.expires_at + amount, set_at=now)
    return opened(spec, meter, now + amount, now)


def opened(spec: Spec, meter: Meter, expires_at: datetime, now: datetime) -> Meter:
    """Return a closed meter opened again, with the credit for one start."""
    return replace(
        meter,
        expires_at=expires_at,
        opened_at=now,
        set_at=now,
        credit_left=spec.startup_credit,
        settled=False,
        window_since=None,
        ended="",
    )


def eject(meter: Meter, now: datetime, why: str = EJECTED) -> Meter:
    """Give up the remaining time and the start-up credit. A closed meter stays as it is."""
    if not is_open(meter, now):
        return meter
    return replace(meter, expires_at=now, set_at=now, credit_left=ZERO, ended=why)


def set_expiry(spec: Spec, meter: Meter, wanted: datetime, now: datetime) -> Meter:
    """Set the expiry to `wanted`, as far as the limits of a top-up allow.

    A wanted expiry that has passed is an eject. Time that a window added counts as bought from
    then on.
    """
    if meter.removed or wanted <= now:
        return eject(meter, now)
    base = meter.expires_at if is_open(meter, now) else now
    expires_at = min(wanted, base + spec.max_top_up, now + spec.max_ahead)
    if not is_open(meter, now):
        return opened(spec, meter, expires_at, now)
    if expires_at == base:
        return meter
    return replace(meter, expires_at=expires_at, set_at=now, window_since=None)


def remove(meter: Meter, now: datetime) -> Meter:
    """Remove the meter: it closes now, and no time can be added until it is provisioned again."""
    return replace(eject(meter, now, REMOVED), removed=True, settled=False, credit_left=ZERO)


def overdue(spec: Spec, meter: Meter, now: datetime) -> timedelta:
    """Return how long an endpoint has run past its close and drain; zero if it is settled."""
    if meter.settled or is_open(meter, now):
        return ZERO
    return max(ZERO, now - latest_close(meter) - spec.drain)
