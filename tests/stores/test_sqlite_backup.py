"""Backups of the local store: complete, checked, and put back without a moment of no store."""

import sqlite3
import stat
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from parkmeter.core.audit import Action
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Meter
from parkmeter.core.tokens import Token
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.stores.sqlite_backup import BackupError, back_up, copy_before_upgrade, restore
from parkmeter.stores.sqlite_file import _MIGRATIONS, SCHEMA
from tests.stores.test_sqlite_damage import damage, filled

NOW = datetime(2026, 6, 22, 8, 24, 12, tzinfo=UTC)


def a_minute_more(store: SqliteStore, number: int) -> None:
    meter = store.load("flan-t5")
    entry = Entry("flan-t5", Kind.TOP_UP, NOW, "ada", "1 min", f"k{number}", NOW)
    added = replace(meter, expires_at=meter.expires_at + timedelta(minutes=1))
    store.commit(added, [entry])


def minutes_in(file: Path) -> int:
    store = SqliteStore(file)
    try:
        return (store.load("flan-t5").expires_at - Meter("flan-t5").expires_at) // timedelta(
            minutes=1
        )
    finally:
        store.close()


def test_a_copy_of_a_store_in_use_has_all_that_was_committed_before(tmp_path):
    store, ended = SqliteStore(tmp_path / "store.sqlite"), threading.Event()
    done = 0

    def work() -> None:
        nonlocal done
        while not ended.is_set():
            a_minute_more(store, done)
            done += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for number in range(5):
            while done < 10 * (number + 1):
                pass
            before = done
            back_up(tmp_path / "store.sqlite", tmp_path / f"copy-{number}.sqlite")
            assert minutes_in(tmp_path / f"copy-{number}.sqlite") >= before
    finally:
        ended.set()
        thread.join()
    store.close()


def test_a_copy_is_one_private_file_in_a_private_folder(tmp_path):
    SqliteStore(tmp_path / "store.sqlite").close()
    size = back_up(tmp_path / "store.sqlite", tmp_path / "backups" / "copy.sqlite")
    (copy,) = (tmp_path / "backups").iterdir()
    assert copy.stat().st_size == size
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700


def test_a_damaged_or_missing_store_gives_no_backup(tmp_path):
    with pytest.raises(BackupError, match="There is no store"):
        back_up(tmp_path / "store.sqlite", tmp_path / "copy.sqlite")
    filled(tmp_path / "store.sqlite").close()
    damage(tmp_path / "store.sqlite")
    with pytest.raises(BackupError, match="could not be copied"):
        back_up(tmp_path / "store.sqlite", tmp_path / "copy.sqlite")
    assert not [file for file in tmp_path.iterdir() if "copy" in file.name]


def test_a_restored_store_is_the_backups_and_the_previous_one_is_kept(tmp_path):
    file, copy = tmp_path / "store.sqlite", tmp_path / "copy.sqlite"
    store = SqliteStore(file)
    a_minute_more(store, 1)
    store.put_token(Token("t1", "sha256:00", "ada", NOW))
    back_up(file, copy)
    version = store.load("flan-t5").version
    a_minute_more(store, 2)
    store.close()
    kept = restore(copy, file, NOW)
    assert (minutes_in(file), minutes_in(kept)) == (1, 2)
    again = SqliteStore(file)
    assert [token.name for token in again.tokens()] == ["ada"]
    assert again.load("flan-t5").version > version + 1000, "leashes ignore lower versions"
    (record,) = again.audit(10)
    assert (record.action, record.what) == (Action.RESTORED, "from copy.sqlite")
    again.close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_each_restore_of_the_same_backup_is_ahead_of_all_versions_before_it(tmp_path):
    file, copy = tmp_path / "store.sqlite", tmp_path / "copy.sqlite"
    store = SqliteStore(file)
    a_minute_more(store, 1)
    store.close()
    back_up(file, copy)
    versions = []
    for number in range(2):
        restore(copy, file, NOW + timedelta(seconds=number))
        store = SqliteStore(file)
        for line in range(10):  # the deadlines of a leash that runs on
            a_minute_more(store, 10 + line)
        versions.append(store.load("flan-t5").version)
        store.close()
    assert versions[1] > versions[0] + 10


