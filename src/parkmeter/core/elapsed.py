"""Elapsed time as a bound on what was bought: setting the wall clock back extends nothing. Pure.

Wall time says the hour, elapsed time bounds what was bought, and the sooner ends the meter. A
meter's `limit` is the close on a clock that no one can set, and that runs through suspends. It
moves with the expiry: by the minutes bought, by credit, by an eject. A window of `hours` is wall
time: while the meter ends with one, there is no limit. After a reboot the limit is void and wall
time counts. The limit holds until the endpoint of a closed meter is gone; then it is over anyway.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from parkmeter.core.journal import Entry, Kind, new_entry
from parkmeter.core.meter import ZERO, Elapsed, Meter, Spec, is_open, start_awaited_since
from parkmeter.core.time_text import duration

TOLERANCE = timedelta(seconds=5)
"""Differences up to this are no change of the clock: the system corrects it by small steps."""


def with_limit(read: Meter, changed: Meter, now: datetime, elapsed: Elapsed | None) -> Meter:
    """Return a changed meter with the limit that goes with its expiry; `read`: before the change.

    `elapsed`: the time since the boot; None where the system has no such clock.
    """
    if elapsed is None or changed.settled:
        return _unlimited(changed)
    limit, reopened = read.limit, changed.opened_at != read.opened_at
    if limit is None or limit.boot != elapsed.boot or reopened:
        if not is_open(changed, now) or _ends_with_window(changed, now):
            return _unlimited(changed)
        at = elapsed.time + (changed.expires_at - now)
        return replace(changed, limit=Elapsed(elapsed.boot, at), set_back=ZERO)
    if changed.windows_until != read.windows_until and _ends_with_window(changed, now):
        return _unlimited(changed)  # a window has just given its time
    at = limit.time + (changed.expires_at - read.expires_at)
    return replace(changed, limit=replace(limit, time=at))


def at_set_clock(
    spec: Spec, meter: Meter, now: datetime, elapsed: Elapsed | None
) -> tuple[Meter, Entry] | None:
    """Move the expiry to the sooner of wall and elapsed time; None: it is there.

    A clock that was set back by mistake and then right again gives back what it took.
    """
    limit = meter.limit
    if limit is None or elapsed is None or limit.boot != elapsed.boot:
        return None
    wall = meter.expires_at + meter.set_back
    by_elapsed = now + (limit.time - elapsed.time)
    shift = min(wall, by_elapsed) - meter.expires_at
    if abs(shift) <= TOLERANCE:
        return None
    moved = _shifted(meter, shift, now)
    direction = "back" if shift < ZERO else "forward"
    why = f"the clock was set {direction} by {duration(abs(shift))}; no time was bought or lost"
    key = f"clock-set:{meter.version}"
    return moved, new_entry(spec, moved, Kind.CLOCK, now, why, key=key, amount=shift)


def _shifted(meter: Meter, shift: timedelta, now: datetime) -> Meter:
    """Return the meter with its expiry, and what is measured by it, moved with the clock."""
    run = meter.run
    if run.warned_at is not None:  # or warnings that are ahead would count as given
        run = replace(run, warned_at=run.warned_at + shift)
    moved = replace(
        meter,
        expires_at=meter.expires_at + shift,
        # Never forward: it has to stay before every run, and every eject, that came after it.
        opened_at=meter.opened_at + min(shift, ZERO),
        set_at=now,
        set_back=meter.set_back - shift,
        run=run,
    )
    if start_awaited_since(meter) is None:
        return moved
    # The wait for a start goes on: its beginning moves with the clock.
    if run.started_at is not None:
        run = replace(run, started_at=run.started_at + shift)
    return replace(moved, opened_at=meter.opened_at + shift, run=run)


def _ends_with_window(meter: Meter, now: datetime) -> bool:
    return meter.window_since is not None and now < meter.windows_until


def _unlimited(meter: Meter) -> Meter:
    if meter.limit is None and not meter.set_back:
        return meter
    return replace(meter, limit=None, set_back=ZERO)
