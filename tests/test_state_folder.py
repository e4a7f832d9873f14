"""The holder of a state folder, and how others find it."""

import fcntl
import os
import threading
import time

import pytest

from parkmeter.errors import NoGatewayError
from parkmeter.gateway.reload import reload_gateway
from parkmeter.state_folder import LockHolder, StateFolder, StateLockedError

URL = "http://127.0.0.1:1"


@pytest.fixture
def held(tmp_path):
    folder = StateFolder(tmp_path / "state")
    folder.lock()
    yield folder
    folder.release()


def test_a_holder_is_known_as_long_as_it_holds(held):
    other = StateFolder(held.path)
    assert other.holder() is None, "it has not got its address yet"
    held.write_holder(URL)
    assert other.holder() == LockHolder(URL, os.getpid())
    held.write_holder(URL, held.path / "parkmeter.toml")
    assert other.holder() == LockHolder(URL, os.getpid(), held.path / "parkmeter.toml")
    with pytest.raises(StateLockedError, match=URL):
        other.lock()
    held.release()
    assert other.holder() is None


def test_what_a_killed_holder_wrote_is_not_believed(held):
    held.write_holder(URL)
    os.close(held._lock)  # as the system does for a killed process: the text stays
    held._lock = None
    assert held.lock_file.read_text()
    assert StateFolder(held.path).holder() is None


def test_somebody_who_only_looks_keeps_no_gateway_from_starting(tmp_path):
    folder = StateFolder(tmp_path)
    looking = os.open(folder.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.1, os.close, [looking]).start()
    folder.lock()
    folder.release()


def test_looking_at_a_folder_makes_nothing(tmp_path):
    assert StateFolder(tmp_path / "nowhere").holder() is None
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_gateway_answered_is_gone_with_the_next_start(tmp_path):
    folder = StateFolder(tmp_path)
    folder.reload_file.write_text("{}")
    folder.lock()
    assert not folder.reload_file.exists()
    folder.release()


def test_a_gateway_that_does_not_answer_a_reload_is_not_waited_for_for_ever(held, monkeypatch):
    monkeypatch.setattr("parkmeter.gateway.reload._send_hangup", lambda *_: None)
    held.write_holder(URL)
    began = time.monotonic()
    with pytest.raises(NoGatewayError, match="did not reload within"):
        reload_gateway(StateFolder(held.path), within=0.2)
    assert time.monotonic() - began < 5


def test_a_gateway_that_ends_before_it_could_reload_is_told_of(held, monkeypatch):
    monkeypatch.setattr("parkmeter.gateway.reload._send_hangup", lambda *_: held.release())
    held.write_holder(URL)
    with pytest.raises(NoGatewayError, match="ended before it could reload"):
        reload_gateway(StateFolder(held.path), within=5)
