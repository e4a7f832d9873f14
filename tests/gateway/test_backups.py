"""The backup of each day: one a day, the newest few are kept, never onto a full disk."""

from datetime import timedelta
from pathlib import Path

import pytest

from parkmeter.gateway.backups import DailyBackups
from parkmeter.stores.backup_files import folder_of
from parkmeter.stores.sqlite import SqliteStore
from tests.support.world import NOON


class Home:
    def __init__(self, path: Path) -> None:
        self.store = path / "parkmeter.sqlite"
        SqliteStore(self.store).close()
        self.time = NOON
        self.days = 3
        self.backups = DailyBackups(self.store, lambda: self.days, lambda: self.time)

    def kept(self) -> list[str]:
        return sorted(file.name for file in folder_of(self.store).glob("*"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_there_is_one_a_day_and_the_newest_are_kept(home):
    for day in range(5):
        home.time = NOON + timedelta(days=day)
        assert home.backups.make_due() is not None
        assert home.backups.make_due() is None, "this day has one"
    assert home.kept() == [f"daily-2026-06-{day}.sqlite" for day in (24, 25, 26)]


def test_files_of_other_kinds_are_left_alone(home):
    folder = folder_of(home.store)
    folder.mkdir()
    for name in ("parkmeter-2026-01-01T000000Z.sqlite", "schema-5.sqlite", "notes.txt"):
        (folder / name).touch()
    home.days = 1
    for day in range(2):
        home.time = NOON + timedelta(days=day)
        home.backups.make_due()
    assert len(home.kept()) == 4
    assert "daily-2026-06-23.sqlite" in home.kept()


def test_none_are_made_when_they_are_turned_off(home):
    home.days = 0
    assert home.backups.make_due() is None
    assert home.kept() == []


def test_a_backup_leaves_room_for_the_store(home, monkeypatch, caplog):
    class Full:
        free = 1_000_000

    monkeypatch.setattr("parkmeter.gateway.backups.shutil.disk_usage", lambda _path: Full)
    assert home.backups.make_due() is None
    assert home.kept() == []
    assert "too little room" in caplog.text


def test_a_backup_that_fails_is_logged_and_retried(home, caplog):
    folder_of(home.store).write_text("in the way")
    assert home.backups.make_due() is None
    assert "failed; retrying" in caplog.text
    folder_of(home.store).unlink()
    assert home.backups.make_due() is not None
