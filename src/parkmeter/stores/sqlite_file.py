"""One SQLite file: its schema, its connections, and transactions that reach the disk together.

Durable at every commit: what was acknowledged survives kill -9 and power loss (`synchronous=FULL`).
Knows nothing of meters beyond the tables they are kept in.
"""

import logging
import os
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from parkmeter.errors import ConfigError, StoreBusyError

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_MOST_IDLE = 8
"""Connections kept open; each costs three files."""

_BUSY_SECONDS = 10.0
"""How long a writer waits for other processes before it says that the store is busy."""

_MIGRATIONS = (
    """
    CREATE TABLE meters (
        name TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        settled INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX unsettled_meters ON meters (name) WHERE settled = 0;
    CREATE TABLE journal (
        endpoint TEXT NOT NULL,
        number INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (endpoint, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE keys (
        endpoint TEXT NOT NULL,
        key TEXT NOT NULL,
        at TEXT NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (endpoint, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX keys_by_age ON keys (at);
    CREATE TABLE spent (
        token_id TEXT NOT NULL,
        day TEXT NOT NULL,
        minutes REAL NOT NULL,
        PRIMARY KEY (token_id, day)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        created_at TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE devices (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE INDEX spent_by_day ON spent (day);
    """,
    """
    CREATE TABLE posted (
        place INTEGER PRIMARY KEY,
        endpoint TEXT NOT NULL,
        number INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE followers (
        name TEXT PRIMARY KEY,
        place INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE requests (
        endpoint TEXT NOT NULL,
        minute INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (endpoint, minute)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX requests_by_age ON requests (minute);
    """,
)
"""Each brings the file from its index to the next number (`PRAGMA user_version`). Never edited."""

SCHEMA = len(_MIGRATIONS)
"""The number of the schema this parkmeter knows."""


class _Turn(Generic[_Result]):
    """A change that waits to be committed. Once it is `over`, its `result`, or the `error`.

    Until it is known to be safe on the disk, the error is that it may not be.
    """

    __slots__ = ("change", "error", "over", "refusal", "result")

    result: _Result

    def __init__(self, change: Callable[[sqlite3.Connection], _Result]) -> None:
        self.change = change
        self.over = False
        self.error: Exception | None = StoreBusyError()
        self.refusal: Exception | None = None

    def take(self, connection: sqlite3.Connection) -> None:
        """Make the change in the transaction that is open; one that raises leaves no trace.

        Raises:
            Exception: SQLite has given up the whole transaction.

        """
        connection.execute("SAVEPOINT turn")
        try:
            self.result = self.change(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO turn")
            self.refusal = _told(error)
        connection.execute("RELEASE turn")


class SqliteFile:
    """A file of the present schema, made with mode 0600 if it is missing; from any thread.

    Raises:
        ConfigError: the file was written by a newer parkmeter, or is no SQLite file.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The last one given back is the first one taken, so few are ever open.
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue(_MOST_IDLE)
        self._waiting: deque[_Turn[Any]] = deque()
        self._writing = threading.Lock()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            self._migrate()
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{path} cannot be used as parkmeter's store: {error}.") from error

    def one(self, query: str, *values: object) -> Any:
        """The first row of an answer, None without any.

        Raises:
            StoreBusyError: it cannot be read now.

        """
        with self.connection() as connection:
            return connection.execute(query, values).fetchone()

    def all(self, query: str, *values: object) -> list[Any]:
        """Every row of an answer. Raises StoreBusyError like `one`."""
        with self.connection() as connection:
            return connection.execute(query, values).fetchall()

    def write(self, change: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Make a change, all or nothing, and return its result once it is safe on the disk.

        What waits while a transaction goes to the disk shares the next one: each change sees those
        before it, and none is answered before all are safe. What `change` raises comes back to its
        caller alone, and its change is undone. It may run in another caller's thread.

        Raises:
            StoreBusyError: nothing changed; the file cannot be written now.

        """
        turn = _Turn(change)
        self._waiting.append(turn)
        with self._writing:
            # Whoever wrote while we waited may have taken ours along.
            if not turn.over:
                self._write_all_waiting()
        if turn.error is not None:
            raise turn.error
        return turn.result

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for this moment alone: readers never wait for the writer (WAL)."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._open()
        try:
            yield connection
        except sqlite3.OperationalError as error:
            raise _told(error) from error
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Let go of the file."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    # ── Writing ─────────────────────────────────────────────────────────────────────────────────

    def _write_all_waiting(self) -> None:
        """One transaction for every turn that waits now; afterwards all of them are over."""
        turns = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            with self.connection() as connection, _transaction(connection):
                for turn in turns:
                    turn.take(connection)
        except Exception as error:  # noqa: BLE001 (every turn raises it to its own caller)
            for turn in turns:
                turn.error = _another(error)
        else:
            for turn in turns:
                turn.error = turn.refusal
        finally:
            for turn in turns:
                turn.over = True

    # ── Connections ─────────────────────────────────────────────────────────────────────────────

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.OperationalError as error:
            raise _told(error) from error
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        """Keep it for the next one; never one whose transaction could not even be rolled back."""
        if connection.in_transaction:
            connection.close()
            return
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()

    def _migrate(self) -> None:
        with self.connection() as connection, _transaction(connection):
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(_MIGRATIONS):
                raise ConfigError(
                    f"{self._path} was written by a newer parkmeter (schema {version}, this one "
                    f"knows {len(_MIGRATIONS)}). Upgrade parkmeter, or name another state folder."
                )
            for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _another(error: Exception) -> Exception:
    """The same error for one more thread: whoever raises one writes a traceback into it."""
    other = type(error).__new__(type(error), *error.args)
    other.__dict__.update(error.__dict__)
    other.__cause__ = error
    return other


def _told(error: Exception) -> Exception:
    """What a caller is told: what SQLite cannot do now may be tried again."""
    if isinstance(error, sqlite3.OperationalError):
        log.warning("the store: %s", error)
        return StoreBusyError()
    return error
