"""What is particular to the SQLite store: its file."""

import sqlite3
import stat

import pytest

from parkmeter.errors import ConfigError, StoreBusyError
from parkmeter.meter import Meter
from parkmeter.stores.sqlite import SqliteStore


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


def test_commits_are_durable_before_they_are_acknowledged(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    settings = [
        store._connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    ]
    store.close()
    assert settings == ["wal", 2]
