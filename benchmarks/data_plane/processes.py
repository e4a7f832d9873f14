"""Servers as processes of their own, each on one core, and the processor time that they took."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from benchmarks.data_plane.questions import Question

START_SECONDS = 60.0
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
GATEWAY_CORE, LOAD_CORE = (CORES[0], CORES[-1]) if len(CORES) > 1 else (None, None)
"""The gateways have one core, the stub and the load the other; None where that cannot be had."""


class DidNotStartError(Exception):
    """Raised when a server does not answer as it should; says what it said."""


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Pin processes started while entered to that core, with their threads and children."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def process(
    command: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a server while entered; yields its process id."""
    with log.open("wb") as words:
        running = subprocess.Popen(
            command, stdout=words, stderr=words, env={**os.environ, **(environment or {})}
        )
    try:
        yield running.pid
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def server(module: str, *ports: int) -> list[str]:
    """Return the command of one of our own servers."""
    return [sys.executable, "-m", module, *map(str, ports)]


def wait_for(port: int, question: Question, log: Path, *, checks_token: bool = True) -> None:
    """Return once the question is answered with 200, and another token is refused.

    Raises:
        DidNotStartError: When that is not so within a minute.
    """
    deadline = time.monotonic() + START_SECONDS
    status = 0
    while status != 200:
        if time.monotonic() > deadline:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = lines[-1][:300] if lines else "it said nothing"
            raise DidNotStartError(f"it did not start (status {status}): {last}")
        time.sleep(0.02)
        status = _asked(port, question, question.token)
    if not checks_token:
        return
    if (refused := _asked(port, question, f"{question.token}-wrong")) not in {400, 401, 403}:
        raise DidNotStartError(f"a wrong token was answered with {refused}")


def _asked(port: int, question: Question, token: str) -> int:
    """Return the answer's status; 0 while nothing listens, or without a valid answer."""
    headers = {**question.headers, "Authorization": f"Bearer {token}"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", question.path, question.body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
    return answer.status


def connections(port: int) -> int:
    """Return the number of connections to a port of the stub, without this one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/connections")
        return int(connection.getresponse().read())
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Of a process with its threads and children, in seconds since they started."""

    worked: float
    wanted: float
    """Worked, or could have worked if the core had not been another's."""

    def __sub__(self, earlier: Self) -> Self:
        return replace(
            self, worked=self.worked - earlier.worked, wanted=self.wanted - earlier.wanted
        )


def processor_time(pid: int) -> ProcessorTime | None:
    """Return the processor time of a process so far; None where the system has no such figure."""
    if not Path(f"/proc/{pid}/schedstat").exists():
        return None
    told = [_read(task / "schedstat") or ["0", "0"] for task in _tasks(pid)]
    worked, waited = (sum(int(fields[which]) for fields in told) / 1e9 for which in (0, 1))
    return ProcessorTime(worked, worked + waited)


def _tasks(pid: int) -> Iterator[Path]:
    for task in Path(f"/proc/{pid}/task").glob("*"):
        yield task
        for child in _read(task / "children"):
            yield from _tasks(int(child))


def _read(file: Path) -> list[str]:
    """Return the words of a file; none if its thread has just ended."""
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
