"""The decision for an endpoint that should be gone: its meter is closed, or it is parked. Pure.

A part of `decide`.
"""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from parkmeter.core.decision import Decision, Keep, Observed, Rest, Stop
from parkmeter.core.journal import Entry, stop_entry, unstarted_entry
from parkmeter.core.meter import (
    Meter,
    Phase,
    Run,
    Spec,
    latest_close,
    start_awaited_since,
)
from parkmeter.core.pacing import INSIST, SOON, paced, while_locked
from parkmeter.core.start_credit import give_back
from parkmeter.core.status import ending

PARKED = "the gateway was stopped"
UNCONFIGURED = "it is no longer configured"
PUT_OFF = frozenset({PARKED, UNCONFIGURED})
"""Reasons to stop an endpoint although its meter holds time."""

_NO_NEWS = frozenset({"", "stopped"})
"""Reasons that drivers give for an end that was wanted."""


def decide_closed(
    spec: Spec, meter: Meter, observed: Observed, in_flight: int | None, now: datetime
) -> Decision:
    """Decide the next step for a closed meter: drain, stop, settle."""
    run = meter.run
    match observed.phase:
        case Phase.ABSENT:
            return _settle(spec, meter, observed, now)
        case Phase.STOPPING:
            begun = observed.since or latest_close(meter)
            # The end of a settled meter is journaled, and this look is a moment late.
            decided = meter if meter.settled else _stopping(meter)
            return Decision(Rest(), decided, check_at=paced(spec, begun, now))
        case Phase.READY | Phase.BUSY if (
            run.phase is not Phase.STOPPING
            and in_flight != 0
            and now < (drained := meter.expires_at + spec.drain)
        ):
            look = min(drained, now + (SOON if in_flight else spec.look_again))
            return Decision(Keep(drained), meter, check_at=look)
        case Phase.STARTING | Phase.BUSY if observed.locked:
            # A stop would be refused. The intent stands; the event of the next state stops it.
            return Decision(Rest(), _stopping(meter), check_at=while_locked(spec, now))
        case Phase.STARTING | Phase.READY | Phase.FAILED | Phase.BUSY:
            # A busy endpoint refuses to be deleted: the intent stands, the next look asks again.
            action = Rest() if observed.phase is Phase.BUSY else Stop()
            overdue = now - latest_close(meter)
            look = now + max(SOON, min(INSIST, overdue / 10))
            return Decision(action, _stopping(meter), check_at=look)
        case _:
            assert_never(observed.phase)


def park(spec: Spec, meter: Meter, observed: Observed, why: str, now: datetime) -> Decision:
    """Stop the endpoint and leave the meter's time as it is; `why` is one of `PUT_OFF`."""
    if observed.phase is Phase.ABSENT:
        if meter.run.phase is Phase.ABSENT:
            return Decision(Rest(), meter)
        credited, credit = give_back(spec, meter, now)
        warned_at, before = meter.run.warned_at, meter.run.warned_before
        run = Run(reason=why, warned_at=warned_at, warned_before=before)
        parked = replace(credited, run=run)
        stop = stopped(spec, parked, meter.run, why, observed, now)
        return Decision(Rest(), parked, (*credit, stop))
    awaited = meter.run.started_at or start_awaited_since(meter)
    run = replace(meter.run, phase=Phase.STOPPING, reason=why, started_at=awaited)
    stopping = replace(meter, run=run)
    if observed.phase is Phase.STOPPING:
        return Decision(Rest(), stopping, check_at=paced(spec, observed.since, now))
    if observed.locked:
        return Decision(Rest(), stopping, check_at=while_locked(spec, now))
    return Decision(Stop(), stopping, check_at=now + INSIST)


def stopped(  # noqa: PLR0913, PLR0917 (an end has these facts)
    spec: Spec, meter: Meter, run: Run, why: str, observed: Observed, now: datetime
) -> Entry:
    """Return the entry for the end of a run: why it was wanted, then the driver's news, if any."""
    reason = observed.reason
    if reason in _NO_NEWS:
        reason = why or "stopped"
    elif not reason.startswith(why):
        reason = f"{why}; {reason}"
    return stop_entry(spec, meter, run, reason, observed.since, now)


def _stopping(meter: Meter) -> Meter:
    if meter.run.phase is Phase.STOPPING:
        return meter
    run = replace(meter.run, phase=Phase.STOPPING, reason=ending(meter))
    return replace(meter, settled=False, run=run)


def _settle(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    if meter.settled:
        return Decision(Rest(), meter)
    existed = meter.run.phase not in (Phase.ABSENT, Phase.FAILED)
    settled = replace(meter, settled=True, run=Run())
    if existed:
        entry = stopped(spec, settled, meter.run, ending(meter), observed, now)
    elif _never_started(meter):
        entry = unstarted_entry(spec, settled, latest_close(meter), now)
    else:
        return Decision(Rest(), settled)
    return Decision(Rest(), settled, (entry,))


def _never_started(meter: Meter) -> bool:
    """Return whether its time passed while it awaited a start, and no entry says so yet."""
    run = meter.run
    if meter.ended or meter.removed or run.phase is not Phase.ABSENT:
        return False
    was_put_off = run.reason and run.started_at is None  # parked: that is journaled
    return not was_put_off
