"""The status shown for a meter, with one plain reason: a function of meter and time. Pure.

`View` is apart from the ports, so that a function that answers prompts loads no decision rules.
"""

from dataclasses import dataclass
from datetime import datetime

from parkmeter.core.meter import (
    NEVER,
    REMOVED,
    Meter,
    Phase,
    Status,
    closes_at,
    is_open,
    is_over,
    latest_close,
)
from parkmeter.core.time_text import duration


@dataclass(frozen=True, slots=True)
class Shown:
    """A status, its cause, and the part of the reason that changes as time passes."""

    status: Status
    cause: str
    passing: str = ""

    @property
    def reason(self) -> str:
        """Return both as one plain sentence."""
        return self.cause + self.passing


@dataclass(frozen=True, slots=True)
class View:
    """The part of one meter version that the data plane and refusals need.

    `open_until` is the latest close; `expires_at` the close as last observed; `retry_at`: when the
    next start is tried, if it is backing off. `device`: the one that its run is on. `started_at`:
    when the start began that is under way.
    """

    name: str
    version: int
    open_until: datetime
    expires_at: datetime
    status: Status
    reason: str
    address: str | None = None
    retry_at: datetime | None = None
    device: str | None = None
    started_at: datetime | None = None

    @classmethod
    def of(cls, meter: Meter, now: datetime) -> "View":
        """Return the view of a committed meter."""
        seen = shown(meter, now)
        return cls(
            name=meter.name,
            version=meter.version,
            open_until=NEVER if is_over(meter) else latest_close(meter),
            expires_at=closes_at(meter, now),
            status=seen.status,
            reason=seen.reason,
            address=meter.run.address,
            retry_at=meter.run.next_try if meter.run.phase is Phase.FAILED else None,
            device=None if meter.run.phase is Phase.ABSENT else meter.run.device,
            started_at=meter.run.started_at if meter.run.phase is Phase.STARTING else None,
        )


def shown(meter: Meter, now: datetime) -> Shown:
    """Return the status of a meter; the driver's trouble is its reason where there is any."""
    seen = _shown(meter, now)
    return Shown(seen.status, meter.run.trouble) if meter.run.trouble else seen


def ending(meter: Meter) -> str:
    """Return why the endpoint of a closed meter is to be gone."""
    return meter.ended or "time used up"


def _shown(meter: Meter, now: datetime) -> Shown:
    run = meter.run
    if is_open(meter, now):
        match run.phase:
            case Phase.ABSENT:
                waiting_for = run.reason if run.started_at else ""
                return Shown(Status.STARTING, waiting_for or "about to start")
            case Phase.STARTING:
                since = f", {duration(now - run.started_at)} so far" if run.started_at else ""
                return Shown(Status.STARTING, run.reason or "loading", since)
            case Phase.READY | Phase.BUSY:
                return Shown(Status.RUNNING, run.reason or "serving")
            case Phase.STOPPING:
                return Shown(Status.STOPPING, "the previous run is stopping; then it starts again")
            case Phase.FAILED:
                again = f"; trying again at {run.next_try:%H:%M:%S} UTC" if run.next_try else ""
                return Shown(Status.FAILED, run.reason, again)
    match run.phase:
        case Phase.ABSENT if meter.removed:
            return Shown(Status.STOPPED, REMOVED)
        case Phase.ABSENT:
            why = meter.ended or "no time on the meter"
            return Shown(Status.STOPPED, run.reason or f"{why}: top up to start it")
        case Phase.STARTING | Phase.READY | Phase.BUSY:
            return Shown(Status.STOPPING, f"{ending(meter)}; stopping")
        case Phase.STOPPING:
            return Shown(Status.STOPPING, f"{run.reason or ending(meter)}; stopping")
        case Phase.FAILED:
            return Shown(Status.STOPPING, f"{ending(meter)}; clearing what failed: {run.reason}")
