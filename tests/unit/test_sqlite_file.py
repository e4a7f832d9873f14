"""What is particular to the SQLite store: its file."""

import contextlib
import sqlite3
import stat
import statistics
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parkmeter.device import Claim
from parkmeter.errors import ConfigError, StoreBusyError
from parkmeter.journal import KEY_LIFETIME, Entry, Kind
from parkmeter.meter import Meter
from parkmeter.stores.records import written
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.stores.sqlite_schema import MIGRATIONS

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


def test_a_file_of_a_newer_parkmeter_is_refused_with_what_to_do(tmp_path):
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
    monkeypatch.setattr("parkmeter.stores.sqlite._BUSY_SECONDS", 0.05)
    store = SqliteStore(tmp_path / "store.sqlite")
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError):
        store.commit(Meter("flan-t5"), [])
    other.close()
    store.commit(Meter("flan-t5"), [])
    store.close()


def test_a_writer_goes_on_as_soon_as_the_one_before_has_committed(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    waited = []
    for number in range(5):
        begun = threading.Event()

        def wait(name=f"endpoint-{number}", begun=begun):
            begun.set()
            store.commit(Meter(name), [])
            waited.append(time.monotonic())

        waiting = threading.Thread(target=wait)
        with store._writing():
            waiting.start()
            assert begun.wait(5)
            # By now who sleeps and asks again does so ten times a second.
            time.sleep(0.25)
        ended = time.monotonic()
        waiting.join()
        waited[-1] -= ended
    store.close()
    assert statistics.median(waited) < 0.03


def test_a_store_whose_writers_do_not_come_to_an_end_is_busy(tmp_path, monkeypatch):
    monkeypatch.setattr("parkmeter.stores.sqlite._BUSY_SECONDS", 0.05)
    store = SqliteStore(tmp_path / "store.sqlite")
    with store._writing(), pytest.raises(StoreBusyError):
        store.commit(Meter("flan-t5"), [])
    store.commit(Meter("flan-t5"), [])
    store.close()


def test_commits_are_durable_before_they_are_acknowledged(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    with store._connection() as connection:
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
    with store._connection() as connection:
        connection.execute("DROP TABLE meters")
    with pytest.raises(StoreBusyError):
        store.load("flan-t5")
    store.close()


def test_old_keys_are_forgotten_as_new_ones_come(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    meter = Meter("flan-t5")
    for number in range(10):
        meter = store.commit(meter, [_entry(f"old{number}", NOW)])
    for number in range(5):
        meter = store.commit(meter, [_entry(f"new{number}", NOW + KEY_LIFETIME)])
    with store._connection() as connection:
        (kept,) = connection.execute("SELECT count(*) FROM keys").fetchone()
    assert kept == 5
    assert len(store.journal("flan-t5", 100)) == 15
    store.close()


def _entry(key: str, at: datetime) -> Entry:
    return Entry("flan-t5", Kind.TOP_UP, at, "ada", "10 min", key, expires_at=at)


def test_a_file_of_the_first_schema_is_brought_up_to_date_with_all_it_holds(tmp_path):
    meter, line = Meter("flan-t5", settled=False, version=1), _entry("a", NOW)
    with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite")) as old:
        old.executescript(MIGRATIONS[0] + "PRAGMA user_version = 1")
        row = (meter.name, 1, False, written(meter))
        old.execute("INSERT INTO meters (name, version, settled, body) VALUES (?, ?, ?, ?)", row)
        old.execute("INSERT INTO journal VALUES (?, ?, ?)", (meter.name, 1, written(line)))
        old.commit()
    store = SqliteStore(tmp_path / "store.sqlite")
    assert store.holder("gpu0") is None
    store.commit(meter, [], claim=Claim("gpu0"))
    assert store.holder("gpu0") == "flan-t5"
    assert len(store.journal("flan-t5", 10)) == 1
    assert store.follow(["new"]) == {"new": 0}
    assert store.posted(0, 10) == []
    store.close()
