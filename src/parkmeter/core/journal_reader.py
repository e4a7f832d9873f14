"""The parts of a journal that a question needs, however long the journal is.

Every function reads the marks beside the moments in question and the lines between them; see
`ledger`. Without marks, in a journal that has none yet, it reads all lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from parkmeter.core.journal import Entry
from parkmeter.core.ledger import EVERY, Mark, Position, Price, PricedRun, Segment, Sums
from parkmeter.core.meter import NEVER
from parkmeter.core.receipt import Receipt, receipt_between
from parkmeter.core.status_history import NOT_YET, Showing
from parkmeter.core.timeline import leaves_stopped

_PAGE, _TAIL, _FEW = 500, EVERY, 50
"""Entries read at once: of a period, after the last mark, of the last minutes."""

MOST_LINES = 20_000
"""Lines of one timeline, a day of a line every four seconds; a longer one begins later."""


class Journal(Protocol):
    """The source of entries: a store, or the service over it; see `ports.Store`."""

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]: ...  # noqa: D102

    def marks(self, name: str, moment: datetime | None) -> tuple[Mark | None, Mark | None]: ...  # noqa: D102

    def past_runs(self, name: str, begin: datetime, end: datetime) -> Sequence[PricedRun]: ...  # noqa: D102


def lines_between(
    store: Journal, name: str, after: int, upto: int | None, most: int | None = None
) -> list[Entry]:
    """Return the entries numbered above `after` up to `upto`, oldest first.

    `upto` None: up to the last one. With `most` only the newest of them.
    """
    found: list[Entry] = []
    before = None if upto is None else upto + 1
    while before is None or before > after + 1:
        limit = _TAIL if before is None else min(_PAGE, before - after - 1)
        page = store.journal(name, limit, before)
        found += (entry for entry in page if entry.number > after)
        if not page or page[-1].number <= after or len(found) >= (most or len(found) + 1):
            break
        before = page[-1].number
    return found[:most][::-1]


def lines_after(store: Journal, name: str, number: int) -> Iterator[Entry]:
    """Yield the entries of a higher number, newest first; reads as few as are taken."""
    before = None
    while page := store.journal(name, _FEW, before):
        for entry in page:
            if entry.number <= number:
                return
            yield entry
        before = page[-1].number


def position(store: Journal, name: str, moment: datetime, price: Price) -> Position:
    """Return the sums of a journal up to a moment. `price`: used where no entry has one.

    Where the lines of a day are gone, its sums are all there is: the position is at its end.
    """
    return _Reading(store, name, price).position(moment)


def receipt_of(
    store: Journal, name: str, price: Price, begin: datetime | None, end: datetime
) -> Receipt:
    """Return the receipt from `begin` (None, or before it: the first entry) to `end`.

    A begin or an end in a day whose lines are gone is moved to the end of that day.
    """
    reading = _Reading(store, name, price)
    last = reading.position(end)
    origin = last.at if last.origin == NEVER else min(last.origin, last.at)
    first = reading.position(origin if begin is None else max(begin, origin))
    ended = [*store.past_runs(name, first.at, last.at), *last.ended]
    return receipt_between(name, price, first, last, ended)


class _Reading:
    """The positions of one journal; lines between the same marks are read once."""

    def __init__(self, store: Journal, name: str, price: Price) -> None:
        self._store = store
        self._name = name
        self._price = price
        self._between: tuple[int, int | None] | None = None
        self._segment = Segment(None, (), price)

    def position(self, moment: datetime) -> Position:
        """Return the sums up to a moment, or to the end of its day."""
        before, after = self._store.marks(self._name, moment)
        if _lines_gone(before, after):
            if after is None or moment <= after.origin:
                origin = moment if after is None else after.origin
                return Position(moment, origin, Sums(), None, (), self._price)
            sums, run, runs = after.sums, after.run, after.runs
            return Position(after.at, after.origin, sums, run, runs, self._price)
        between = (_number(before), None if after is None else after.number)
        if between != self._between:
            lines = lines_between(self._store, self._name, *between)
            self._segment = Segment(before, lines, self._price)
            self._between = between
        return self._segment.position(moment)


def lived_before(store: Journal, entry: Entry) -> Sums:
    """Return the sums up to an entry by what was known then: from earlier entries and itself."""
    before = _replayed_from(store.marks(entry.endpoint, entry.at)[0])
    upto = entry.number - 1 if leaves_stopped(entry) else entry.number
    lines = lines_between(store, entry.endpoint, _number(before), upto)
    return Segment(before, lines, entry.price_per_hour).position(entry.at).sums


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines that concern a period, oldest first, and what was shown before them.

    `begin`: that of the period, or later if not all lines could be had.
    """

    begin: datetime
    showing: Showing
    entries: Sequence[Entry]


def lines_of(store: Journal, name: str, begin: datetime, end: datetime) -> Lines:
    """Return the entries that concern an endpoint from `begin` to `end`, `MOST_LINES` at most."""
    before, after = store.marks(name, end)
    if _lines_gone(before, after):
        return Lines(end, NOT_YET, ())
    upto = None if after is None else after.number
    before = _replayed_from(store.marks(name, begin)[0])
    entries = lines_between(store, name, _number(before), upto, MOST_LINES)
    if entries and entries[0].number > _number(before) + 1:
        return Lines(max(begin, min(entries[0].at, end)), NOT_YET, entries)
    return Lines(begin, NOT_YET if before is None else before.showing, entries)


def _lines_gone(before: Mark | None, after: Mark | None) -> bool:
    """Return whether the lines between two neighbouring marks are gone."""
    if before is None:
        return after is not None and after.lasting
    return before.standing is None


def _replayed_from(mark: Mark | None) -> Mark | None:
    return None if mark is None or mark.standing is None else mark


def _number(mark: Mark | None) -> int:
    return 0 if mark is None else mark.number
