"""`status --watch`: the screen at given moments, and the real command on a real terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from rich.console import Console

from parkmeter.cli.watch import Snapshot, poll, render
from parkmeter.client import Client, Endpoint, RefusedProblem
from tests.support.contract_server import ADMIN, ContractServer, endpoint, problem
from tests.support.gateway_process import GatewayProcess, eventually, ping_config

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)


def shown(snapshot: Snapshot, steady: float) -> list[str]:
    console = Console(width=100, highlight=False, _environ={})
    with console.capture() as captured:
        console.print(render(snapshot, steady, NOW))
    return captured.get().splitlines()


def one(**given: object) -> tuple[Endpoint, ...]:
    return (Endpoint.of(endpoint("flan-t5", **given)),)


def test_the_time_is_counted_down_between_two_snapshots():
    snapshot = Snapshot(one(seconds_left=65), taken=1000.0)
    assert "1:05 left" in shown(snapshot, 1000.0)[0]
    assert "1:03 left" in shown(snapshot, 1002.0)[0]
    assert "left" not in shown(snapshot, 1066.0)[0]


def test_the_state_of_its_schedule_is_shown():
    hours = {"hours": "Sun 09:00-20:00 UTC", "next_window_at": "2026-11-29T09:00:00Z"}
    on = one(seconds_left=65, window_until="2026-11-22T20:00:00Z", **hours)
    assert "  window until 20:00  " in shown(Snapshot(on, 0.0), 0.0)[0]
    held = one(status="stopped", window_until="2026-11-22T20:00:00Z", held=True, **hours)
    assert "  held until Sun 29 Nov 09:00  " in shown(Snapshot(held, 0.0), 0.0)[0]
    outside = one(status="stopped", **hours)
    assert "  next window Sun 29 Nov 09:00  " in shown(Snapshot(outside, 0.0), 0.0)[0]


def styles(snapshot: Snapshot, steady: float) -> list[str]:
    """Return the styles of the lines below the endpoints, without the foot."""
    return [str(line.style) for line in render(snapshot, steady, NOW).renderables[1:-1]]


def test_a_warning_comes_at_its_minute_and_turns_red_at_the_last_one():
    snapshot = Snapshot(one(seconds_left=601, warn_minutes=[10, 2]), taken=1000.0)
    assert styles(snapshot, 1000.5) == []
    assert "More time" not in "".join(shown(snapshot, 1000.5))
    assert shown(snapshot, 1001.0)[1] == (
        "flan-t5 stops in 10:00. More time: parkmeter top-up flan-t5 30"
    )
    other = Snapshot(one(seconds_left=60, extend_minutes=7.5), taken=1000.0)
    assert shown(other, 1000.0)[1].endswith("parkmeter top-up flan-t5 7.5")
    assert styles(snapshot, 1001.0) == ["bold yellow"]
    assert styles(snapshot, 1480.9) == ["bold yellow"]
    assert styles(snapshot, 1481.0) == ["bold red"]
    assert styles(snapshot, 1601.0) == []


def test_without_warnings_configured_or_while_not_running_none_is_shown():
    assert styles(Snapshot(one(seconds_left=5, warn_minutes=[]), 0.0), 0.0) == []
    assert styles(Snapshot(one(seconds_left=5, status="starting"), 0.0), 0.0) == []
    assert styles(Snapshot(one(seconds_left=5), 0.0), 0.0) == ["bold red"]  # an older gateway


def test_while_a_start_is_under_way_the_meter_stands_still():
    snapshot = Snapshot(one(status="starting", seconds_left=65), taken=1000.0)
    assert "1:05 left" in shown(snapshot, 1030.0)[0]


def test_a_lost_connection_is_shown_with_the_age_of_the_data_and_the_countdown_continues():
    snapshot = Snapshot(one(seconds_left=65), taken=1000.0, lost="No gateway answers.")
    line, _, foot = shown(snapshot, 1005.0)
    assert "1:00 left" in line
    assert foot == "Connection lost, retrying; data from 0:05 ago. No gateway answers."


def test_a_line_too_long_for_the_terminal_is_cut_so_that_it_can_be_redrawn():
    lines = shown(Snapshot(one(reason="x" * 300), 0.0), 0.0)
    assert len(lines) == 2
    assert lines[0].endswith("…")


def test_while_the_gateway_is_away_the_last_snapshot_stays():
    with ContractServer() as server, Client(server.url, ADMIN, patience=0) as client:
        seen = poll(client, None, Snapshot((), 0.0))
        assert [found.name for found in seen.endpoints] == ["flan-t5"]
        server.failures = ["drop", problem(503, "clock_stopped", "The clock has stopped.")]
        lost = poll(client, None, seen)
        assert "broke off" in lost.lost
        assert lost.endpoints == seen.endpoints
        assert poll(client, None, lost).lost == "The clock has stopped."
        assert poll(client, None, lost).lost is None
        server.failures = [problem(403, "token_refused", "Revoked.")]
        with pytest.raises(RefusedProblem):
            poll(client, None, seen)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._here, there = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "parkmeter", *arguments],
            stdin=there,
            stdout=there,
            stderr=there,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "24", **environment},
        )
        os.close(there)
        self.output = ""

    def hears(self, pattern: str, seconds: float = 20.0) -> str:
        """Return everything printed until the pattern appears."""
        give_up = time.monotonic() + seconds
        while not re.search(pattern, self.output):
            assert time.monotonic() < give_up, self.output[-2000:]
            ready, _, _ = select.select([self._here], [], [], 0.1)
            if ready:
                try:
                    self.output += os.read(self._here, 65536).decode(errors="replace")
                except OSError:
                    assert re.search(pattern, self.output), self.output[-2000:]
        heard, self.output = self.output, ""
        return heard

    def types(self, text: str) -> None:
        os.write(self._here, text.encode())

    def ends(self, seconds: float = 20.0) -> int:
        code = self.process.wait(seconds)
        os.close(self._here)
        return code


@pytest.fixture
def gateway(tmp_path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path / "state", ping_config(initial_provision_time_minutes=30)) as made:
        made.start()
        made.until("running")
        yield made


def test_on_a_terminal_it_counts_down_shows_a_lost_gateway_and_reconnects(gateway):
    watch = Terminal("status", "--watch", PARKMETER_STATE=str(gateway.state))
    try:
        watch.hears(r"29:\d\d left")
        first = watch.hears(r"Ctrl-C exits")
        assert "Traceback" not in first
        seconds = set(
            re.findall(r"29:(\d\d) left", "".join(watch.hears(r"left") for _ in range(16)))
        )
        assert len(seconds) >= 3, "the countdown moves every second"
        port = gateway.address[1]
        gateway.kill()
        watch.hears(r"Connection lost", 30)
        gateway.arguments = ("--port", str(port))
        gateway.start()
        eventually(gateway.healthy)
        watch.hears(r"Ctrl-C exits", 30)
        watch.process.send_signal(signal.SIGINT)
        assert watch.ends() == 0
    finally:
        if watch.process.poll() is None:
            watch.process.kill()
            watch.ends()


def test_on_a_terminal_an_eject_asks_and_no_means_no(gateway):
    asked = Terminal("eject", PARKMETER_STATE=str(gateway.state))
    asked.hears(r"give up 29:\d\d\? \[y/N\]")
    asked.types("n\n")
    assert asked.ends() == 1
    assert gateway.endpoint()["seconds_left"] > 1000
    asked = Terminal("eject", PARKMETER_STATE=str(gateway.state))
    asked.hears(r"\[y/N\]")
    asked.types("y\n")
    asked.hears("ejected, 29:")
    assert asked.ends() == 0
    assert gateway.endpoint()["seconds_left"] == 0


def test_in_a_pipe_each_snapshot_is_a_line_of_json(gateway):
    watch = subprocess.Popen(
        [sys.executable, "-m", "parkmeter", "status", "--watch", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PARKMETER_STATE": str(gateway.state), "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert '"flan-t5"' in watch.stdout.readline()
        assert '"flan-t5"' in watch.stdout.readline()
    finally:
        watch.send_signal(signal.SIGINT)
        assert watch.wait(20) == 0
        watch.stdout.close()
