"""Processes of a measurement: started on one core, their processor time, always ended."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from benchmarks.machine import ROOT

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
GATEWAY_CORE, LOAD_CORE = (CORES[0], CORES[-1]) if len(CORES) > 1 else (None, None)
"""What is measured has one core, stub and load share another; None where that cannot be had."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 30.0


class NotStartedError(Exception):
    """Raised when a program does not answer as it should; has its last words."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor time in seconds, of the program and of the kernel for it."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.system

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.user - earlier.user, self.system - earlier.system)


@dataclass(frozen=True, slots=True)
class Process:
    """A program that runs."""

    pid: int
    popen: "subprocess.Popen[bytes]"
    output: IO[bytes]

    def cpu(self, *, tree: bool = False) -> Cpu:
        """Return its processor time so far; with `tree` that of its children, too."""
        return cpu_of(self.pid, tree=tree)

    def memory(self) -> int:
        """Return its resident bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.popen.kill()

    def words(self) -> str:
        """Return the end of what it has printed."""
        file = self.output.fileno()
        last = os.pread(file, 400, max(0, os.fstat(file).st_size - 400))
        return last.decode(errors="replace").strip() or "it printed nothing"


def cpu_of(pid: int, *, tree: bool = False) -> Cpu:
    """Return the processor time of a process: the sum to the nanosecond, its parts by ticks."""
    tasks = list(_tasks(pid, tree=tree))
    exact = sum(int((_words(task / "schedstat") or ["0"])[0]) for task in tasks) / 1e9
    parts = [_stat(task) for task in tasks]
    user, system = (sum(part[which] for part in parts) for which in (0, 1))
    if not exact or not user + system:
        return Cpu(user, system)
    return Cpu(exact * user / (user + system), exact * system / (user + system))


@contextmanager
def running(
    command: Sequence[str],
    core: int | None = None,
    environment: Mapping[str, str] | None = None,
    patience: float = 15.0,
) -> Iterator[Process]:
    """Run a program on that core while entered, then end it: politely, and after a while not."""
    with TemporaryFile() as output:
        with on_core(core):
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                cwd=ROOT,
            )
        try:
            yield Process(popen.pid, popen, output)
        finally:
            popen.terminate()
            try:
                popen.wait(patience)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Keep this thread, and what it starts, on one core while entered."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def python(*arguments: object) -> list[str]:
    """Return the command that runs this interpreter."""
    return [sys.executable, *map(str, arguments)]


def free_port() -> int:
    """Return a port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    holds: Callable[[], object], process: Process | None = None, seconds: float = _PATIENCE
) -> None:
    """Return as soon as it holds.

    Raises:
        NotStartedError: When it does not, within that time or because the process has ended.
    """
    give_up = time.monotonic() + seconds
    while not holds():
        ended = process is not None and process.popen.poll() is not None
        if ended or time.monotonic() > give_up:
            why = process.words() if process is not None else f"not within {seconds:.0f} s"
            raise NotStartedError(why)
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Return whether a connection to this port of loopback is accepted."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _tasks(pid: int, *, tree: bool) -> Iterator[Path]:
    for task in Path(f"/proc/{pid}/task").glob("*"):
        yield task
        if tree:
            for child in _words(task / "children"):
                yield from _tasks(int(child), tree=True)


def _stat(task: Path) -> tuple[float, float]:
    """Return user and system seconds; the name before them may hold blanks."""
    try:
        fields = (task / "stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    except OSError:  # the thread has just ended
        return 0.0, 0.0
    return int(fields[11]) / _TICKS, int(fields[12]) / _TICKS


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
