"""When people are warned that the close is near, and what that makes of a decision. Pure.

A part of `reconcile`: of every open meter, whatever its endpoint is doing or failing to do.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from parkmeter.core.decision import Decision
from parkmeter.core.journal import warning_entry
from parkmeter.core.meter import Meter, Spec, latest_close, start_awaited_since, time_left


def warned(spec: Spec, read: Meter, decision: Decision, now: datetime) -> Decision:
    """A decision on an open meter with the warning that is due, and looked at again by the next.

    `read` is the meter before it: a look that comes late and moves the close (it got ready, it
    failed) must not lose what was due by the old one. Of several that are due it is the nearest.
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
    """When the next one falls due, if the meter stays as it is."""
    return min((at for at in _warnings(spec, meter) if at > now), default=None)


def _warnings(spec: Spec, meter: Meter) -> dict[datetime, timedelta]:
    """When to warn of the present expiry, and how long before the close each moment is.

    The close is the one that cannot be passed without a top-up. While a start is under way and has
    credit the meter stands still: the time left is what it was, so nothing comes due, and a start
    that ends by then puts the close where that time ends. Only from the end of the credit on the
    time runs, towards that close. A warning is ahead if there was more time than that left when it
    began to run. Time may come back (that a start was waiting for its predecessor is known when
    that one is seen), but what was warned of is not repeated, nor what was further ahead.
    """
    run, close = meter.run, latest_close(meter)
    after, nearer_than = meter.set_at, timedelta.max
    if run.warned_at is not None and run.warned_at > meter.set_at:
        after, nearer_than = run.warned_at, run.warned_before or nearer_than
    if (awaited := start_awaited_since(meter)) is not None:
        after = max(after, awaited + meter.credit_left)
    moments = {close - before: before for before in spec.warn_before if before < nearer_than}
    return {at: before for at, before in moments.items() if at > after}
