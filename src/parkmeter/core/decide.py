"""Compare what should be with what is seen, and decide the one next thing. Pure.

Level-triggered: `decide` may be asked as often as one likes, by anyone, at any time; it looks only
at the meter, at what the driver observed, and at the time. It is the only code that writes a
meter's `run`. The caller commits the decided meter first and acts then (intent before action).
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from parkmeter.core.close_warnings import next_warning, warned
from parkmeter.core.decision import Cause, Decision, Keep, Observed, Rest, Start, Stop
from parkmeter.core.idle import at_idleness, idle_from
from parkmeter.core.journal import (
    Entry,
    Kind,
    failure_key,
    fingerprint,
    new_entry,
    run_key,
    stop_entry,
    unstarted_entry,
)
from parkmeter.core.meter import (
    Meter,
    Phase,
    Run,
    Spec,
    ending,
    is_open,
    latest_close,
    standing_still,
)
from parkmeter.core.schedule import at_change_of_hours
from parkmeter.core.time_text import duration

BACKOFF_FIRST = timedelta(seconds=1)
BACKOFF_MOST = timedelta(minutes=5)
STABLE_AFTER = timedelta(minutes=5)
"""Ready for this long, the next failure is a new story and its backoff begins anew."""

SOON = timedelta(milliseconds=50)
INSIST = timedelta(seconds=1)
"""What should be gone and is not is asked to go at least so often, however slow its provider."""

PATIENT_FOR = timedelta(seconds=10)
"""What passes within this time is shown and not journaled."""

_SAYS_NOTHING = {"", "stopped"}
"""What drivers say of an end that somebody wanted."""

_FIRST_LOOK = 20
"""After something was begun, the first look is this many times sooner than `Spec.look_again`."""


PARKED = "the gateway was stopped"
BEFORE = "the one before is stopping; then it starts"
UNCONFIGURED = "it is not configured any more"


def decide(  # noqa: PLR0913, PLR0917 (what there is to know)
    spec: Spec,
    meter: Meter,
    observed: Observed,
    in_flight: int | None,
    now: datetime,
    last_prompt: datetime | None = None,
) -> Decision:
    """Decide the next thing for one endpoint.

    `in_flight`: requests being answered; None where that cannot be seen, then the drain is a fixed
    delay. `last_prompt`: as `Gate.last_prompt`; None: nobody is called idle.
    """
    if not is_open(meter, now):
        return _end(spec, meter, observed, in_flight, now)
    if changed := at_change_of_hours(spec, meter, now):
        return changed
    decision = _serve(spec, meter, observed, now)
    idle_at = idle_from(spec, decision.meter, last_prompt)
    if idle_at is not None:
        decision = at_idleness(spec, decision, idle_at, now)
    return warned(spec, meter, decision, now) if is_open(decision.meter, now) else decision


# ── The meter is open: the endpoint should serve ────────────────────────────────────────────────


def _serve(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    run = meter.run
    match observed.phase:
        case Phase.ABSENT if run.phase in (Phase.READY, Phase.BUSY) and not _ended_in_time(
            meter, observed
        ):
            reason = observed.reason or "it was gone although nobody stopped it"
            return _failed(spec, meter, Observed(Phase.FAILED, reason), now, clear=False)
        case Phase.ABSENT if run.next_try is not None and now < run.next_try:
            return Decision(Rest(), meter, check_at=min(run.next_try, latest_close(meter)))
        case Phase.ABSENT:
            return _start(spec, meter, observed, now)
        case Phase.STARTING:
            return _starting(spec, meter, observed, now)
        case Phase.READY | Phase.BUSY:
            return _ready(spec, meter, observed, now)
        case Phase.STOPPING if run.phase is Phase.FAILED:
            return Decision(Rest(), meter, check_at=_soon(spec, meter, observed.since, now))
        case Phase.STOPPING:
            return _wait_for_the_end(spec, meter, observed, now)
        case Phase.FAILED:
            return _failed(spec, meter, observed, now, clear=True)
        case _:
            assert_never(observed.phase)


def _wait_for_the_end(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    """Time was bought while the one before is stopping: its end is part of the next start."""
    run = meter.run
    if run.phase is Phase.ABSENT:  # of that one's end it is journaled already
        again = _soon(spec, meter, observed.since, now)
        begun = replace(run, started_at=run.started_at or meter.opened_at, reason=BEFORE)
        return Decision(Rest(), replace(meter, run=begun), check_at=again)
    if run.phase is Phase.STOPPING and _is_of_an_earlier_life(meter):
        run = Run(reason=run.reason, started_at=meter.opened_at, variant=run.variant)
    elif run.ready_at is not None:  # it served until now, and somebody else stops it
        run = Run(started_at=now, variant=run.variant)
    waiting = replace(meter, run=replace(run, phase=Phase.STOPPING))
    return Decision(Rest(), waiting, check_at=_soon(spec, meter, observed.since, now))


def _is_of_an_earlier_life(meter: Meter) -> bool:
    """Whether the run began before the time that is on the meter now was bought."""
    started_at = meter.run.started_at
    return started_at is None or started_at < meter.opened_at


def _ended_in_time(meter: Meter, observed: Observed) -> bool:
    """Whether it ended before the time that is on the meter now was bought: rightly, so."""
    return observed.since is not None and observed.since <= meter.opened_at


def _start(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    run = meter.run
    entries: tuple[Entry, ...] = ()
    existed = run.phase not in (Phase.ABSENT, Phase.FAILED)
    why = run.reason if run.phase is Phase.STOPPING else ""
    if run.phase is Phase.STOPPING or (existed and _ended_in_time(meter, observed)):
        entries = (_stopped(spec, meter, run, why, observed, now),)
        if _is_of_an_earlier_life(meter):
            run = Run(started_at=meter.opened_at, variant=run.variant)
    if run.ready_at is not None:
        # It served: that life is over, and none of it was waiting for this start.
        run = Run(started_at=now, variant=run.variant)
    attempts = run.attempts + 1
    starting = Run(
        phase=Phase.STARTING,
        reason="loading" if attempts == 1 else f"attempt {attempts}",
        started_at=run.started_at or now,
        created_at=now,
        attempts=attempts,
        # Also the earliest repetition, should this intent be recorded and then not carried out.
        next_try=now + _backoff(attempts),
        variant=run.variant if run.variant in spec.variants else spec.variants[0],
        device=spec.device,
    )
    started = replace(meter, run=starting, settled=False)
    entry = new_entry(
        spec, started, Kind.START, now, starting.reason, key=f"start:{run_key(starting)}:{attempts}"
    )
    action = Start(starting.variant or spec.variants[0], latest_close(started))
    return Decision(action, started, (*entries, entry), _soon(spec, started, now, now))


def _starting(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    run = meter.run
    # What was served is no start, even if it should have to get ready once more.
    begun = now if run.ready_at is not None else observed.since or now
    started_at = begun if run.ready_at is not None else run.started_at or begun
    starting = replace(
        run,
        phase=Phase.STARTING,
        reason=observed.reason or run.reason or "loading",
        started_at=started_at,
        created_at=run.created_at or begun,
        ready_at=None,
    )
    looked_at = replace(meter, run=starting)
    again = _soon(spec, looked_at, begun, now)
    return Decision(Keep(latest_close(looked_at)), looked_at, check_at=again)


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
    again = min(meter.expires_at, now + spec.look_again)
    return Decision(Keep(meter.expires_at), replace(meter, run=run), check_at=again)


def _became_ready(spec: Spec, meter: Meter, run: Run, now: datetime) -> Decision:
    started_at = run.started_at or now
    credited, credit = _give_back(spec, meter, now)
    ready = replace(credited, run=replace(run, started_at=started_at, ready_at=now, next_try=None))
    took = f"ready after {duration(now - started_at)}"
    entry = new_entry(spec, ready, Kind.READY, now, took, key=f"ready:{run_key(ready.run)}")
    again = min(ready.expires_at, now + spec.look_again)
    return Decision(Keep(ready.expires_at), ready, (*credit, entry), again)


def _give_back(spec: Spec, meter: Meter, now: datetime) -> tuple[Meter, tuple[Entry, ...]]:
    """Put the time that a start took onto the expiry, as far as the credit goes."""
    credit = standing_still(meter, now)
    if not credit:
        return meter, ()
    credited = replace(
        meter,
        expires_at=meter.expires_at + credit,
        credit_left=meter.credit_left - credit,
        set_at=now,
        run=replace(meter.run, ready_at=now),
    )
    took = duration(now - (meter.run.started_at or now))
    why = f"the start took {took}; {duration(credit)} of it given back"
    key = f"credit:{run_key(meter.run)}"
    return credited, (new_entry(spec, credited, Kind.CREDIT, now, why, key=key, amount=credit),)


def _failed(
    spec: Spec, meter: Meter, observed: Observed, now: datetime, *, clear: bool
) -> Decision:
    """Time is left but the endpoint failed: clear it away, start again later."""
    action = Stop() if clear else Rest()
    run = meter.run
    if run.phase is Phase.FAILED:
        return Decision(action, meter, check_at=_soon(spec, meter, observed.since, now))
    served = run.ready_at is not None
    attempts = run.attempts
    if run.ready_at is not None and now - run.ready_at >= STABLE_AFTER:
        attempts = 0
    reason = observed.reason.rstrip(".") or "it failed without saying why"
    again = now + _backoff(attempts)
    failed = replace(
        meter,
        run=Run(
            phase=Phase.FAILED,
            reason=reason,
            started_at=now if served else run.started_at or now,
            attempts=attempts,
            next_try=again,
            variant=_next_variant(spec, run.variant, observed.cause),
        ),
    )
    key = failure_key(run, reason)
    entry = new_entry(spec, failed, Kind.FAILURE, now, reason, key=key)
    return Decision(action, failed, (entry,), _soon(spec, failed, now, now))


def trouble(spec: Spec, meter: Meter, reason: str, now: datetime) -> Decision:
    """The driver could not act or see: show it, try again; if it lasts, journal it once per cause.

    Where the endpoint is believed to be does not change: nothing was learnt about it.
    """
    decision = _trouble(spec, meter, reason, now)
    return warned(spec, meter, decision, now) if is_open(meter, now) else decision


def _trouble(spec: Spec, meter: Meter, reason: str, now: datetime) -> Decision:
    again = min(now + spec.look_again, latest_close(meter)) if is_open(meter, now) else now + INSIST
    run = meter.run
    if run.trouble == reason and run.trouble_at is None:
        return Decision(Rest(), meter, check_at=again)
    since = run.trouble_at or now
    if now - since < PATIENT_FOR:
        # Clouds have hiccups; nobody needs a mail about one.
        noticed = replace(meter, run=replace(run, trouble=reason, trouble_at=since))
        return Decision(Rest(), noticed, check_at=again)
    told = replace(meter, run=replace(run, trouble=reason, trouble_at=None))
    key = f"trouble:{run_key(meter.run)}:{fingerprint(reason)}"
    return Decision(
        Rest(), told, (new_entry(spec, told, Kind.FAILURE, now, reason, key=key),), again
    )


def untroubled(meter: Meter) -> Meter:
    """The driver could see and act again."""
    return replace(meter, run=replace(meter.run, trouble="", trouble_at=None))


def park(spec: Spec, meter: Meter, observed: Observed, why: str, now: datetime) -> Decision:
    """Stop the endpoint and leave the meter's time as it is; `why`: as people are told."""
    if observed.phase is Phase.ABSENT:
        if meter.run.phase is Phase.ABSENT:
            return Decision(Rest(), meter)
        credited, credit = _give_back(spec, meter, now)
        warned_at, before = meter.run.warned_at, meter.run.warned_before
        run = Run(reason=why, warned_at=warned_at, warned_before=before)
        parked = replace(credited, run=run)
        stop = _stopped(spec, parked, meter.run, why, observed, now)
        return Decision(Rest(), parked, (*credit, stop))
    stopping = replace(meter, run=replace(meter.run, phase=Phase.STOPPING, reason=why))
    if observed.phase is Phase.STOPPING:
        return Decision(Rest(), stopping, check_at=paced(spec, observed.since, now))
    return Decision(Stop(), stopping, check_at=now + INSIST)


