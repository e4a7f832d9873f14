"""A store whose file is damaged or was removed: plain words, no change, nothing lost silently."""

import logging
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Meter
from parkmeter.errors import ConfigError, StoreBusyError
from parkmeter.state_folder import StateFolder
from parkmeter.stores.backup_files import folder_of
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.stores.store_faults import StateLostError, StoreDamagedError

NOW = datetime(2026, 6, 22, tzinfo=UTC)
_PAGE = 4096


def filled(path: Path, meters: int = 200) -> SqliteStore:
    """Return a store with some hundred pages, all of them in its file."""
    store = SqliteStore(path)
    for number in range(meters):
        name = f"endpoint-{number}"
        lines = [
            Entry(name, Kind.TOP_UP, NOW, "ada", "10 min " * 50, f"k{line}", NOW)
            for line in range(3)
        ]
        store.commit(Meter(name), lines)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return store


def damage(path: Path) -> None:
    """Overwrite all pages but the first, as a broken disk may."""
    size = path.stat().st_size
    assert size > 20 * _PAGE
    with path.open("r+b") as file:
        file.seek(_PAGE)
        file.write(os.urandom(size - _PAGE))


def test_a_damaged_file_is_refused_at_the_start_with_the_next_step(tmp_path):
    path = tmp_path / "store.sqlite"
    filled(path).close()
    damage(path)
    with pytest.raises(ConfigError, match=r"cannot be used.*There is no backup.*\.recover"):
        SqliteStore(path)
    folder_of(path).mkdir()
    (folder_of(path) / "daily-2026-06-21.sqlite").touch()
    with pytest.raises(ConfigError, match=r"parkmeter restore .*daily-2026-06-21\.sqlite --state"):
        SqliteStore(path)


def test_of_a_large_file_only_the_tables_that_matter_most_are_checked(tmp_path, monkeypatch):
    path = tmp_path / "store.sqlite"
    filled(path).close()
    monkeypatch.setattr("parkmeter.stores.sqlite_file._CHECKED_WHOLE", 1000)
    SqliteStore(path).close()
    damage(path)
    with pytest.raises(ConfigError, match="cannot be used"):
        SqliteStore(path)


def test_damage_that_is_found_later_is_logged_once_and_stops_all_changes(tmp_path, caplog):
    path = tmp_path / "store.sqlite"
    store = filled(path)
    store.close()  # its connections have pages in memory
    assert store.fault is None
    damage(path)
    with pytest.raises(StoreDamagedError):
        store.meters([f"endpoint-{number}" for number in range(200)])
    assert isinstance(store.fault, StoreDamagedError)
    for _ in range(3):
        with pytest.raises(StoreDamagedError):
            store.commit(Meter("new"), [])
    store.close()
    said = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert "takes no further change" in said[0]
    assert not any(record.exc_info for record in caplog.records)


NO_ROW = ['{"name": "flan', "[1]", '{"expires_at": 7}', '{"a":' * 100_000]


@pytest.mark.parametrize("body", NO_ROW, ids=["cut", "another kind", "no time", "deep"])
def test_a_row_that_is_no_meter_is_damage_too(tmp_path, body):
    store = SqliteStore(tmp_path / "store.sqlite")
    store.commit(Meter("flan-t5"), [])
    with store._file.connection() as connection:
        connection.execute("UPDATE meters SET body = ?", (body,))
    with pytest.raises(StoreDamagedError):
        store.load("flan-t5")
    store.close()


@pytest.mark.parametrize("body", NO_ROW, ids=["cut", "another kind", "no time", "deep"])
def test_a_mark_that_cannot_be_read_is_damage_too(tmp_path, body):
    store = SqliteStore(tmp_path / "store.sqlite")
    with store._file.connection() as connection:
        row = "flan-t5", "2026-06-22", 1, False, body, body
        connection.execute("INSERT INTO marks VALUES (?, ?, ?, ?, ?, ?)", row)
    with pytest.raises(StoreDamagedError):
        store.marks("flan-t5", None)
    with pytest.raises(StoreDamagedError):
        store.past_runs("flan-t5", NOW - timedelta(days=1), NOW + timedelta(days=1))
    store.close()


@pytest.mark.parametrize("again", [False, True])
def test_a_change_to_a_file_that_was_removed_is_not_acknowledged(tmp_path, again):
    path = tmp_path / "state" / "store.sqlite"
    path.parent.mkdir()
    store = SqliteStore(path)
    meter = store.commit(Meter("flan-t5"), [])
    path.parent.rename(tmp_path / "gone")
    if again:
        path.parent.mkdir()
        SqliteStore(path).close()
    with pytest.raises(StateLostError):
        store.commit(meter, [])
    with pytest.raises(StateLostError):
        store.load("flan-t5")
    assert isinstance(store.fault, StateLostError)
    store.close()


@pytest.mark.parametrize("again", [False, True])
def test_a_gateway_whose_lock_is_gone_commits_nothing_beside_its_successor(tmp_path, again):
    first, second = StateFolder(tmp_path), StateFolder(tmp_path)
    first.lock()
    store = SqliteStore(first.store)
    store.watch(first.lock_file)
    meter = store.commit(Meter("flan-t5"), [])
    first.lock_file.unlink()
    if again:
        second.lock()
        other = SqliteStore(second.store)
        other.watch(second.lock_file)
        meter = other.commit(meter, [])
    with pytest.raises(StateLostError):
        store.commit(meter, [])
    with pytest.raises(StateLostError):
        store.load("flan-t5")
    store.close()
    first.release()
    if again:
        assert other.load("flan-t5").version >= meter.version
        other.close()
        second.release()


def test_a_store_that_cannot_be_opened_is_reported_in_plain_words(tmp_path):
    (tmp_path / "store.sqlite").mkdir()
    with pytest.raises(ConfigError, match="cannot be opened: Is a directory"):
        SqliteStore(tmp_path / "store.sqlite")


def test_a_folder_that_cannot_be_looked_at_now_is_a_busy_store(tmp_path, monkeypatch):
    store = SqliteStore(tmp_path / "store.sqlite")
    meter = store.commit(Meter("flan-t5"), [])

    def fail(_path: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("parkmeter.stores.sqlite_file.os.stat", fail)
        with pytest.raises(StoreBusyError) as raised:
            store.commit(meter, [])
    assert type(raised.value) is StoreBusyError
    assert store.fault is None
    store.close()
