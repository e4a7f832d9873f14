"""The part of a journal that a receipt needs, however long the journal is."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

from parkmeter.core.journal import Entry
from parkmeter.core.timeline import leaves_stopped

_PAGE, _FEW = 500, 50
"""Entries read at once: of a whole period, of the last minutes."""

_SET_BACK = timedelta(days=1)
"""The most by which an entry may be of an earlier moment than the one before it: a clock may be set
back."""


class Journal(Protocol):
    """The source of entries: a store, or the service over it."""

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """See `ports.Store`."""


def lines_of(store: Journal, name: str, begin: datetime, end: datetime) -> list[Entry]:
    """Return the entries that concern an endpoint from `begin` to `end`, oldest first.

    They go back to the last entry before `begin` that left the endpoint stopped, or to the first,
    and forward to the first such entry well after `end`, or to the last. So the amount read is
    bounded by the period and the runs that reach out of it.
    """
    lines: list[Entry] = []
    before = _end_of_interest(store, name, end + _SET_BACK)
    while before != 1:
        page = store.journal(name, _PAGE, before)
        for entry in page:
            lines.append(entry)
            if entry.at < begin and leaves_stopped(entry):
                return lines[::-1]
        before = page[-1].number if page else 1
    return lines[::-1]


def lines_after(store: Journal, name: str, number: int) -> Iterator[Entry]:
    """Yield the entries of a higher number, newest first; reads as few as are taken."""
    before = None
    while page := store.journal(name, _FEW, before):
        for entry in page:
            if entry.number <= number:
                return
            yield entry
        before = page[-1].number


def _end_of_interest(store: Journal, name: str, after: datetime) -> int | None:
    """Return the number of the first entry after which none concerns a time before `after`.

    None: there is none. It follows an entry that left the endpoint stopped at `after` or later:
    later entries belong to later runs.
    """
    newest = store.journal(name, 1)
    if not newest or newest[0].at < after:
        return None
    low, high = 0, newest[0].number
    # By halves, because times follow numbers except for a clock's step.
    while high - low > 1:
        middle = (low + high) // 2
        (line,) = store.journal(name, 1, middle + 1)
        low, high = (low, middle) if line.at >= after else (middle, high)
    while high <= newest[0].number:
        for entry in reversed(store.journal(name, _PAGE, high + _PAGE)):
            if entry.at >= after and leaves_stopped(entry):
                return entry.number + 1
        high += _PAGE
    return None
