"""A state folder is its owner's alone, whatever the umask was and whoever could write it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkmeter.errors import ConfigError
from parkmeter.private_folder import make_private
from parkmeter.state_folder import StateFolder, write_private

OTHER = 12345
"""The id of a user that is not ours."""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_an_open_umask_leaves_no_folder_open(tmp_path):
    folder = StateFolder(tmp_path / "share" / "state")
    folder.lock()
    folder.release()
    made = [path for path in (tmp_path / "share").rglob("*") if path.is_dir()]
    assert {path.name for path in made} == {"state", "endpoints", "run", "logs"}
    assert {mode(path) for path in made} == {0o700}
    assert mode(tmp_path / "share") == 0o755


def test_a_folder_of_ours_that_others_may_write_is_closed_and_that_is_said(tmp_path, caplog):
    for path in (tmp_path / "state", tmp_path / "state" / "endpoints"):
        path.mkdir()
        path.chmod(0o777)
    folder = StateFolder(tmp_path / "state")
    folder.lock()
    folder.release()
    assert mode(folder.path) == mode(folder.endpoints) == 0o755
    assert "could be written by others (mode 777)" in caplog.text


def test_what_others_put_into_it_is_not_used(tmp_path, monkeypatch):
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (state / "gateway.lock").symlink_to(victim)
    _belongs_to_other(monkeypatch, "gateway.lock")
    with pytest.raises(ConfigError, match=r"gateway\.lock in it belongs to another user"):
        StateFolder(state).lock()
    assert victim.read_text() == "precious"


def test_a_folder_of_another_user_that_others_may_write_is_refused(tmp_path, monkeypatch):
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o1777)
    monkeypatch.setattr("parkmeter.private_folder.os.geteuid", lambda: OTHER)
    with pytest.raises(ConfigError, match=r"belongs to another user .*--state"):
        make_private(state)
    assert mode(state) == 0o1777


def test_no_link_is_followed_where_a_file_is_written(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "token.new").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        write_private(tmp_path / "token", "secret")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "gateway.lock").symlink_to(victim)
    with pytest.raises(ConfigError, match="cannot be used"):
        StateFolder(tmp_path / "state").lock()
    assert victim.read_text() == "precious"


def _belongs_to_other(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a file of this name look like another user's; to make one takes root."""
    real = Path.lstat

    def lstat(self: Path) -> os.stat_result:
        found = real(self)
        if self.name != name:
            return found
        fields = list(found)
        fields[stat.ST_UID] = OTHER
        return os.stat_result(fields)

    monkeypatch.setattr(Path, "lstat", lstat)
