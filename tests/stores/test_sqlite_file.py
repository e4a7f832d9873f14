"""The SQLite store's file."""

import contextlib
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import traceback
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from parkmeter.core.device import Claim
from parkmeter.core.journal import KEY_LIFETIME, Entry, Kind
from parkmeter.core.meter import Meter
from parkmeter.errors import ConfigError, OverBudgetError, StoreBusyError
from parkmeter.ports import Budget
from parkmeter.stores.records import written
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.stores.sqlite_file import _MIGRATIONS, SqliteFile

NOW = datetime(2026, 6, 22, tzinfo=UTC)


def test_its_files_are_for_their_owner_only(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    store.commit(Meter("flan-t5"), [])
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    store.close()
    assert modes == {0o600}


def test_what_was_committed_is_there_after_it_was_opened_again(tmp_path):
    first = SqliteStore(tmp_path / "store.sqlite")
    meter = first.commit(Meter("flan-t5", settled=False), [])
    first.close()
    second = SqliteStore(tmp_path / "store.sqlite")
    assert second.load("flan-t5") == meter
    second.close()


def test_a_file_of_a_newer_parkmeter_is_refused_with_the_next_step(tmp_path):
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(ConfigError, match=r"newer parkmeter .* Upgrade parkmeter"):
        SqliteStore(tmp_path / "store.sqlite")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "store.sqlite").write_text("this is not a database, " * 100)
    with pytest.raises(ConfigError, match="cannot be used as parkmeter's store"):
        SqliteStore(tmp_path / "store.sqlite")


def test_a_store_that_another_writer_holds_for_too_long_is_busy(tmp_path, monkeypatch):
    monkeypatch.setattr("parkmeter.stores.sqlite_file._BUSY_SECONDS", 0.05)
    store = SqliteStore(tmp_path / "store.sqlite")
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError):
        store.commit(Meter("flan-t5"), [])
    other.close()
    store.commit(Meter("flan-t5"), [])
    store.close()


def test_writers_that_wait_for_another_process_give_up_as_soon_as_none_may_wait(tmp_path):
    store, failed = SqliteStore(tmp_path / "store.sqlite"), threading.Event()

    def commit() -> None:
        with contextlib.suppress(StoreBusyError):
            store.commit(Meter("flan-t5"), [])
            return
        failed.set()

    with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        writers = [threading.Thread(target=commit) for _ in range(3)]
        for writer in writers:
            writer.start()
        began = time.monotonic()
        store.wait_at_most(0)
        assert failed.wait(9), "it would have waited for ten seconds"
        for writer in writers:
            writer.join(20)
        assert time.monotonic() - began < 9
    store.commit(Meter("flan-t5"), [])
    store.close()