def test_a_backup_is_not_put_over_its_own_store(tmp_path):
    file = tmp_path / "store.sqlite"
    SqliteStore(file).close()
    (tmp_path / "link").symlink_to(file)
    before = file.stat()
    for target in (file, tmp_path / "link"):
        with pytest.raises(BackupError, match="is the store itself"):
            back_up(file, target)
    assert file.stat() == before


def test_a_damaged_store_can_be_replaced_and_is_kept_as_it_was(tmp_path):
    file, copy = tmp_path / "store.sqlite", tmp_path / "copy.sqlite"
    filled(file).close()
    back_up(file, copy)
    damage(file)
    broken = file.read_bytes()
    kept = restore(copy, file, NOW)
    assert kept.read_bytes() == broken
    store = SqliteStore(file)
    assert len(store.journal("endpoint-7", 10)) == 3
    store.close()


def test_changes_that_are_not_in_the_main_file_yet_are_kept_with_the_previous_store(tmp_path):
    """A gateway that was killed leaves its last changes in the write-ahead log."""
    file, copy = tmp_path / "store.sqlite", tmp_path / "copy.sqlite"
    store = SqliteStore(file)
    back_up(file, copy)
    a_minute_more(store, 1)
    killed = tmp_path / "killed.sqlite"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{killed}{suffix}").write_bytes(Path(f"{file}{suffix}").read_bytes())
    store.close()
    kept = restore(copy, killed, NOW)
    assert (minutes_in(killed), minutes_in(kept)) == (0, 1)


@pytest.mark.parametrize("kind", ["missing", "text", "other", "newer", "damaged"])
def test_what_is_no_backup_is_refused_and_nothing_changes(tmp_path, kind):
    file, copy = tmp_path / "store.sqlite", tmp_path / "copy.sqlite"
    SqliteStore(file).close()
    match kind:
        case "text":
            copy.write_text("no database " * 1000)
        case "other":
            with closing(sqlite3.connect(copy)) as connection:
                connection.execute("CREATE TABLE meters (name TEXT)")
        case "newer":
            SqliteStore(copy).close()
            with closing(sqlite3.connect(copy)) as connection:
                connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
        case "damaged":
            filled(copy).close()
            damage(copy)
    before = file.read_bytes()
    with pytest.raises(BackupError):
        restore(copy, file, NOW)
    assert file.read_bytes() == before
    left = {found.name for found in tmp_path.iterdir()} - {copy.name}
    assert left <= {file.name}


def test_a_store_of_an_older_schema_is_copied_before_it_is_migrated(tmp_path, monkeypatch):
    file = tmp_path / "store.sqlite"
    assert copy_before_upgrade(file) is None
    with monkeypatch.context() as earlier:
        earlier.setattr("parkmeter.stores.sqlite_file._MIGRATIONS", _MIGRATIONS[:5])
        SqliteStore(file).close()
    copy = copy_before_upgrade(file)
    assert copy == tmp_path / "backups" / "schema-5.sqlite"
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
    SqliteStore(file).close()
    assert copy_before_upgrade(file) is None


def test_the_copy_of_an_earlier_upgrade_is_replaced(tmp_path, monkeypatch):
    """After a way back to the older version, and time bought there, the store is migrated again."""
    file, folder = tmp_path / "store.sqlite", tmp_path / "backups"
    with monkeypatch.context() as earlier:
        earlier.setattr("parkmeter.stores.sqlite_file._MIGRATIONS", _MIGRATIONS[:6])
        store = SqliteStore(file)
        copy_before_upgrade(file)
        a_minute_more(store, 1)
        store.close()
    assert copy_before_upgrade(file) == folder / "schema-6.sqlite"
    assert minutes_in(folder / "schema-6.sqlite") == 1
