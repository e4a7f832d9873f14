"""The marks of journals (`core.ledger`) in one table of the local gateway's store.

A commit drops the marks that its entry undoes and adds those that fall due, in its transaction.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from parkmeter.core.journal import Entry
from parkmeter.core.ledger import EVERY, Mark, PricedRun, is_due, next_mark
from parkmeter.stores.marks import body_of, read_mark, read_runs, runs_of
from parkmeter.stores.records import sortable
from parkmeter.stores.sqlite_file import SqliteFile
from parkmeter.stores.sqlite_rows import reading, value_of

_COLUMNS = "SELECT body, runs, lasting FROM marks WHERE endpoint = ?"
_NEWEST = f"{_COLUMNS} ORDER BY at DESC, number DESC LIMIT 1"
_BEFORE = f"{_COLUMNS} AND at < ? ORDER BY at DESC, number DESC LIMIT 1"
_AFTER = f"{_COLUMNS} AND at >= ? ORDER BY at, number LIMIT 1"

# Not the last line, from whose number the next is counted, nor what a follower has yet to read.
_FORGET = """
    DELETE FROM journal WHERE endpoint = ?1 AND number IN (
        SELECT number FROM journal
        WHERE endpoint = ?1 AND number <= ?2
        AND number < (SELECT max(number) FROM journal WHERE endpoint = ?1)
        AND number NOT IN (
            SELECT number FROM posted
            WHERE endpoint = ?1 AND place > (SELECT min(place) FROM followers)
        )
        ORDER BY number LIMIT ?3
    )
"""


class SqliteMarks:
    """The part of `ports.Store` that concerns marks."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def marks(self, name: str, moment: datetime | None) -> tuple[Mark | None, Mark | None]:
        """See `ports.Store`."""
        if moment is None:
            return _mark(self._file.one(_NEWEST, name)), None
        at = sortable(moment)
        return _mark(self._file.one(_BEFORE, name, at)), _mark(self._file.one(_AFTER, name, at))

    def past_runs(self, name: str, begin: datetime, end: datetime) -> list[PricedRun]:
        """See `ports.Store`."""
        rows = self._file.all(
            "SELECT runs FROM marks WHERE endpoint = ? AND at >= ? AND at < ?"
            " AND runs IS NOT NULL ORDER BY at, number",
            name,
            sortable(begin),
            sortable(end),
        )
        with reading("mark"):
            return [run for (runs,) in rows for run in read_runs(runs)]

    def add_marks(self, name: str, marks: Sequence[Mark], last: int) -> bool:
        """See `ports.Store`."""

        def change(connection: sqlite3.Connection) -> bool:
            if last_number(connection, name) != last:
                return False
            for mark in marks:
                _put(connection, name, mark)
            return True

        return self._file.write(change)

    def close_days(self, name: str, days: Sequence[Mark], base: Mark) -> bool:
        """See `service.journal_keeper.Shortened`."""

        def change(connection: sqlite3.Connection) -> bool:
            known = connection.execute(
                "SELECT 1 FROM marks WHERE endpoint = ? AND at = ? AND number = ?",
                (name, sortable(base.at), base.number),
            )
            if known.fetchone() is None:
                return False
            connection.execute(
                "DELETE FROM marks WHERE endpoint = ? AND number > 0"
                " AND (at < ? OR at = ? AND number < ?)",
                (name, sortable(base.at), sortable(base.at), base.number),
            )
            for mark in (*days, base):
                _put(connection, name, mark)
            return True

        return self._file.write(change)

    def forget(self, name: str, upto: int, limit: int) -> int:
        """See `service.journal_keeper.Shortened`."""
        return self._file.write(
            lambda connection: connection.execute(_FORGET, (name, upto, limit)).rowcount
        )


def mark_after(connection: sqlite3.Connection, entry: Entry, number: int) -> None:
    """Keep the marks in step with an entry that was added under this number."""
    name = entry.endpoint
    connection.execute(
        "DELETE FROM marks WHERE endpoint = ? AND at > ? AND lasting = 0",
        (name, sortable(entry.at)),
    )
    if number % EVERY:  # nearly always
        return
    newest = _mark(connection.execute(_NEWEST, (name,)).fetchone())
    if not is_due(number, newest):
        return
    after = 0 if newest is None else newest.number
    rows = connection.execute(
        "SELECT body, number FROM journal WHERE endpoint = ? AND number > ? ORDER BY number",
        (name, after),
    ).fetchall()
    mark = next_mark(newest, [value_of(Entry, body, number=line) for body, line in rows])
    if mark is not None:
        _put(connection, name, mark)


def last_number(connection: sqlite3.Connection, name: str) -> int:
    """Return the number of an endpoint's last entry, 0 without any."""
    (last,) = connection.execute(
        "SELECT coalesce(max(number), 0) FROM journal WHERE endpoint = ?", (name,)
    ).fetchone()
    return int(last)


def _put(connection: sqlite3.Connection, name: str, mark: Mark) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO marks (endpoint, at, number, lasting, body, runs)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (name, sortable(mark.at), mark.number, mark.lasting, body_of(mark), runs_of(mark)),
    )


def _mark(row: tuple[str, str | None, int] | None) -> Mark | None:
    if row is None:
        return None
    body, runs, lasting = row
    with reading("mark"):
        return read_mark(body, runs, lasting=bool(lasting))
