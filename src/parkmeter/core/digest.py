"""Many top-ups in a short time as one message, for receivers that people read. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from parkmeter.core.events import Event
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import ZERO
from parkmeter.core.time_text import rounded

WITHIN = timedelta(minutes=1)
"""After a message of a top-up the next ones are collected for this long, and are one message."""

_NAMES = 3
"""People named; the journal has them all."""


def may_wait(entry: Entry) -> bool:
    """Return whether an entry may be collected with others of its endpoint."""
    return entry.kind is Kind.TOP_UP


def digest(last: Event, entries: Sequence[Entry]) -> Event:
    """Return one event for these top-ups, in order, of which `last` is the last one's event.

    It has the time that all of them added, and the expiry that resulted.
    """
    if len(entries) < 2:  # noqa: PLR2004 (one needs no digest)
        return last
    names = list(dict.fromkeys(entry.who for entry in entries))
    by = ", ".join(names[:_NAMES])
    if len(names) > _NAMES:
        by += f" and {len(names) - _NAMES} more"
    took = entries[-1].at - entries[0].at
    why = f"{len(entries)} top-ups " + (f"in {rounded(took)}" if took > ZERO else "at once")
    return replace(last, by=by, added=sum((one.amount for one in entries), ZERO), why=why)
