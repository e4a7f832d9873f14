"""The decision for an endpoint that should serve, because its meter is open. Pure.

A part of `decide`.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from parkmeter.core.decide_closed import PUT_OFF, stopped
from parkmeter.core.decision import Cause, Decision, Keep, Observed, Rest, Start, Stop
from parkmeter.core.journal import Entry, Kind, failure_key, new_entry, run_key
from parkmeter.core.meter import Meter, Phase, Run, Spec, latest_close
from parkmeter.core.pacing import BACKOFF_MOST, backoff, paced_until_close
from parkmeter.core.start_credit import begun_at, give_back
from parkmeter.core.time_text import duration

STABLE_AFTER = timedelta(minutes=5)
"""A run that was ready for this long starts its backoff from the beginning when it fails."""

BEFORE = "the previous run is stopping; then it starts"


def decide_open(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    """Decide the next step for an open meter: start, wait, keep, or clear what failed."""
    run = meter.run
    match observed.phase:
        case Phase.ABSENT if run.phase in (Phase.READY, Phase.BUSY) and not _ended_before_opening(
            meter, observed
        ):
            reason = observed.reason or "it was gone, and parkmeter had not stopped it"
            return failed(spec, meter, Observed(Phase.FAILED, reason), now, clear=False)
        case Phase.ABSENT if run.next_try and now < run.next_try <= now + BACKOFF_MOST:
            # One further ahead is by a clock that was set back since: it would take hours.
            return Decision(Rest(), meter, check_at=min(run.next_try, latest_close(meter)))
        case Phase.ABSENT:
            return _start(spec, meter, observed, now)
        case Phase.STARTING:
            return _starting(spec, meter, observed, now)
        case Phase.READY | Phase.BUSY:
            return _ready(spec, meter, observed, now)
        case Phase.STOPPING if run.phase is Phase.FAILED:
            look = paced_until_close(spec, meter, observed.since, now)
            return Decision(Rest(), meter, check_at=look)
        case Phase.STOPPING:
            return _await_end(spec, meter, observed, now)
        case Phase.FAILED:
            return failed(spec, meter, observed, now, clear=True)
        case _:
            assert_never(observed.phase)


def _await_end(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    """Wait for the predecessor to stop: its end is part of the next start."""
    run = meter.run
    look = paced_until_close(spec, meter, observed.since, now)
    if run.phase is Phase.ABSENT:  # the predecessor's end is journaled already
        waiting = replace(run, started_at=begun_at(meter, now), reason=BEFORE)
        return Decision(Rest(), replace(meter, run=waiting), check_at=look)
    if run.phase is Phase.STOPPING and _was_stopping_at_opening(meter, now):
        run = Run(reason=run.reason, started_at=meter.opened_at, variant=run.variant)
    elif run.ready_at is not None:  # it served until now, and something else stops it
        run = Run(started_at=now, variant=run.variant)
    waiting = replace(run, phase=Phase.STOPPING)
    return Decision(Rest(), replace(meter, run=waiting), check_at=look)


def _was_stopping_at_opening(meter: Meter, now: datetime) -> bool:
    """Return whether the run was over when the time on the meter was bought.

    A run that began before and went on is not: it was parked, and nothing waited for a start. Nor
    is one of a clock that was set back since, to before the opening: two runs would have one key.
    """
    run = meter.run
    if run.reason in PUT_OFF or now < meter.opened_at:
        return False
    return run.started_at is None or run.started_at < meter.opened_at


def _ended_before_opening(meter: Meter, observed: Observed) -> bool:
    """Return whether it ended before the time on the meter was bought, which is no failure."""
    return observed.since is not None and observed.since <= meter.opened_at


def _start(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    run = meter.run
    entries: tuple[Entry, ...] = ()
    existed = run.phase not in (Phase.ABSENT, Phase.FAILED)
    why = run.reason if run.phase is Phase.STOPPING else ""
    if run.phase is Phase.STOPPING or (existed and _ended_before_opening(meter, observed)):
        entries = (stopped(spec, meter, run, why, observed, now),)
        if _was_stopping_at_opening(meter, now):
            run = Run(started_at=meter.opened_at, variant=run.variant)
    if run.ready_at is not None:
        # It served: that run is over, and none of it was waiting for this start.
        run = Run(started_at=now, variant=run.variant)
    attempts = run.attempts + 1
    starting = Run(
        phase=Phase.STARTING,
        reason="loading" if attempts == 1 else f"attempt {attempts}",
        started_at=run.started_at or begun_at(meter, now),
        created_at=now,
        attempts=attempts,
        # Also the earliest repetition, if this intent is recorded and then not carried out.
        next_try=now + backoff(attempts),
        variant=run.variant if run.variant in spec.variants else spec.variants[0],
        device=spec.device,
    )
    started = replace(meter, run=starting, settled=False)
    key = f"start:{run_key(starting)}:{attempts}"
    entry = new_entry(spec, started, Kind.START, now, starting.reason, key=key)
    action = Start(starting.variant or spec.variants[0], latest_close(started))
    look = paced_until_close(spec, started, now, now)
    return Decision(action, started, (*entries, entry), look)


def _starting(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    run = meter.run
    # Time that was served is no start, even if the endpoint has to get ready once more.
    begun = now if run.ready_at is not None else observed.since or now
    starting = replace(
        run,
        phase=Phase.STARTING,
        reason=observed.reason or run.reason or "loading",
        started_at=begun if run.ready_at is not None else begun_at(meter, begun),
        created_at=run.created_at or begun,
        ready_at=None,
    )
    decided = replace(meter, run=starting)
    look = paced_until_close(spec, decided, begun, now)
    return Decision(Keep(latest_close(decided)), decided, check_at=look)


def _ready(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    run = replace(
        meter.run,
        phase=observed.phase,
        reason=observed.reason or "serving",
        address=observed.address,
        created_at=meter.run.created_at or observed.since or now,
    )
    if meter.run.ready_at is None:
        return _became_ready(spec, meter, run, now)
    look = min(meter.expires_at, now + spec.look_again)
    return Decision(Keep(meter.expires_at), replace(meter, run=run), check_at=look)


def _became_ready(spec: Spec, meter: Meter, run: Run, now: datetime) -> Decision:
    started_at = begun_at(meter, now)
    credited, credit = give_back(spec, meter, now)
    ready = replace(credited, run=replace(run, started_at=started_at, ready_at=now, next_try=None))
    why = f"ready after {duration(now - started_at)}"
    entry = new_entry(spec, ready, Kind.READY, now, why, key=f"ready:{run_key(ready.run)}")
    look = min(ready.expires_at, now + spec.look_again)
    return Decision(Keep(ready.expires_at), ready, (*credit, entry), look)


def failed(spec: Spec, meter: Meter, observed: Observed, now: datetime, *, clear: bool) -> Decision:
    """Decide what follows a failure while time is left: clear it away, start again later."""
    action = Stop() if clear else Rest()
    run = meter.run
    if run.phase is Phase.FAILED:
        look = paced_until_close(spec, meter, observed.since, now)
        return Decision(action, meter, check_at=look)
    attempts = run.attempts
    if run.ready_at is not None and now - run.ready_at >= STABLE_AFTER:
        attempts = 0
    reason = observed.reason.rstrip(".") or "it failed without saying why"
    after = Run(
        phase=Phase.FAILED,
        reason=reason,
        started_at=begun_at(meter, now) if run.ready_at is None else now,
        attempts=attempts,
        next_try=now + backoff(attempts),
        variant=_next_variant(spec, run.variant, observed.cause),
    )
    decided = replace(meter, run=after)
    entry = new_entry(spec, decided, Kind.FAILURE, now, reason, key=failure_key(run, reason))
    return Decision(action, decided, (entry,), paced_until_close(spec, decided, now, now))


def _next_variant(spec: Spec, variant: str | None, cause: Cause) -> str | None:
    if cause is not Cause.CAPACITY or variant not in spec.variants:
        return variant
    return spec.variants[(spec.variants.index(variant) + 1) % len(spec.variants)]
