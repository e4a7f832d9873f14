"""As much of a journal as a receipt has to know, however long the journal is."""

from datetime import datetime
from typing import Protocol

from parkmeter.journal import Entry
from parkmeter.timeline import tells_all

_PAGE = 500
"""Lines that are read at once."""


class Journal(Protocol):
    """Where lines are read: a store, or the service over it."""

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """See `ports.Store`."""


def lines_since(store: Journal, name: str, begin: datetime) -> list[Entry]:
    """The lines of an endpoint, oldest first: all since `begin`, and those that it stands on.

    These go back to the last line before `begin` that left the endpoint stopped; if there is none,
    to the first. So what is read is bounded by the period and by the one life of the meter that
    reaches into it.
    """
    lines: list[Entry] = []
    before: int | None = None
    while before != 1:
        page = store.journal(name, _PAGE, before)
        for entry in page:
            lines.append(entry)
            if entry.at < begin and tells_all(entry):
                return lines[::-1]
        before = page[-1].number if page else 1
    return lines[::-1]