def start_refused(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    """The driver refused the start that was just decided: nothing is there; back off."""
    decision = _failed(spec, meter, observed, now, clear=False)
    return warned(spec, meter, decision, now) if is_open(meter, now) else decision


def wait_for_device(
    spec: Spec, meter: Meter, start: Decision, reason: str, now: datetime
) -> Decision:
    """Do not start yet, although a start was decided, which is done only where nothing is there.

    The waiting is part of the start, so the meter stands still meanwhile.
    """
    began = start.meter.run.started_at or now
    run = replace(
        start.meter.run,
        phase=Phase.ABSENT,
        reason=reason,
        started_at=began,
        created_at=None,
        attempts=meter.run.attempts,
        next_try=None,
        device=None,
    )
    waiting = replace(start.meter, run=run)
    ended = tuple(entry for entry in start.entries if entry.kind is not Kind.START)
    look, ahead = paced(spec, began, now), next_warning(spec, waiting, now)
    again = min(filter(None, (look, ahead, latest_close(waiting))))
    return Decision(Rest(), waiting, ended, check_at=again)


# ── The meter is closed: the endpoint should be gone ────────────────────────────────────────────


def _end(
    spec: Spec, meter: Meter, observed: Observed, in_flight: int | None, now: datetime
) -> Decision:
    run = meter.run
    match observed.phase:
        case Phase.ABSENT:
            return _settle(spec, meter, observed, now)
        case Phase.STOPPING:
            begun = observed.since or latest_close(meter)
            # Of a settled meter the end is journaled, and this look is a moment late.
            ending = meter if meter.settled else _stopping(meter)
            return Decision(Rest(), ending, check_at=paced(spec, begun, now))
        case Phase.READY | Phase.BUSY if (
            run.phase is not Phase.STOPPING
            and in_flight != 0
            and now < (drained := meter.expires_at + spec.drain)
        ):
            look = min(drained, now + (SOON if in_flight else spec.look_again))
            return Decision(Keep(drained), meter, check_at=look)
        case Phase.STARTING | Phase.READY | Phase.FAILED | Phase.BUSY:
            # A busy endpoint refuses to be deleted: the intent stands, the next look asks again.
            action = Rest() if observed.phase is Phase.BUSY else Stop()
            return Decision(action, _stopping(meter), check_at=_while_ending(meter, now))
        case _:
            assert_never(observed.phase)


def _stopping(meter: Meter) -> Meter:
    if meter.run.phase is Phase.STOPPING:
        return meter
    run = replace(meter.run, phase=Phase.STOPPING, reason=ending(meter))
    return replace(meter, settled=False, run=run)


def _settle(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    if meter.settled:
        return Decision(Rest(), meter)
    lived = meter.run.phase not in (Phase.ABSENT, Phase.FAILED)
    settled = replace(meter, settled=True, run=Run())
    if lived:
        entry = _stopped(spec, settled, meter.run, ending(meter), observed, now)
        return Decision(Rest(), settled, (entry,))
    if _never_started(meter):
        return Decision(
            Rest(), settled, (unstarted_entry(spec, settled, latest_close(meter), now),)
        )
    return Decision(Rest(), settled)


def _never_started(meter: Meter) -> bool:
    """Whether its time passed while it waited to be started, and no line says so yet."""
    run = meter.run
    if meter.ended or meter.removed or run.phase is not Phase.ABSENT:
        return False
    was_put_off = run.reason and run.started_at is None  # parked: that was told
    return not was_put_off


def _while_ending(meter: Meter, now: datetime) -> datetime:
    overdue = now - latest_close(meter)
    return now + max(SOON, min(INSIST, overdue / 10))


def _stopped(  # noqa: PLR0913, PLR0917 (an end has these facts)
    spec: Spec, meter: Meter, run: Run, why: str, observed: Observed, now: datetime
) -> Entry:
    """The end of a run: why it was wanted, and after that what its driver says, if that is more."""
    said = observed.reason
    if said in _SAYS_NOTHING:
        said = why or "stopped"
    elif not said.startswith(why):
        said = f"{why}; {said}"
    return stop_entry(spec, meter, run, said, observed.since, now)


# ── Small rules ─────────────────────────────────────────────────────────────────────────────────


def _soon(spec: Spec, meter: Meter, begun: datetime | None, now: datetime) -> datetime:
    """When to look at an open meter again while something is under way, at its close at most."""
    return min(paced(spec, begun, now), latest_close(meter))


def paced(spec: Spec, begun: datetime | None, now: datetime) -> datetime:
    """The longer something takes, the more slowly it is looked at."""
    elapsed = now - (begun or now)
    return now + max(spec.look_again / _FIRST_LOOK, min(spec.look_again, elapsed / 10))


def _backoff(attempts: int) -> timedelta:
    """1 s, 2 s, 4 s … 5 min: what to wait after so many starts in succession."""
    doubled: int = 2 ** min(max(attempts, 1) - 1, 16)
    return min(BACKOFF_MOST, BACKOFF_FIRST * doubled)


def _next_variant(spec: Spec, variant: str | None, cause: Cause) -> str | None:
    if cause is not Cause.CAPACITY or variant not in spec.variants:
        return variant
    return spec.variants[(spec.variants.index(variant) + 1) % len(spec.variants)]
