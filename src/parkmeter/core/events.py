"""Notification events: the value, its JSON form and its text form. Pure.

An event is made from a journal entry. It has who did what and the cost; never a token, never where
something is hosted.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from parkmeter.core.journal import SYSTEM, Entry, Kind, cause_of, fingerprint, is_close_warning
from parkmeter.core.meter import NEVER, ZERO, Status
from parkmeter.core.money import about, written
from parkmeter.core.time_text import iso, rounded, utc

EVENTS = (Kind.WARNING, Kind.START, Kind.READY, Kind.FAILURE, Kind.STOP, Kind.TOP_UP)
"""The kinds of entries that are published."""

MAILED = (*EVENTS, Kind.EDIT, Kind.REMOVE)
"""The kinds mailed on AWS, where expiries are edited and stacks destroyed past the API."""

ToLocal = Callable[[datetime], datetime]
"""Converts a moment to the reader's zone; by default that of this machine."""


@dataclass(frozen=True, slots=True)
class Extension:
    """The one link that a warning carries: opened and confirmed, it adds these minutes."""

    url: str
    minutes: float


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one endpoint.

    `id` is the same for every delivery. `expires_at` is the expiry afterwards, None if the meter
    never held time, and `left` the time until then; `added` the time put on the meter or, negative,
    given up. `spent`: dollars for the present or last run, up to `at`. `closing`: it warns that the
    close is near. Unknown values are None, never zero.
    """

    id: str
    kind: Kind
    endpoint: str
    at: datetime
    by: str
    why: str
    status: str
    expires_at: datetime | None
    left: timedelta
    added: timedelta = ZERO
    price_per_hour: Decimal | None = None
    spent: Decimal | None = None
    closing: bool = False
    extension: Extension | None = None

    @property
    def closes_at(self) -> datetime | None:
        """Return the close that this warns of; None if it does not.

        It is the expiry, or later for a start that has used up its credit.
        """
        return self.at + self.left if self.closing else None

    @classmethod
    def of(
        cls, entry: Entry, spent: Decimal | None = None, extension: Extension | None = None
    ) -> "Event":
        """Return the event of a journal entry."""
        return cls(
            # An endpoint's key may recur after some days, and another's may be the same.
            id=fingerprint(entry.endpoint, entry.key, entry.at.isoformat()),
            kind=entry.kind,
            endpoint=entry.endpoint,
            at=entry.at.astimezone(UTC),
            by=entry.who,
            why=entry.why,
            status=entry.status,
            expires_at=None if entry.expires_at == NEVER else entry.expires_at.astimezone(UTC),
            left=entry.left,
            added=entry.amount,
            price_per_hour=entry.price_per_hour,
            spent=spent,
            closing=is_close_warning(entry),
            extension=extension,
        )


def already_published(entry: Entry, earlier: Iterable[Entry]) -> bool:
    """Return whether a start or failure repeats one of `earlier` entries: same run, same cause.

    Each attempt is journaled, because it costs; a start and a cause are published once.
    """
    cause = cause_of(entry)
    return cause is not None and any(cause_of(line) == cause for line in earlier)


def title(event: Event) -> str:
    """Return one line: the endpoint and what happened to it."""
    match event.kind:
        case Kind.WARNING if event.closing:
            what = _NOT_SERVING.get(event.status, "stops in")
            return f"{event.endpoint} {what} {rounded(event.left)}"
        case Kind.WARNING:
            return f"{event.endpoint} needs a look"
        case Kind.START:
            return f"{event.endpoint} is starting"
        case Kind.READY:
            return f"{event.endpoint} is running"
        case Kind.FAILURE:
            return f"{event.endpoint} failed"
        case Kind.STOP:
            return f"{event.endpoint} has stopped"
        case Kind.TOP_UP:
            return f"{event.by} added {rounded(event.added)} to {event.endpoint}"
        case Kind.EDIT:
            return f"{event.endpoint} has a new expiry"
        case Kind.REMOVE:
            return f"{event.endpoint} is being removed"
        case _:
            return f"{event.endpoint}: {event.kind}"


def text(event: Event, local: ToLocal = datetime.astimezone) -> str:
    """Return some lines for people: the reason first; a warning's link last."""
    lines = [event.why] if event.why else []
    lines.append(f"At: {_moment(event.at, local)}")
    if event.by != SYSTEM:
        lines.append(f"By: {event.by}")
    if event.closes_at is not None and event.status in _NOT_SERVING:
        lines.append(f"Closes at: {_moment(event.closes_at, local)}")
    elif event.expires_at is not None and event.left:
        lines.append(f"On until: {_moment(event.expires_at, local)}")
    if event.kind is not Kind.STOP:  # it no longer costs, and the next may have another price
        price = "unknown" if event.price_per_hour is None else written(event.price_per_hour)
        lines.append(f"An hour costs: {price}")
    if event.spent is not None:
        lines.append(f"Spent so far: {about(event.spent)}")
    if event.extension is not None:
        minutes = rounded(timedelta(minutes=event.extension.minutes))
        lines.append(f"Add {minutes}: {event.extension.url}")
    return "\n".join(lines)


def document(event: Event, local: ToLocal = datetime.astimezone) -> dict[str, Any]:
    """Return the event as JSON for programs; money is text, as JSON's numbers are not exact."""
    made: dict[str, Any] = {
        "id": event.id,
        "type": event.kind.value,
        "endpoint": event.endpoint,
        "at": iso(event.at),
        "by": event.by,
        "why": event.why,
        "status": event.status,
        "expires_at": None if event.expires_at is None else iso(event.expires_at),
        "expires_at_local": (
            None if event.expires_at is None else local(event.expires_at).isoformat()
        ),
        "seconds_left": event.left.total_seconds(),
        "minutes": event.added.total_seconds() / 60,
        "price_per_hour": _money(event.price_per_hour),
        "spent": _money(event.spent),
        "title": title(event),
        "text": text(event, local),
    }
    if event.closes_at is not None:
        made["closes_at"] = iso(event.closes_at)
    if event.extension is not None:
        made["extend_url"] = event.extension.url
        made["extend_minutes"] = event.extension.minutes
    return made


def _moment(moment: datetime, local: ToLocal) -> str:
    """Return a moment in UTC and, if that is another one, in the reader's zone."""
    here = local(moment)
    return f"{utc(moment)} ({here:%H:%M:%S %Z})" if here.utcoffset() else utc(moment)


def _money(dollars: Decimal | None) -> str | None:
    return None if dollars is None else f"{dollars:f}"


_YET = "does not serve yet, and its time ends in"
_NOT_SERVING: dict[str, str] = {
    Status.FAILED: "has failed, and its time ends in",
    Status.STARTING: _YET,
    Status.STOPPING: _YET,
}
"""Titles of warnings for an endpoint that does not serve while its time runs."""
