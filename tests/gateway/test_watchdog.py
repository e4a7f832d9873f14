"""Signs of life for systemd: from a loop that runs and a clock that goes round, and only then."""

import asyncio
import os
import socket
import threading
from datetime import timedelta

import pytest

from parkmeter.gateway import systemd
from parkmeter.gateway.clock import LocalClock


@pytest.fixture
def manager(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def received(manager: socket.socket) -> list[bytes]:
    """Return what came since the last call."""
    found = []
    try:
        while True:
            found.append(manager.recv(100))
    except BlockingIOError:
        return found


def watched_for(seconds: float, alive, milliseconds: int = 30) -> None:
    """Run a loop that is watched, for some time."""

    async def run() -> None:
        systemd.Watchdog(alive).start({"WATCHDOG_USEC": str(milliseconds * 1000)})
        await asyncio.sleep(seconds)

    asyncio.run(run())


def test_a_sign_comes_at_once_and_again_and_again(manager):
    watched_for(0.2, lambda: True)
    signs = received(manager)
    assert set(signs) == {b"WATCHDOG=1"}
    assert len(signs) >= 3


def test_a_clock_that_stands_still_gives_no_sign_though_the_loop_runs(manager, monkeypatch):
    monkeypatch.setattr("parkmeter.gateway.clock._ALIVE_WITHIN", 0.1)
    monkeypatch.setattr("parkmeter.gateway.clock._LONGEST_SLEEP", 0.02)
    clock = LocalClock()
    stopped, begun = threading.Event(), threading.Event()
    now = clock.now

    def stuck() -> object:
        if begun.is_set():
            stopped.wait(20)
        return now()

    clock.start(lambda _name: None, lambda: None, lambda _jump: None)
    try:
        watched_for(0.1, clock.alive)
        assert b"WATCHDOG=1" in received(manager)
        monkeypatch.setattr(clock, "now", stuck)
        begun.set()
        deadline = threading.Event()
        while clock.alive():
            deadline.wait(0.01)
        watched_for(0.2, clock.alive)
        assert received(manager) == []
    finally:
        stopped.set()
        clock.stop()


def test_a_clock_whose_workers_are_all_stuck_gives_no_sign(manager, monkeypatch):
    monkeypatch.setattr("parkmeter.gateway.clock._STUCK_AFTER", 0.05)
    clock = LocalClock()
    free = threading.Event()
    clock.start(lambda _name: free.wait(20) and None, lambda: None, lambda _jump: None)
    try:
        for number in range(64):
            clock.wake(f"endpoint-{number}", clock.now() - timedelta(seconds=1))
        waiting = threading.Event()
        while clock.alive():
            waiting.wait(0.01)
        watched_for(0.2, clock.alive)
        assert received(manager) == []
    finally:
        free.set()
        clock.stop()


def test_a_clock_that_was_ended_gives_no_sign(manager):
    clock = LocalClock()
    clock.start(lambda _name: None, lambda: None, lambda _jump: None)
    clock.stop()
    watched_for(0.1, clock.alive)
    assert received(manager) == []


def test_a_manager_that_does_not_read_holds_up_nothing(manager):
    watched_for(1.0, lambda: True, milliseconds=3)  # hundreds: more than a socket keeps
    assert received(manager)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_a_watch_there_is_none(environment):
    assert systemd.watched_seconds(environment) is None


def test_the_time_is_read_as_systemd_writes_it():
    mine = {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    assert systemd.watched_seconds(mine) == 60
