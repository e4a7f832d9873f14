"""The store of the local gateway: meters, journal and tokens in one SQLite file.

Exclusion is by SQLite's transactions, of which one writer at a time has one, from any thread or
process. `sqlite_file` owns the file and commits the transactions.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from parkmeter.core.audit import Record
from parkmeter.core.device import Claim
from parkmeter.core.journal import KEY_LIFETIME, Entry
from parkmeter.core.ledger import Mark, PricedRun
from parkmeter.core.meter import Meter
from parkmeter.core.tokens import Token
from parkmeter.errors import OverBudgetError, StoreBusyError
from parkmeter.ports import Budget, DuplicateError, Posted, StaleError
from parkmeter.stores.records import sortable, written
from parkmeter.stores.sqlite_access import SqliteAccess
from parkmeter.stores.sqlite_file import SqliteFile
from parkmeter.stores.sqlite_marks import SqliteMarks, last_number, mark_after
from parkmeter.stores.sqlite_requests import SqliteRequests
from parkmeter.stores.sqlite_rows import value_of

_SPENT_KEPT = timedelta(days=2)
"""A token's minutes of a day are needed on that day, or the next if the clock is set back."""

_POSTED = (
    "SELECT place, body, number FROM posted JOIN journal USING (endpoint, number)"
    " WHERE place > ? ORDER BY place LIMIT ?"
)

# Up to the place before the newest, which stays: the next place is counted from it.
_PASSED_BY_ALL = (
    "DELETE FROM posted WHERE place IN (SELECT place FROM posted WHERE place <="
    " (SELECT coalesce(min(place), ?) FROM followers) ORDER BY place LIMIT 4)"
)

_Read = tuple[str, Meter]
"""The text of a row, and the meter that it is: most are read again far more often than changed."""


