"""How lines of the journal are written: who, when, why, and the keys that make each unique. Pure.

A key names the life of an endpoint (since when it is being brought up), so that the same event told
twice, by one clock or by two, is the same line.
"""

from datetime import datetime, timedelta

from parkmeter.core.journal import SYSTEM, Entry, Kind, fingerprint
from parkmeter.core.meter import ZERO, Meter, Run, Spec, Status, price_of, shown, span, time_left


def line(  # noqa: PLR0913 (an entry has these facts)
    spec: Spec,
    meter: Meter,
    kind: Kind,
    now: datetime,
    why: str,
    *,
    key: str,
    who: str = SYSTEM,
    amount: timedelta = ZERO,
    request: str = "",
) -> Entry:
    """A line about a meter as it is after the change."""
    return Entry(
        endpoint=meter.name,
        kind=kind,
        at=now,
        who=who,
        why=why,
        key=key,
        expires_at=meter.expires_at,
        amount=amount,
        status=shown(meter, now).status,
        left=time_left(meter, now),
        request=request,
        variant=meter.run.variant,
        price_per_hour=price_of(spec, meter).per_hour,
    )


def stop_line(  # noqa: PLR0913, PLR0917 (an end has these facts)
    spec: Spec, meter: Meter, run: Run, why: str, ended: datetime | None, now: datetime
) -> Entry:
    """The end of a run, at the time its driver knows, or now."""
    at = min(ended or now, now)
    key = f"stop:{life(run)}:{run.attempts}"
    return line(spec, meter, Kind.STOP, at, why, key=key)


def unstarted_line(spec: Spec, meter: Meter, close: datetime, now: datetime) -> Entry:
    """The close of a meter whose endpoint was waited for in vain."""
    key, why = f"unstarted:{meter.version}", "time used up; it was never started"
    return line(spec, meter, Kind.STOP, min(close, now), why, key=key)


def warning_line(
    spec: Spec, meter: Meter, close: datetime, before: timedelta, now: datetime
) -> Entry:
    """The close is near: once per close and configured time before it."""
    key = f"warn:{close.isoformat()}:{before.total_seconds() / 60:g}"
    seen, why = shown(meter, now), f"{span(time_left(meter, now))} left"
    if seen.status is Status.FAILED:
        why += f" and it has failed: {seen.reason}"
    elif seen.status is not Status.RUNNING:
        why += f" and it does not serve yet: {seen.reason}"
    return line(spec, meter, Kind.WARNING, now, why, key=key)


def failure_key(run: Run, reason: str) -> str:
    """Unique for every attempt of a run that fails: each of them has cost something."""
    return f"failure:{life(run)}:{run.attempts}:{fingerprint(reason)}"


def cause_of(entry: Entry) -> tuple[str, str] | None:
    """What starts and failures tell, whichever attempt it was: the run, and why it failed.

    None for other lines.
    """
    if entry.kind is Kind.START and entry.key.startswith("start:"):
        return entry.key.rpartition(":")[0], ""
    if entry.kind is not Kind.FAILURE:
        return None
    run, _, cause = entry.key.rpartition(":")
    return (run.rpartition(":")[0] if run.startswith("failure:") else run), cause


def is_close_warning(entry: Entry) -> bool:
    """Whether it says that the close is near; other warnings tell of other things."""
    return entry.kind is Kind.WARNING and entry.key.startswith("warn:")


def life(run: Run) -> str:
    """Names the present life of an endpoint in keys."""
    return run.started_at.isoformat() if run.started_at else "-"
