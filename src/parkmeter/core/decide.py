"""The next step for one endpoint, by its meter, the driver's observation and the time. Pure.

Level-triggered: `decide` may be called at any time and any number of times. Together with
`decide_open` and `decide_closed` it is the only code that writes a meter's `run`. The caller
commits the decided meter first and acts then (intent before action).
"""

from dataclasses import replace
from datetime import datetime, timedelta

from parkmeter.core.close_warnings import next_warning, warned
from parkmeter.core.decide_closed import decide_closed
from parkmeter.core.decide_open import decide_open, failed
from parkmeter.core.decision import Decision, Observed, Rest
from parkmeter.core.idle import at_idleness, idle_from
from parkmeter.core.journal import Kind, fingerprint, new_entry, run_key
from parkmeter.core.meter import Meter, Phase, Spec, is_open, latest_close
from parkmeter.core.pacing import INSIST, paced
from parkmeter.core.schedule import at_change_of_hours

PATIENT_FOR = timedelta(seconds=10)
"""Trouble that passes within this time is shown and not journaled."""


def decide(  # noqa: PLR0913, PLR0917 (the facts a decision depends on)
    spec: Spec,
    meter: Meter,
    observed: Observed,
    in_flight: int | None,
    now: datetime,
    last_prompt: datetime | None = None,
) -> Decision:
    """Decide the next step for one endpoint.

    `in_flight`: requests being answered; None where that is not known, then the drain is a fixed
    delay. `last_prompt`: as `Gate.last_prompt`; None: no endpoint counts as idle.
    """
    if not is_open(meter, now):
        return decide_closed(spec, meter, observed, in_flight, now)
    if changed := at_change_of_hours(spec, meter, now):
        return changed
    decision = decide_open(spec, meter, observed, now)
    idle_at = idle_from(spec, decision.meter, last_prompt)
    if idle_at is not None:
        decision = at_idleness(spec, decision, idle_at, now)
    return _with_warning(spec, meter, decision, decision.meter, now)


def trouble(spec: Spec, meter: Meter, reason: str, now: datetime) -> Decision:
    """Decide what follows when the driver could not observe or act: show it, retry.

    If it lasts, it is journaled once per cause. The phase stays: nothing was learnt about it.
    """
    return _with_warning(spec, meter, _trouble(spec, meter, reason, now), meter, now)


def start_refused(spec: Spec, meter: Meter, observed: Observed, now: datetime) -> Decision:
    """Decide what follows when the driver refused the decided start: back off."""
    decision = failed(spec, meter, observed, now, clear=False)
    return _with_warning(spec, meter, decision, meter, now)


def untroubled(meter: Meter) -> Meter:
    """Return the meter without the trouble of a driver that can observe and act again."""
    return replace(meter, run=replace(meter.run, trouble="", trouble_at=None))


def wait_for_device(
    spec: Spec, meter: Meter, start: Decision, reason: str, now: datetime
) -> Decision:
    """Replace the decided `start` by waiting for the device.

    The wait is part of the start, so the meter stands still meanwhile.
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
    looks = (paced(spec, began, now), next_warning(spec, waiting, now), latest_close(waiting))
    return Decision(Rest(), waiting, ended, check_at=min(filter(None, looks)))


def _trouble(spec: Spec, meter: Meter, reason: str, now: datetime) -> Decision:
    look = min(now + spec.look_again, latest_close(meter)) if is_open(meter, now) else now + INSIST
    run = meter.run
    if run.trouble == reason and run.trouble_at is None:
        return Decision(Rest(), meter, check_at=look)
    since = run.trouble_at or now
    if now - since < PATIENT_FOR:
        # Providers have hiccups that are no reason for a mail.
        noticed = replace(meter, run=replace(run, trouble=reason, trouble_at=since))
        return Decision(Rest(), noticed, check_at=look)
    lasting = replace(meter, run=replace(run, trouble=reason, trouble_at=None))
    key = f"trouble:{run_key(run)}:{fingerprint(reason)}"
    entry = new_entry(spec, lasting, Kind.FAILURE, now, reason, key=key)
    return Decision(Rest(), lasting, (entry,), look)


def _with_warning(
    spec: Spec, read: Meter, decision: Decision, judged: Meter, now: datetime
) -> Decision:
    """Add the warning that is due, if the `judged` meter is open."""
    return warned(spec, read, decision, now) if is_open(judged, now) else decision
