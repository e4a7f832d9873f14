"""Other work beside one token that asks without pause: another's prompts, status, top-up, eject.

A whole gateway with a real server process (the stub) has one core; the stub and all clients share
the other. 512 connections of one token each have a prompt under way all the time. Meanwhile
another token asks a prompt every 10 ms, and the control routes are called a few times a second, the
eject on a connection of its own, as the command line does.

    python -m benchmarks.fairness [--rounds 3] [--seconds 8]
"""

import asyncio
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from benchmarks import report
from benchmarks.data_plane import wrk
from benchmarks.data_plane.load import RefusedError
from benchmarks.data_plane.peer import Program, UnavailableError
from benchmarks.data_plane.processes import (
    GATEWAY_CORE,
    LOAD_CORE,
    on_core,
    process,
    processor_time,
)
from benchmarks.data_plane.questions import Question
from benchmarks.data_plane.rounds import Drive
from benchmarks.report import Bound, Claim, Effort, Missing, Row

CROWD = 512
PROMPT_PAUSE, STATUS_PAUSE, TOP_UP_PAUSE, EJECT_PAUSE = 0.01, 0.1, 0.2, 0.5
"""Seconds between the end of one request and the next one of its kind."""

_ADMIN = "pm_benchmark_fairness"
_START_SECONDS = 30.0
_WARM_SECONDS = 1.0
_CONFIG = """
[gateway]
changes_per_second = 1000000
changes_burst = 1000000

[endpoints.flan-t5]
command = {stub}
environment = {{ PYTHONPATH = {path} }}
api_resource = "flan"
initial_provision_time_minutes = 600
max_minutes_ahead = 500000

[endpoints.spare]
command = ["sh", "-c", "exec sleep 600", "{{port}}"]
initial_provision_time_minutes = 0
start_timeout_seconds = 600
"""


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds that the requests of one kind took, in ascending order."""

    seconds: tuple[float, ...]

    def part(self, of_hundred: float) -> float:
        """Return the time within which this part of them was answered."""
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * of_hundred / 100))]


@dataclass(frozen=True, slots=True)
class Fairness:
    """The result of one run."""

    crowd_rate: float
    """Prompts of the crowd answered a second."""
    share: float | None
    """Of its core, that the gateway worked or waited for it: near 1, it set the pace."""
    prompts: Waits
    statuses: Waits
    top_ups: Waits
    ejects: Waits


def measure(effort: Effort) -> Iterator[Row]:
    """Claims on all rounds, each with a fresh gateway."""
    try:
        program = wrk.find(install=effort.installs)
    except UnavailableError as error:
        yield Missing("a crowd by wrk", str(error))  # our own clients would be the bottleneck
        return
    found = [run(program, effort.seconds) for _ in range(effort.rounds)]
    subject = f"beside {CROWD} loops of one token"
    yield Claim(subject, "prompts of the crowd", [one.crowd_rate for one in found], "/s")
    for figure, waits, of_hundred, target in (
        ("another's prompt, p50", [one.prompts for one in found], 50, None),
        ("another's prompt, p99", [one.prompts for one in found], 99, 25),
        ("status, p99", [one.statuses for one in found], 99, 100),
        ("top-up, p99", [one.top_ups for one in found], 99, 100),
        ("eject, longest", [one.ejects for one in found], 100, 200),
    ):
        values = [one.part(of_hundred) * 1e3 for one in waits]
        bound = None if target is None else Bound.AT_MOST
        yield Claim(subject, figure, values, "ms", bound, target or 0)


def run(program: Program, seconds: float, crowd: int = CROWD) -> Fairness:
    """Measure for that long on a gateway of its own, with wrk as the crowd.

    Raises:
        RefusedError: When not every request was answered with success.
    """
    with tempfile.TemporaryDirectory(prefix="fairness-") as name:
        drive = wrk.Wrk(program, Path(name)).drive
        with _gateway(Path(name)) as (pid, port), on_core(LOAD_CORE):
            return uvloop.run(_measured(pid, port, crowd, seconds, drive))


@contextmanager
def _gateway(folder: Path) -> Iterator[tuple[int, int]]:
    """Run `parkmeter up` on its core; yields its process id and port."""
    stub = [sys.executable, "-m", "benchmarks.data_plane.stub", "{port}"]
    if LOAD_CORE is not None:
        stub = ["taskset", "-c", str(LOAD_CORE), *stub]
    config, client = folder / "parkmeter.toml", folder / "client.json"
    config.write_text(_CONFIG.format(stub=json.dumps(stub), path=json.dumps(os.getcwd())))
    command = [sys.executable, "-m", "parkmeter", "up", "--port", "0"]
    command += ["--state", str(folder), "--config", str(config)]
    with (
        on_core(GATEWAY_CORE),
        process(command, folder / "log", {"PARKMETER_BOOTSTRAP_TOKEN": _ADMIN}) as pid,
    ):
        give_up = time.monotonic() + _START_SECONDS
        while not client.exists():
            if time.monotonic() > give_up:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.05)
        yield pid, int(json.loads(client.read_text())["url"].rpartition(":")[2].strip("/"))


async def _measured(pid: int, port: int, crowd: int, seconds: float, drive: Drive) -> Fairness:
    await _once(port, _request("POST", "/flan", _ADMIN, Question().body, "Prefer: wait=20"))
    made = _request("POST", "/tokens", _ADMIN, b'{"name": "crowd", "scopes": ["invoke"]}')
    question = Question(token=json.loads(await _once(port, made))["token"])
    length = math.ceil(seconds + 2 * _WARM_SECONDS)
    load = asyncio.create_task(asyncio.to_thread(drive, port, question, crowd, length))
    await asyncio.sleep(_WARM_SECONDS)
    before, began = processor_time(pid), time.perf_counter()
    end = began + seconds
    waits = await asyncio.gather(
        *(
            _repeat(port, _request(*request), pause, end)
            for request, pause in (
                (("POST", "/flan", _ADMIN, Question().body), PROMPT_PAUSE),
                (("GET", "/endpoints/flan-t5", _ADMIN), STATUS_PAUSE),
                (
                    ("POST", "/endpoints/flan-t5/top-ups", _ADMIN, b'{"minutes": 0.02}'),
                    TOP_UP_PAUSE,
                ),
            )
        ),
        _ejects(port, end),
    )
    taken = time.perf_counter() - began
    after = processor_time(pid)
    found = await load
    share = None if before is None or after is None else (after - before).wanted / taken
    prompts, statuses, top_ups, ejects = (Waits(tuple(sorted(one))) for one in waits)
    return Fairness(found.requests / found.seconds, share, prompts, statuses, top_ups, ejects)


async def _repeat(port: int, request: bytes, pause: float, end: float) -> list[float]:
    """Send a request over and over on one connection; return how long each took."""
    client = await _connected(port)
    taken: list[float] = []
    while (began := time.perf_counter()) < end:
        await client.ask(request)
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(pause)
    client.close()
    return taken


async def _ejects(port: int, end: float) -> list[float]:
    top_up = _request("POST", "/endpoints/spare/top-ups", _ADMIN, b'{"minutes": 10}')
    eject = _request("POST", "/endpoints/spare/eject", _ADMIN, b"{}")
    taken: list[float] = []
    while time.perf_counter() < end:
        await _once(port, top_up)
        await asyncio.sleep(EJECT_PAUSE)
        began = time.perf_counter()
        await _once(port, eject)
        taken.append(time.perf_counter() - began)
    return taken


def _request(method: str, path: str, token: str, body: bytes = b"", *lines: str) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
    head += ["Content-Type: application/json", *lines, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


async def _once(port: int, request: bytes) -> bytes:
    """Send a request on a connection of its own; return the answer's body."""
    client = await _connected(port)
    try:
        return await client.ask(request)
    finally:
        client.close()


async def _connected(port: int) -> "_Client":
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(_Client, "127.0.0.1", port))[1]


class _Client(asyncio.Protocol):
    """One connection; `ask` is called again only when it has returned."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def ask(self, request: bytes) -> Awaitable[bytes]:
        """Send a request; return the future of the answer's body."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head, _, length = self._received[:end].lower().partition(b"\r\ncontent-length:")
        if len(self._received) < end + 4 + int(length.partition(b"\r\n")[0] or 0):
            return
        received, self._received = self._received, b""
        if b" 20" in head[:12]:
            self._answer.set_result(received[end + 4 :])
        else:
            self._answer.set_exception(RefusedError(received.decode(errors="replace")))

    def connection_lost(self, _error: Exception | None) -> None:
        if hasattr(self, "_answer") and not self._answer.done():
            self._answer.set_exception(RefusedError("the connection was closed"))


if __name__ == "__main__":
    report.main(__doc__, measure, full=Effort(rounds=3, seconds=8), smoke=Effort(1, 0.5))
