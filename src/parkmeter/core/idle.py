"""Idle endpoints: one without prompts is ejected, and its remaining time is given back. Pure.

A part of `decide`.
"""

from dataclasses import replace
from datetime import datetime

from parkmeter.core.decision import Decision, Keep
from parkmeter.core.journal import Kind, new_entry
from parkmeter.core.meter import ZERO, Meter, Phase, Spec, time_left
from parkmeter.core.schedule import end
from parkmeter.core.time_text import duration


def idle_from(spec: Spec, meter: Meter, last_prompt: datetime | None) -> datetime | None:
    """Return when a serving endpoint will have been idle for `Spec.idle`; None: never as it is.

    A top-up counts as use: those minutes must not be given up in the next moment.
    """
    run = meter.run
    if spec.idle is None or last_prompt is None:
        return None
    if run.ready_at is None or run.phase is not Phase.READY:
        return None
    return max(run.ready_at, last_prompt, meter.set_at) + spec.idle


def at_idleness(spec: Spec, decision: Decision, idle_at: datetime, now: datetime) -> Decision:
    """Eject from `idle_at` on; before, keep the decision and look again by then.

    Only the meter is closed here. The next look stops the endpoint, and sees requests that were
    admitted meanwhile.
    """
    if now < idle_at:
        return replace(decision, check_at=min(filter(None, (decision.check_at, idle_at))))
    why = f"no prompt for {duration(spec.idle or ZERO)}"
    ejected = end(spec, decision.meter, now, why)
    given_back = time_left(decision.meter, now)
    key = f"idle:{idle_at.isoformat()}"
    entry = new_entry(spec, ejected, Kind.EJECT, now, why, key=key, amount=-given_back)
    drained = ejected.expires_at + spec.drain
    return Decision(Keep(drained), ejected, (*decision.entries, entry), check_at=now)
