"""One SQLite file: its connections, and its transactions, committed in groups.

Durable at every commit: what was acknowledged survives kill -9 and power loss (`synchronous=FULL`).
Knows nothing of meters but their tables.
"""

import logging
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from parkmeter.errors import ConfigError, StoreBusyError
from parkmeter.stores.backup_files import restore_advice
from parkmeter.stores.sqlite_schema import MIGRATIONS as _MIGRATIONS
from parkmeter.stores.store_faults import StateLostError, StoreDamagedError, damage_in, is_damage

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_MOST_IDLE = 8
"""Connections kept open; each takes three file descriptors."""

_BUSY_SECONDS = 10.0
"""Time a writer waits for other processes before the store counts as busy."""

_LOOK_SECONDS = 0.25
"""After which a writer that waits looks whether it may go on waiting."""

_CHECKED_WHOLE = 64 * 2**20
"""Bytes up to which the whole file is checked at the start; this takes some tenths of a second."""

_CHECKED_ALWAYS = ("meters", "tokens", "devices")
"""Tables that are checked at the start of a larger file: without them nothing works."""

SCHEMA = len(_MIGRATIONS)
"""The schema number of this parkmeter."""


class _Write(Generic[_Result]):
    """A change that waits for its commit. Once `done`, it has a `result` or an `error`.

    Until the commit has succeeded, the error is that it may not have.
    """

    __slots__ = ("change", "done", "error", "refusal", "result")

    result: _Result

    def __init__(self, change: Callable[[sqlite3.Connection], _Result]) -> None:
        self.change = change
        self.done = False
        self.error: Exception | None = StoreBusyError()
        self.refusal: Exception | None = None

    def apply(self, connection: sqlite3.Connection) -> None:
        """Make the change in the open transaction; undo it if it raises.

        Raises:
            Exception: SQLite has rolled back the whole transaction.

        """
        connection.execute("SAVEPOINT change")
        try:
            self.result = self.change(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO change")
            self.refusal = error
        connection.execute("RELEASE change")


class SqliteFile:
    """A file of the current schema, created with mode 0600; from any thread.

    A change is acknowledged only while the file is still at its path: one that was removed is
    written to for nothing. The same holds for files that `watch` adds, such as the lock of its only
    user. After damage or a removal was seen, no further change is made.

    Raises:
        ConfigError: a newer parkmeter wrote the file, it is no SQLite file, it is damaged, or it
            cannot be opened.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._no_wait_after = float("inf")
        self._fault: type[StoreBusyError] | None = None
        # Last in, first out, so that few are ever open.
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue(_MOST_IDLE)
        self._waiting: deque[_Write[Any]] = deque()
        self._writing = threading.Lock()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise ConfigError(f"{path} cannot be opened: {error.strerror}.") from error
        self._watched: dict[Path, os.stat_result] = {}
        self.watch(path)
        try:
            _check(path)
            self._migrate()
        except (sqlite3.DatabaseError, StoreDamagedError) as error:
            why = error.__cause__ or error
            raise ConfigError(
                f"{path} cannot be used as parkmeter's store: {why}. {restore_advice(path)}"
            ) from error

    @property
    def fault(self) -> StoreBusyError | None:
        """Return the reason why changes are refused; None while the file is sound."""
        return None if self._fault is None else self._fault()

    def refuse(self, fault: type[StoreBusyError], why: str) -> None:
        """Make no further change; the first reason given stays, and `why` is logged."""
        if self._fault is None:
            self._fault = fault
            log.critical("%s takes no further change: %s", self._path, why)

    def wait_at_most(self, seconds: float) -> None:
        """Let all writers together wait for other processes this long from now, and no longer."""
        self._no_wait_after = time.monotonic() + seconds

    def watch(self, path: Path) -> None:
        """Acknowledge a change only while this file, too, is the one at its path."""
        self._watched = {**self._watched, path: os.stat(path)}  # noqa: PTH116

    def _missing(self) -> Path | None:
        """Return a watched path with nothing or another file; None if all are in place.

        Raises:
            StoreBusyError: that cannot be said now.

        """
        for path, known in self._watched.items():
            try:
                if not os.path.samestat(os.stat(path), known):  # noqa: PTH116
                    return path
            except (FileNotFoundError, NotADirectoryError):
                return path
            except OSError as error:
                log.warning("store %s: %s", self._path, error)
                raise StoreBusyError from error
        return None

    def one(self, query: str, *values: object) -> Any:
        """Return the first row of a result, None without any.

        Raises:
            StoreBusyError: it cannot be read now.

        """
        with self.connection() as connection:
            return connection.execute(query, values).fetchone()

    def all(self, query: str, *values: object) -> list[Any]:
        """Return every row of a result. Raises StoreBusyError like `one`."""
        with self.connection() as connection:
            return connection.execute(query, values).fetchall()

    def write(self, change: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Make a change, all or nothing; return its result once it is durable.

        Changes that wait while a transaction is committed share the next one: each sees those
        before it, and all return after the commit. An error that `change` raises reaches its own
        caller only, and its change is undone. `change` may run in another caller's thread.

        Raises:
            StoreBusyError: nothing changed; the file cannot be written now.

        """
        write = _Write(change)
        self._waiting.append(write)
        with self._writing:
            # Another thread may have committed it meanwhile.
            if not write.done:
                self._write_all_waiting()
        if write.error is not None:
            raise write.error
        return write.result

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Return a connection for exclusive use; readers never wait for the writer (WAL)."""
        if self._fault is StateLostError:
            raise StateLostError
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._open()
        try:
            yield connection
        except sqlite3.DatabaseError as error:
            translated = self._translated(error)
            if translated is error:
                raise
            raise translated from error
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close all connections."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    # ── Writing ─────────────────────────────────────────────────────────────────────────────────

    def _write_all_waiting(self) -> None:
        """One transaction for every write that waits now; afterwards all of them are over."""
        writes = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            if self._fault is not None:
                raise self._fault  # noqa: TRY301
            with self.connection() as connection, self._transaction(connection):
                for write in writes:
                    write.apply(connection)
            if missing := self._missing():
                self.refuse(StateLostError, f"{missing} was removed or replaced")
                raise StateLostError  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 (every write raises it to its own caller)
            for write in writes:
                write.error = _copy(error)
        else:
            for write in writes:
                refusal = write.refusal
                write.error = refusal if refusal is None else self._translated(refusal)
        finally:
            for write in writes:
                write.done = True

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        self._begin(connection)
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction once no other process has one; raise if that takes too long."""
        began = time.monotonic()
        _set_busy_timeout(connection, min(_LOOK_SECONDS, _BUSY_SECONDS))
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    # Extended codes have the primary one in their lowest byte.
                    code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
                    give_up = min(began + _BUSY_SECONDS, self._no_wait_after)
                    if code != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                        raise
                else:
                    return
        finally:
            _set_busy_timeout(connection, _BUSY_SECONDS)

    # ── Connections ─────────────────────────────────────────────────────────────────────────────

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from error
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        """Keep a connection for reuse, unless its transaction could not be rolled back."""
        if connection.in_transaction:
            connection.close()
            return
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()

    def _translated(self, error: Exception) -> Exception:
        """Return the error for the caller: what SQLite cannot do now may be retried."""
        if is_damage(error):
            self.refuse(StoreDamagedError, f"{error}. {restore_advice(self._path)}")
            return StoreDamagedError()
        if isinstance(error, sqlite3.OperationalError):
            log.warning("store: %s", error)
            return StoreBusyError()
        return error

    def _migrate(self) -> None:
        with self.connection() as connection, self._transaction(connection):
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


def _check(path: Path) -> None:
    """Check the structure of a file: all of a small one, the vital tables of a large one.

    Raises:
        sqlite3.DatabaseError: it is damaged, or cannot be read.

    """
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        checks = [f"quick_check({name})" for name in _CHECKED_ALWAYS if name in tables]
        if path.stat().st_size <= _CHECKED_WHOLE:
            checks = ["quick_check(3)"]
        for check in checks:
            if damage := damage_in(connection, check):
                raise sqlite3.DatabaseError(damage)


def _set_busy_timeout(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")


def _copy(error: Exception) -> Exception:
    """Return a copy of an error for one more thread: raising writes a traceback into it."""
    other = type(error).__new__(type(error), *error.args)
    other.__dict__.update(error.__dict__)
    other.__cause__ = error
    return other
