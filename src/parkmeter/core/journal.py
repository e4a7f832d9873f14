"""The journal: who did what to a meter, when, why, and the expiry that resulted. Pure.

Entries are append-only. Each has a key that is unique per endpoint for `KEY_LIFETIME`: that is how
a repeated request, a repeated tick and two clocks at once all come to "once only".
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from parkmeter.core.meter import ZERO, Meter, Run, Spec, Status, price_of, time_left
from parkmeter.core.status import shown
from parkmeter.core.time_text import duration

KEY_LIFETIME = timedelta(days=7)
"""The time for which an idempotency key stands for the request it came with."""

SYSTEM = "parkmeter"
"""The `who` of everything that no person requested."""

OPERATOR = "operator"
"""The `who` of a change made by hand around parkmeter, where no name is known."""

LINK = "link in a warning"
"""The `who` of a top-up by such a link, which needs no token."""


class Kind(StrEnum):
    """The kind of change that an entry records."""

    TOP_UP = "top-up"
    CREDIT = "credit"
    EJECT = "eject"
    START = "start"
    READY = "ready"
    STOP = "stop"
    FAILURE = "failure"
    WARNING = "warning"
    CLOCK = "clock"
    EDIT = "edit"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal.

    `expires_at` is the expiry after this entry and `amount` the time it added (negative: gave up).
    `status` and `left` are as shown at `at`, so that a replayed request gets the same answer
    as the first time. `request` is the fingerprint of the request that caused it. `number` is given
    by the store: it grows with every entry of an endpoint.
    """

    endpoint: str
    kind: Kind
    at: datetime
    who: str
    why: str
    key: str
    expires_at: datetime
    amount: timedelta = timedelta(0)
    status: str = ""
    left: timedelta = timedelta(0)
    request: str = ""
    variant: str | None = None
    price_per_hour: Decimal | None = None
    number: int = 0


def fingerprint(*parts: object) -> str:
    """Return a short digest of a request or a cause; equal parts give equal digests."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


# ── Making entries, and the keys that make each unique ──────────────────────────────────────────
# A key names the run (since when the endpoint is being brought up), so that one event reported
# twice, by one clock or by two, is one entry.


def new_entry(  # noqa: PLR0913 (an entry has these facts)
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
    """Return an entry about a meter as it is after the change."""
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


def stop_entry(  # noqa: PLR0913, PLR0917 (an end has these facts)
    spec: Spec, meter: Meter, run: Run, why: str, ended: datetime | None, now: datetime
) -> Entry:
    """Return the entry for the end of a run, at the time that its driver knows, or now."""
    at = min(ended or now, now)
    key = f"stop:{run_key(run)}:{run.attempts}"
    return new_entry(spec, meter, Kind.STOP, at, why, key=key)


def unstarted_entry(spec: Spec, meter: Meter, close: datetime, now: datetime) -> Entry:
    """Return the entry for the close of a meter whose endpoint was never started."""
    key, why = f"unstarted:{meter.version}", "time used up; it was never started"
    return new_entry(spec, meter, Kind.STOP, min(close, now), why, key=key)


def warning_entry(
    spec: Spec, meter: Meter, close: datetime, before: timedelta, now: datetime
) -> Entry:
    """Return the warning that the close is near: once per close and configured time before it."""
    key = f"warn:{close.isoformat()}:{before.total_seconds() / 60:g}"
    seen, why = shown(meter, now), f"{duration(time_left(meter, now))} left"
    if seen.status is Status.FAILED:
        why += f" and it has failed: {seen.reason}"
    elif seen.status is not Status.RUNNING:
        why += f" and it does not serve yet: {seen.reason}"
    return new_entry(spec, meter, Kind.WARNING, now, why, key=key)


def failure_key(run: Run, reason: str) -> str:
    """Return a key that is unique for every failed attempt: each of them has cost something."""
    return f"failure:{run_key(run)}:{run.attempts}:{fingerprint(reason)}"


def cause_of(entry: Entry) -> tuple[str, str] | None:
    """Return the run of a start or failure, and the cause of a failure, the same for all attempts.

    None for other entries.
    """
    if entry.kind is Kind.START and entry.key.startswith("start:"):
        return entry.key.rpartition(":")[0], ""
    if entry.kind is not Kind.FAILURE:
        return None
    run, _, cause = entry.key.rpartition(":")
    return (run.rpartition(":")[0] if run.startswith("failure:") else run), cause


def is_close_warning(entry: Entry) -> bool:
    """Return whether a warning is of the close; there are warnings of other things."""
    return entry.kind is Kind.WARNING and entry.key.startswith("warn:")


def run_key(run: Run) -> str:
    """Return the name of the present run in keys."""
    return run.started_at.isoformat() if run.started_at else "-"
