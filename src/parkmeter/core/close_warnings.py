"""Warnings that the close is near. Pure.

A part of `decide`, for every open meter, whatever its endpoint is doing or failing to do.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from parkmeter.core.decision import Decision
from parkmeter.core.journal import warning_entry
from parkmeter.core.meter import Meter, Spec, latest_close, start_awaited_since, time_left


def warned(spec: Spec, read: Meter, decision: Decision, now: datetime) -> Decision:
    """Return a decision on an open meter with the warning that is due, and a look at the next.

    `read` is the meter before it: a look that comes late and moves the close (it became ready, it
    failed) must not lose a warning that was due by the old one. Of several due, it is the nearest.
    """
    left, last = time_left(decision.meter, now), read.run
    run = replace(decision.meter.run, warned_at=last.warned_at, warned_before=last.warned_before)
    ahead = _warnings(spec, read).items()
    due = [(at, before) for at, before in ahead if at <= now and left <= before]
    entries = decision.entries
    if due:
        at, before = max(due)
        run = replace(run, warned_at=at, warned_before=before)
        close = latest_close(read)
        entries = (*entries, warning_entry(spec, decision.meter, close, before, now))
    meter = replace(decision.meter, run=run)
    looks = filter(None, (decision.check_at, next_warning(spec, meter, now)))
    return replace(decision, meter=meter, entries=entries, check_at=min(looks, default=None))


def next_warning(spec: Spec, meter: Meter, now: datetime) -> datetime | None:
    """Return when the next warning falls due, if the meter stays as it is."""
    return min((at for at in _warnings(spec, meter) if at > now), default=None)


def _warnings(spec: Spec, meter: Meter) -> dict[datetime, timedelta]:
    """Return the moments to warn of the present expiry, and how long before the close each is.

    The close is the one that only a top-up can pass. While a start has credit the meter stands
    still: the time left is the same, so nothing falls due, and a start that ends by then puts the
    close where that time ends. Time runs towards that close only from the end of the credit. A
    warning is ahead if more time than that was left when it began to run. Time may come back (that
    a start was waiting for its predecessor is known when that one is seen), but no warning is
    repeated, nor one further ahead.
    """
    run, close = meter.run, latest_close(meter)
    after, nearer_than = meter.set_at, timedelta.max
    if run.warned_at is not None and run.warned_at > meter.set_at:
        after, nearer_than = run.warned_at, run.warned_before or nearer_than
    if (awaited := start_awaited_since(meter)) is not None:
        after = max(after, awaited + meter.credit_left)
    moments = {close - before: before for before in spec.warn_before if before < nearer_than}
    return {at: before for at, before in moments.items() if at > after}
