"""The store of the local gateway: one SQLite file, durable at every commit.

Concurrency is SQLite's own: `BEGIN IMMEDIATE` admits one writer at a time, from any thread or
process, and a commit that was acknowledged survives kill -9 and power loss (`synchronous=FULL`).
"""

import json
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from parkmeter.device import Claim
from parkmeter.errors import ConfigError, OverBudgetError, StoreBusyError
from parkmeter.journal import KEY_LIFETIME, Entry
from parkmeter.meter import Meter
from parkmeter.ports import Budget, DuplicateError, Posted, StaleError
from parkmeter.stores.records import read, written
from parkmeter.stores.sqlite_schema import MIGRATIONS
from parkmeter.tokens import Token

log = logging.getLogger(__name__)

_MOST_IDLE = 8
"""Connections kept open; each costs three files."""

_BUSY_SECONDS = 10.0
"""How long a writer waits for the others before it says that the store is busy."""


class SqliteStore:
    """Implements `ports.Store` and `ports.Outbox` on one file, made (mode 0600) if it is missing.

    Raises:
        ConfigError: the file was written by a newer parkmeter, or is no SQLite file.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The last one given back is the first one taken, so few are ever open.
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue(_MOST_IDLE)
        self._writer = threading.Lock()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            self._migrate()
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{path} cannot be used as parkmeter's store: {error}.") from error

    def load(self, name: str) -> Meter:
        """See `ports.Store`."""
        row = self._one("SELECT body, version FROM meters WHERE name = ?", name)
        return _meter(*row) if row else Meter(name)

    def meters(self, names: Collection[str]) -> dict[str, Meter]:
        """See `ports.Store`."""
        # As one value, because SQLite bounds how many values a statement may take.
        rows = self._all(
            "SELECT name, body, version FROM meters WHERE name IN (SELECT value FROM json_each(?))",
            json.dumps(list(names)),
        )
        found = {name: _meter(body, version) for name, body, version in rows}
        return {name: found.get(name) or Meter(name) for name in names}

    def holder(self, device: str) -> str | None:
        """See `ports.Store`."""
        row = self._one("SELECT holder FROM devices WHERE name = ?", device)
        return row[0] if row else None

    def unsettled(self) -> Iterable[str]:
        """See `ports.Store`."""
        return [name for (name,) in self._all("SELECT name FROM meters WHERE settled = 0")]

    def commit(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None = None,
        claim: Claim | None = None,
    ) -> Meter:
        """See `ports.Store`."""
        committed = replace(meter, version=meter.version + 1)
        with self._writing() as connection:
            for entry in entries:
                self._refuse_duplicate(connection, entry)
            body = written(committed)
            if meter.version == 0:
                done = connection.execute(
                    "INSERT INTO meters (name, version, settled, body) VALUES (?, 1, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (meter.name, committed.settled, body),
                )
            else:
                done = connection.execute(
                    "UPDATE meters SET version = version + 1, settled = ?, body = ?"
                    " WHERE name = ? AND version = ?",
                    (committed.settled, body, meter.name, meter.version),
                )
            if done.rowcount != 1:
                raise StaleError(meter.name)
            if claim is not None:
                self._hold(connection, claim, meter.name)
            if budget is not None:
                self._spend(connection, budget)
            for entry in entries:
                self._append(connection, entry)
        return committed

    def entry(self, name: str, key: str, since: datetime) -> Entry | None:
        """See `ports.Store`."""
        with self._connection() as connection:
            return _entry_of_key(connection, name, key, since)

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """See `ports.Store`."""
        rows = self._all(
            "SELECT body, number FROM journal WHERE endpoint = ? AND number < ?"
            " ORDER BY number DESC LIMIT ?",
            name,
            (1 << 62) if before is None else before,
            limit,
        )
        return [_entry(*row) for row in rows]

    def follow(self, followers: Collection[str]) -> dict[str, int]:
        """See `ports.Outbox`."""
        names = list(dict.fromkeys(followers))
        with self._writing() as connection:
            connection.execute(
                "DELETE FROM followers WHERE name NOT IN (SELECT value FROM json_each(?))",
                (json.dumps(names),),
            )
            connection.executemany(
                "INSERT INTO followers (name, place)"
                " SELECT ?, coalesce(max(place), 0) FROM posted WHERE true ON CONFLICT DO NOTHING",
                [(name,) for name in names],
            )
            rows = connection.execute("SELECT name, place FROM followers").fetchall()
        return dict(rows)

    def posted(self, after: int, limit: int) -> list[Posted]:
        """See `ports.Outbox`. One look into an index that is in this very order."""
        rows = self._all(
            "SELECT place, body, number FROM posted JOIN journal USING (endpoint, number)"
            " WHERE place > ? ORDER BY place LIMIT ?",
            after,
            limit,
        )
        return [Posted(place, _entry(body, number)) for place, body, number in rows]

    def passed(self, follower: str, place: int) -> None:
        """See `ports.Outbox`."""
        with self._writing() as connection:
            connection.execute("UPDATE followers SET place = ? WHERE name = ?", (place, follower))

    def tokens(self) -> list[Token]:
        """See `ports.Store`."""
        rows = self._all("SELECT body FROM tokens ORDER BY created_at, id")
        return [read(Token, body) for (body,) in rows]

    def put_token(self, token: Token) -> None:
        """See `ports.Store`."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO tokens (id, created_at, body) VALUES (?, ?, ?)",
                (token.id, _sortable(token.created_at), written(token)),
            )

    def remove_token(self, token_id: str) -> bool:
        """See `ports.Store`."""
        with self._writing() as connection:
            done = connection.execute("DELETE FROM tokens WHERE id = ?", (token_id,))
        return done.rowcount == 1

    def close(self) -> None:
        """See `ports.Store`."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    # ── Inside a transaction ────────────────────────────────────────────────────────────────────

    @staticmethod
    def _refuse_duplicate(connection: sqlite3.Connection, entry: Entry) -> None:
        since = entry.at - KEY_LIFETIME
        known = _entry_of_key(connection, entry.endpoint, entry.key, since)
        if known is not None:
            raise DuplicateError(known)

    @staticmethod
    def _hold(connection: sqlite3.Connection, claim: Claim, name: str) -> None:
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

    @staticmethod
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

    @staticmethod
    def _append(connection: sqlite3.Connection, entry: Entry) -> None:
        (last,) = connection.execute(
            "SELECT coalesce(max(number), 0) FROM journal WHERE endpoint = ?", (entry.endpoint,)
        ).fetchone()
        connection.execute(
            "INSERT INTO journal (endpoint, number, body) VALUES (?, ?, ?)",
            (entry.endpoint, last + 1, written(entry)),
        )
        connection.execute(
            "INSERT OR REPLACE INTO keys (endpoint, key, at, number) VALUES (?, ?, ?, ?)",
            (entry.endpoint, entry.key, _sortable(entry.at), last + 1),
        )
        connection.execute(
            "INSERT INTO posted (endpoint, number) VALUES (?, ?)", (entry.endpoint, last + 1)
        )
        # Few at a time, so that no commit is slow; more than it adds, so that it comes to an end.
        connection.execute(
            "DELETE FROM keys WHERE (endpoint, key) IN"
            " (SELECT endpoint, key FROM keys WHERE at <= ? ORDER BY at LIMIT 4)",
            (_sortable(entry.at - KEY_LIFETIME),),
        )

    # ── Connections ─────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for this moment alone: readers never wait for the writer (WAL)."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._open()
        try:
            yield connection
        except sqlite3.OperationalError as error:
            log.warning("the store: %s", error)
            raise StoreBusyError from error
        finally:
            try:
                self._idle.put_nowait(connection)
            except queue.Full:
                connection.close()

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.OperationalError as error:
            log.warning("the store: %s", error)
            raise StoreBusyError from error
        return connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._turn(), self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Writers of this process queue here: the next one goes on as soon as one has committed.

        SQLite's own waiting is for other processes. It sleeps and asks again, ever more seldom:
        among eight writers some would wait for half a second while nobody writes.
        """
        if not self._writer.acquire(timeout=_BUSY_SECONDS):
            log.warning("the store: other writers do not come to an end")
            raise StoreBusyError
        try:
            yield
        finally:
            self._writer.release()

    def _one(self, query: str, *values: object) -> Any:
        with self._connection() as connection:
            return connection.execute(query, values).fetchone()

    def _all(self, query: str, *values: object) -> list[Any]:
        with self._connection() as connection:
            return connection.execute(query, values).fetchall()

    def _migrate(self) -> None:
        with self._connection() as connection:
            self._migrate_with(connection)

    def _migrate_with(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            connection.execute("ROLLBACK")
            raise ConfigError(
                f"{self._path} was written by a newer parkmeter (schema {version}, this one knows "
                f"{len(MIGRATIONS)}). Upgrade parkmeter, or name another state folder."
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")


def _sortable(moment: datetime) -> str:
    """Fixed width, so that text order is time order."""
    return moment.isoformat(timespec="microseconds")


def _meter(body: str, version: int) -> Meter:
    return replace(read(Meter, body), version=version)


def _entry_of_key(
    connection: sqlite3.Connection, name: str, key: str, since: datetime
) -> Entry | None:
    row = connection.execute(
        "SELECT journal.body, number FROM keys JOIN journal USING (endpoint, number)"
        " WHERE keys.endpoint = ? AND keys.key = ? AND keys.at > ?",
        (name, key, _sortable(since)),
    ).fetchone()
    return _entry(*row) if row else None


def _entry(body: str, number: int) -> Entry:
    return replace(read(Entry, body), number=number)