def test_commits_are_durable_before_they_are_acknowledged(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    with store._file.connection() as connection:
        settings = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
    store.close()
    assert settings == ["wal", 2]


def test_many_short_lived_threads_leave_few_files_open(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    for _ in range(5):
        threads = [threading.Thread(target=store.load, args=("flan-t5",)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(str(link.readlink()))
    assert 1 <= sum(name == str(tmp_path / "store.sqlite") for name in names) <= 8
    store.close()


def test_a_read_that_fails_is_a_busy_store_and_no_crash(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    with store._file.connection() as connection:
        connection.execute("DROP TABLE meters")
    with pytest.raises(StoreBusyError):
        store.load("flan-t5")
    store.close()


def test_each_caller_whose_write_failed_has_an_error_of_its_own(tmp_path):
    """An error raised in several threads would gather the tracebacks of all."""
    file = SqliteFile(tmp_path / "store.sqlite")
    begun, others = threading.Event(), threading.Event()
    errors: list[sqlite3.IntegrityError] = []

    def change(connection: sqlite3.Connection) -> None:
        begun.set()
        assert others.wait(10)

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.IntegrityError("given up")

    def write() -> None:
        try:
            file.write(broken)
        except sqlite3.IntegrityError as error:
            errors.append(error)

    first = threading.Thread(target=file.write, args=(change,))
    first.start()
    assert begun.wait(10)
    rest = [threading.Thread(target=write) for _ in range(5)]
    for thread in rest:
        thread.start()
    while len(file._waiting) < len(rest):
        time.sleep(0.001)
    others.set()
    for thread in [first, *rest]:
        thread.join()
    file.close()
    assert len({id(error) for error in errors}) == 5
    assert {str(error) for error in errors} == {"given up"}
    assert {len(traceback.extract_tb(error.__traceback__)) for error in errors} == {2}


def test_a_connection_that_cannot_be_rolled_back_is_not_reused(tmp_path, monkeypatch):
    made: list[_Stuck] = []

    def connect(*args, **options):
        made.append(sqlite3.connect(*args, **options, factory=_Stuck))
        return made[-1]

    file = SqliteFile(tmp_path / "store.sqlite")
    file.close()
    with monkeypatch.context() as patched:
        patched.setattr("parkmeter.stores.sqlite_file.sqlite3", _Sqlite(connect))
        with pytest.raises(StoreBusyError):
            file.write(lambda connection: connection.execute("INSERT INTO nowhere VALUES (1)"))
    assert file.one("SELECT 1") == (1,)
    assert file.write(lambda _: "written") == "written"
    file.close()
    (stuck,) = made
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        stuck.execute("SELECT 1")


class _Sqlite:
    """The module `sqlite3`, but for how it connects."""

    def __init__(self, connect) -> None:
        self.connect = connect

    def __getattr__(self, name: str):
        return getattr(sqlite3, name)


class _Stuck(sqlite3.Connection):
    """Fails where a transaction ends, as on a disk that is gone."""

    def execute(self, statement: str, *values):
        if statement in {"ROLLBACK", "COMMIT"}:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(statement, *values)


def test_old_keys_are_forgotten_as_new_ones_come(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    meter = Meter("flan-t5")
    for number in range(10):
        meter = store.commit(meter, [_entry(f"old{number}", NOW)])
    for number in range(5):
        meter = store.commit(meter, [_entry(f"new{number}", NOW + KEY_LIFETIME)])
    with store._file.connection() as connection:
        (kept,) = connection.execute("SELECT count(*) FROM keys").fetchone()
    assert kept == 5
    assert len(store.journal("flan-t5", 100)) == 15
    store.close()


def _entry(key: str, at: datetime) -> Entry:
    return Entry("flan-t5", Kind.TOP_UP, at, "ada", "10 min", key, expires_at=at)


def test_a_file_of_the_first_schema_is_brought_up_to_date_with_all_it_holds(tmp_path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr("parkmeter.stores.sqlite_file._MIGRATIONS", _MIGRATIONS[:1])
        old = SqliteStore(tmp_path / "store.sqlite")
        meter = old.commit(Meter("flan-t5", settled=False), [])
        row = (meter.name, 1, written(_entry("a", NOW)))
        old._file.write(lambda file: file.execute("INSERT INTO journal VALUES (?, ?, ?)", row))
        old.close()
    store = SqliteStore(tmp_path / "store.sqlite")
    assert store.holder("gpu0") is None
    store.commit(meter, [], claim=Claim("gpu0"))
    assert store.holder("gpu0") == "flan-t5"
    assert len(store.journal("flan-t5", 10)) == 1
    assert store.follow(["new"]) == {"new": 0}
    assert store.posted(0, 10) == []
    store.close()


def test_minutes_of_past_days_are_deleted(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    meter = Meter("flan-t5")
    first = date(2026, 6, 1)
    for number in range(30):
        day = first + timedelta(days=number)
        meter = store.commit(meter, [], Budget("ada", day, minutes=5, limit=8))
    with store._file.connection() as connection:
        kept = connection.execute("SELECT day FROM spent ORDER BY day").fetchall()
    assert kept == [("2026-06-29",), ("2026-06-30",)]
    for day in (first + timedelta(days=28), first + timedelta(days=29)):
        with pytest.raises(OverBudgetError):
            store.commit(meter, [], Budget("ada", day, minutes=5, limit=8))
    store.close()


def test_minutes_of_many_past_days_are_deleted_a_few_per_commit(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    with store._file.connection() as connection:
        old = [(f"token{number}", "2026-01-01", 1.0) for number in range(10)]
        connection.executemany("INSERT INTO spent VALUES (?, ?, ?)", old)
    meter, kept = Meter("flan-t5"), []
    for number in range(3):
        meter = store.commit(meter, [], Budget(f"new{number}", NOW.date(), minutes=1, limit=2))
        kept.append(store._file.one("SELECT count(*) FROM spent")[0])
    assert kept == [7, 4, 3]
    store.close()


# ── Changes that reach the disk together ────────────────────────────────────────────────────────


class _Together:
    """Changes of several threads that wait for a first one, and then share a transaction."""

    def __init__(self, path: Path) -> None:
        self.file = SqliteFile(path)
        self.outcomes: dict[str, object] = {}
        self._threads: list[threading.Thread] = []
        self._under_way, self._go_on = threading.Event(), threading.Event()
        self._submit("first", self._slow)
        assert self._under_way.wait(10)

    def _slow(self, connection: sqlite3.Connection) -> int:
        self._under_way.set()
        assert self._go_on.wait(10)
        return connection.execute("SELECT count(*) FROM spent").fetchone()[0]

    def _submit(self, name, change) -> None:
        def run() -> None:
            try:
                self.outcomes[name] = self.file.write(change)
            except Exception as error:  # noqa: BLE001 (reported by the test)
                self.outcomes[name] = error

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def wait(self, name, change) -> None:
        """Make this change together with the others that wait."""
        before = len(self.file._waiting)
        self._submit(name, change)
        while len(self.file._waiting) == before:
            pass

    def outcome(self) -> dict[str, object]:
        self._go_on.set()
        for thread in self._threads:
            thread.join(10)
        return self.outcomes

    def days(self) -> list[str]:
        return [day for (day,) in self.file.all("SELECT day FROM spent ORDER BY day")]


@pytest.fixture
def together(tmp_path):
    made = _Together(tmp_path / "store.sqlite")
    yield made
    made.outcome()
    made.file.close()


def _spent_on(day):
    def change(connection):
        connection.execute("INSERT INTO spent VALUES ('ada', ?, 1)", (day,))
        return connection.execute("SELECT count(*) FROM spent").fetchone()[0]

    return change


def test_changes_that_wait_share_a_transaction_and_each_sees_those_before_it(together):
    for day in ("a", "b", "c"):
        together.wait(day, _spent_on(day))
    assert together.outcome() == {"first": 0, "a": 1, "b": 2, "c": 3}
    assert together.days() == ["a", "b", "c"]


def test_a_change_that_is_refused_leaves_no_trace_and_does_not_touch_its_neighbours(together):
    def refused(connection):
        _spent_on("half")(connection)
        raise OverBudgetError(limit_minutes=1, left_minutes=0)

    together.wait("a", _spent_on("a"))
    together.wait("refused", refused)
    together.wait("again", _spent_on("a"))  # the same row: SQLite refuses it
    together.wait("wrong", lambda connection: connection.execute("SELECT nonsense"))
    together.wait("b", _spent_on("b"))
    outcome = together.outcome()
    assert isinstance(outcome["refused"], OverBudgetError)
    assert isinstance(outcome["again"], sqlite3.IntegrityError)
    assert isinstance(outcome["wrong"], StoreBusyError)
    assert (outcome["a"], outcome["b"]) == (1, 2)
    assert together.days() == ["a", "b"]


def test_a_transaction_that_did_not_reach_the_disk_returns_to_no_caller(together):
    def given_up(connection):
        connection.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
        raise sqlite3.OperationalError("database or disk is full")

    def refused(connection):
        raise OverBudgetError(limit_minutes=1, left_minutes=0)

    together.wait("a", _spent_on("a"))
    together.wait("refused", refused)
    together.wait("given up", given_up)
    together.wait("b", _spent_on("b"))
    outcome = together.outcome()
    assert outcome.pop("first") == 0
    assert {type(error) for error in outcome.values()} == {StoreBusyError}
    assert len(outcome) == 4
    assert together.days() == []
    assert together.file.write(_spent_on("later")) == 1


_ACKNOWLEDGING = """
import os, sys, threading
from pathlib import Path
from parkmeter.stores.sqlite_file import SqliteFile

file = SqliteFile(Path(sys.argv[1]))

def work(token):
    for number in range(100_000):
        row = (token, f"{number:06}")
        file.write(lambda connection: connection.execute("INSERT INTO spent VALUES (?, ?, 1)", row))
        os.write(1, f"{row[0]} {row[1]}\\n".encode())

for token in "abcdefgh":
    threading.Thread(target=work, args=(token,)).start()
"""


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    path = tmp_path / "store.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", _ACKNOWLEDGING, str(path)], stdout=subprocess.PIPE
    ) as process:
        lines = [process.stdout.readline() for _ in range(300)]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
    acknowledged = {tuple(line.decode().split()) for line in lines if line.endswith(b"\n")}
    file = SqliteFile(path)
    kept = set(file.all("SELECT token_id, day FROM spent"))
    file.close()
    assert len(acknowledged) >= 300
    assert acknowledged <= kept