class SqliteStore:
    """Implements `ports.Store` and `ports.Outbox` on one file, created with mode 0600.

    `requests` is a `ports.RequestBook` on the same file.

    Raises:
        ConfigError: a newer parkmeter wrote the file, it is no SQLite file, or it is damaged.

    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path)
        self._access = SqliteAccess(self._file)
        self._marks = SqliteMarks(self._file)
        self._read: dict[str, _Read] = {}
        self.requests = SqliteRequests(self._file)

    def probe(self) -> None:
        """Go through an empty change; raise StoreBusyError if none could be committed now."""
        self._file.write(lambda _connection: None)

    def load(self, name: str) -> Meter:
        """See `ports.Store`."""
        row = self._file.one("SELECT body, version FROM meters WHERE name = ?", name)
        return self._meter(name, *row) if row else Meter(name)

    def meters(self, names: Collection[str]) -> dict[str, Meter]:
        """See `ports.Store`."""
        # As one value, because SQLite limits the number of values in a statement.
        rows = self._file.all(
            "SELECT name, body, version FROM meters WHERE name IN (SELECT value FROM json_each(?))",
            json.dumps(list(names)),
        )
        found = {row[0]: self._meter(*row) for row in rows}
        return {name: found.get(name) or Meter(name) for name in names}

    def holder(self, device: str) -> str | None:
        """See `ports.Store`."""
        row = self._file.one("SELECT holder FROM devices WHERE name = ?", device)
        return row[0] if row else None

    def unsettled(self) -> Iterable[str]:
        """See `ports.Store`."""
        return [name for (name,) in self._file.all("SELECT name FROM meters WHERE settled = 0")]

    def commit(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None = None,
        claim: Claim | None = None,
    ) -> Meter:
        """See `ports.Store`."""
        committed = replace(meter, version=meter.version + 1)
        body = written(committed)

        def change(connection: sqlite3.Connection) -> None:
            for entry in entries:
                _refuse_duplicate(connection, entry)
            _put_meter(connection, committed, body)
            if claim is not None:
                _take_device(connection, claim, meter.name)
            if budget is not None:
                _spend(connection, budget)
            for entry in entries:
                _append(connection, entry)

        self._file.write(change)
        self._read[meter.name] = body, committed
        return committed

    def entry(self, name: str, key: str, since: datetime) -> Entry | None:
        """See `ports.Store`."""
        with self._file.connection() as connection:
            return _entry_of_key(connection, name, key, since)

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """See `ports.Store`."""
        rows = self._file.all(
            "SELECT body, number FROM journal WHERE endpoint = ? AND number < ?"
            " ORDER BY number DESC LIMIT ?",
            name,
            (1 << 62) if before is None else before,
            limit,
        )
        return [_entry(*row) for row in rows]

    def marks(self, name: str, moment: datetime | None) -> tuple[Mark | None, Mark | None]:
        """See `ports.Store`."""
        return self._marks.marks(name, moment)

    def past_runs(self, name: str, begin: datetime, end: datetime) -> list[PricedRun]:
        """See `ports.Store`."""
        return self._marks.past_runs(name, begin, end)

    def add_marks(self, name: str, marks: Sequence[Mark], last: int) -> bool:
        """See `ports.Store`."""
        return self._marks.add_marks(name, marks, last)

    def close_days(self, name: str, days: Sequence[Mark], base: Mark) -> bool:
        """See `service.journal_keeper.Shortened`."""
        return self._marks.close_days(name, days, base)

    def forget(self, name: str, upto: int, limit: int) -> int:
        """See `service.journal_keeper.Shortened`."""
        return self._marks.forget(name, upto, limit)

    def follow(self, followers: Collection[str]) -> dict[str, int]:
        """See `ports.Outbox`."""
        names = list(dict.fromkeys(followers))

        def change(connection: sqlite3.Connection) -> dict[str, int]:
            connection.execute(
                "DELETE FROM followers WHERE name NOT IN (SELECT value FROM json_each(?))",
                (json.dumps(names),),
            )
            connection.executemany(
                "INSERT INTO followers (name, place)"
                " SELECT ?, coalesce(max(place), 0) FROM posted WHERE true ON CONFLICT DO NOTHING",
                [(name,) for name in names],
            )
            return dict(connection.execute("SELECT name, place FROM followers").fetchall())

        return self._file.write(change)

    def posted(self, after: int, limit: int) -> list[Posted]:
        """See `ports.Outbox`."""
        rows = self._file.all(_POSTED, after, limit)
        return [Posted(place, _entry(body, number)) for place, body, number in rows]

    def passed(self, follower: str, place: int) -> None:
        """See `ports.Outbox`."""
        query = "UPDATE followers SET place = ? WHERE name = ?"
        self._file.write(lambda connection: connection.execute(query, (place, follower)))

    def leave(self, follower: str) -> None:
        """See `ports.Outbox`."""
        query = "DELETE FROM followers WHERE name = ?"
        self._file.write(lambda connection: connection.execute(query, (follower,)))

    def tokens(self) -> list[Token]:
        """See `ports.Store`."""
        return self._access.tokens()

    def put_token(self, token: Token, record: Record | None = None) -> None:
        """See `ports.Store`."""
        self._access.put_token(token, record)

    def remove_token(self, token_id: str, record: Record | None = None) -> bool:
        """See `ports.Store`."""
        return self._access.remove_token(token_id, record)

    def note(self, record: Record) -> None:
        """See `ports.Store`."""
        self._access.note(record)

    def audit(self, limit: int, before: int | None = None) -> list[Record]:
        """See `ports.Store`."""
        return self._access.audit(limit, before)

    @property
    def fault(self) -> StoreBusyError | None:
        """Return the reason why changes are refused; None while the file is sound."""
        return self._file.fault

    def refuse_changes(self, fault: type[StoreBusyError], why: str) -> None:
        """Make no further change, from any thread; see `SqliteFile.refuse`."""
        self._file.refuse(fault, why)

    def watch(self, path: Path) -> None:
        """Acknowledge no change once this file is removed or replaced; see `SqliteFile.watch`."""
        self._file.watch(path)

    def wait_at_most(self, seconds: float) -> None:
        """Limit the time that all changes wait for other processes; see `SqliteFile`."""
        self._file.wait_at_most(seconds)

    def close(self) -> None:
        """See `ports.Store`."""
        self._file.close()

    def _meter(self, name: str, body: str, version: int) -> Meter:
        """Return the meter of a row; the one that was made of the same row before, if any."""
        known = self._read.get(name)
        if known is None or known[0] != body or known[1].version != version:
            self._read[name] = known = body, value_of(Meter, body, version=version)
        return known[1]


# ── Inside a transaction ────────────────────────────────────────────────────────────────────────


def _refuse_duplicate(connection: sqlite3.Connection, entry: Entry) -> None:
    since = entry.at - KEY_LIFETIME
    known = _entry_of_key(connection, entry.endpoint, entry.key, since)
    if known is not None:
        raise DuplicateError(known)


def _put_meter(connection: sqlite3.Connection, committed: Meter, body: str) -> None:
    """Write a meter over its previous version."""
    if committed.version == 1:
        done = connection.execute(
            "INSERT INTO meters (name, version, settled, body) VALUES (?, 1, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (committed.name, committed.settled, body),
        )
    else:
        done = connection.execute(
            "UPDATE meters SET version = version + 1, settled = ?, body = ?"
            " WHERE name = ? AND version = ?",
            (committed.settled, body, committed.name, committed.version - 1),
        )
    if done.rowcount != 1:
        raise StaleError(committed.name)


def _take_device(connection: sqlite3.Connection, claim: Claim, name: str) -> None:
    row = connection.execute(
        "SELECT holder, version FROM devices LEFT JOIN meters ON meters.name = holder"
        " WHERE devices.name = ?",
        (claim.device,),
    ).fetchone()
    holder, version = row or (None, 0)
    if holder != claim.held_by or (holder not in {None, name} and version != claim.version):
        raise StaleError(name)
    connection.execute(
        "INSERT OR REPLACE INTO devices (name, holder) VALUES (?, ?)", (claim.device, name)
    )


def _spend(connection: sqlite3.Connection, budget: Budget) -> None:
    row = connection.execute(
        "SELECT minutes FROM spent WHERE token_id = ? AND day = ?",
        (budget.token_id, budget.day.isoformat()),
    ).fetchone()
    spent = row[0] if row else 0.0
    if spent + budget.minutes > budget.limit:
        raise OverBudgetError(
            limit_minutes=budget.limit, left_minutes=max(0.0, budget.limit - spent)
        )
    connection.execute(
        "INSERT OR REPLACE INTO spent (token_id, day, minutes) VALUES (?, ?, ?)",
        (budget.token_id, budget.day.isoformat(), spent + budget.minutes),
    )
    if row is None:
        # As with keys: a few per commit, but more than it adds.
        connection.execute(
            "DELETE FROM spent WHERE (token_id, day) IN"
            " (SELECT token_id, day FROM spent WHERE day <= ? ORDER BY day LIMIT 4)",
            ((budget.day - _SPENT_KEPT).isoformat(),),
        )


def _append(connection: sqlite3.Connection, entry: Entry) -> None:
    last = last_number(connection, entry.endpoint)
    connection.execute(
        "INSERT INTO journal (endpoint, number, body) VALUES (?, ?, ?)",
        (entry.endpoint, last + 1, written(entry)),
    )
    connection.execute(
        "INSERT OR REPLACE INTO keys (endpoint, key, at, number) VALUES (?, ?, ?, ?)",
        (entry.endpoint, entry.key, sortable(entry.at), last + 1),
    )
    posted = connection.execute(
        "INSERT INTO posted (endpoint, number) VALUES (?, ?)", (entry.endpoint, last + 1)
    )
    # A few per commit, so that none is slow, but more than it adds, so that old ones run out.
    connection.execute(_PASSED_BY_ALL, ((posted.lastrowid or 1) - 1,))
    connection.execute(
        "DELETE FROM keys WHERE (endpoint, key) IN"
        " (SELECT endpoint, key FROM keys WHERE at <= ? ORDER BY at LIMIT 4)",
        (sortable(entry.at - KEY_LIFETIME),),
    )
    mark_after(connection, entry, last + 1)


# ── Rows ────────────────────────────────────────────────────────────────────────────────────────


def _entry_of_key(
    connection: sqlite3.Connection, name: str, key: str, since: datetime
) -> Entry | None:
    row = connection.execute(
        "SELECT journal.body, number FROM keys JOIN journal USING (endpoint, number)"
        " WHERE keys.endpoint = ? AND keys.key = ? AND keys.at > ?",
        (name, key, sortable(since)),
    ).fetchone()
    return _entry(*row) if row else None


def _entry(body: str, number: int) -> Entry:
    return value_of(Entry, body, number=number)
