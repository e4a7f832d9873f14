"""As much of a journal as a receipt has to know, however long the journal is."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

from parkmeter.core.journal import Entry
from parkmeter.core.timeline import tells_all

_PAGE, _FEW = 500, 50
"""Lines that are read at once: of a whole period, of the last minutes."""

_SET_BACK = timedelta(days=1)
"""A line may tell of an earlier moment than the lines before it, because somebody set the clock
back: by less than this."""


class Journal(Protocol):
    """Where lines are read: a store, or the service over it."""

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """See `ports.Store`."""


def lines_of(store: Journal, name: str, begin: datetime, end: datetime) -> list[Entry]:
    """The lines that tell of an endpoint from `begin` to `end`, oldest first.

    These go back to the last line before `begin` that left the endpoint stopped; if there is none,
    to the first. They go on to the first such line well after `end`; if there is none, to the last.
    So what is read is bounded by the period and by the lives of the meter that reach out of it.
    """
    lines: list[Entry] = []
    before = _tells_no_more(store, name, end + _SET_BACK)
    while before != 1:
        page = store.journal(name, _PAGE, before)
        for entry in page:
            lines.append(entry)
            if entry.at < begin and tells_all(entry):
                return lines[::-1]
        before = page[-1].number if page else 1
    return lines[::-1]


def lines_after(store: Journal, name: str, number: int) -> Iterator[Entry]:
    """The lines of a higher number, newest first; reads as few as are taken."""
    before = None
    while page := store.journal(name, _FEW, before):
        for entry in page:
            if entry.number <= number:
                return
            yield entry
        before = page[-1].number


def _tells_no_more(store: Journal, name: str, after: datetime) -> int | None:
    """The number of a line from which on nothing is told of a time before `after`; None: of none.

    It follows a line that left the endpoint stopped at `after` or later: whatever is told after
    that belongs to a later life.
    """
    newest = store.journal(name, 1)
    if not newest or newest[0].at < after:
        return None
    low, high = (
        0,
        newest[0].number,
    )  # by halves, because times follow numbers but for a clock's step
    while high - low > 1:
        middle = (low + high) // 2
        (line,) = store.journal(name, 1, middle + 1)
        low, high = (low, middle) if line.at >= after else (middle, high)
    while high <= newest[0].number:
        for entry in reversed(store.journal(name, _PAGE, high + _PAGE)):
            if entry.at >= after and tells_all(entry):
                return entry.number + 1
        high += _PAGE
    return None
