"""The credit for a start: the time that it took goes back onto the meter, once. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from parkmeter.core.journal import Entry, Kind, new_entry, run_key
from parkmeter.core.meter import Meter, Run, Spec, standing_still, start_awaited_since
from parkmeter.core.time_text import duration

_WORTH_MENTIONING = timedelta(seconds=1)


def give_back(spec: Spec, meter: Meter, now: datetime) -> tuple[Meter, tuple[Entry, ...]]:
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
    started_at = begun_at(meter, now)
    key = f"credit:{run_key(replace(meter.run, started_at=started_at))}"
    why = _why(meter.run, started_at, credit, now)
    return credited, (new_entry(spec, credited, Kind.CREDIT, now, why, key=key, amount=credit),)


def begun_at(meter: Meter, otherwise: datetime) -> datetime:
    """Return since when this run is being brought up, else `otherwise`.

    Before the start call it counts from the opening, if there is credit for the wait.
    """
    opened_at = start_awaited_since(meter) if meter.credit_left else None
    return meter.run.started_at or opened_at or otherwise


def _why(run: Run, started_at: datetime, credit: timedelta, now: datetime) -> str:
    """Return the reason; the entry's amount is the credit."""
    took, waited = now - started_at, (run.created_at or now) - started_at
    why = f"the start took {duration(took)}"
    if run.attempts == 1 and waited >= _WORTH_MENTIONING:
        why += f", {duration(waited)} of it before its call"
    return why if credit == took else f"{why}; the credit covers {duration(credit)}"
