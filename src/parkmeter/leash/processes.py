"""Processes of a run: finding all of them, ending all of them.

On Linux nothing escapes a living leash, because orphans come to it as their subreaper, and what
outlives a killed one is found by its environment. Elsewhere only the process group is known.
"""
# pathlib would lengthen every start by a fifth.
# ruff: noqa: PTH123, PTH208

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from parkmeter.leash.files import Content

RUN_VARIABLE = "PARKMETER_RUN"
"""Environment variable with the run's id, inherited by all that a server starts."""


class Process(NamedTuple):
    """A living process; `start` in clock ticks since boot tells two of the same id apart."""

    pid: int
    parent: int
    session: int
    start: int


def living() -> Iterator[Process]:
    """Every process that is not a zombie. Nothing where there is no /proc."""
    if sys.platform != "linux":
        return
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and (process := process_of(int(entry))):
            yield process


def process_of(pid: int) -> Process | None:
    """The living process of this id; None if there is none, or where there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The program's name, in parentheses, may hold anything: count from its end.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if not fields or fields[0] in (b"Z", b"X"):
        return None
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def descendants() -> list[int]:
    """All processes below this one."""
    children: dict[int, list[int]] = {}
    for process in living():
        children.setdefault(process.parent, []).append(process.pid)
    found = list(children.get(os.getpid(), ()))
    for pid in found:  # grows while it is walked
        found += children.get(pid, ())
    return found


def kill_left_of(record: Content, *, lock_is_held: bool = False) -> bool:
    """Kill what is left of a run whose leash is dead; whether there was anything.

    It is known by its environment. Some programs write a title for `ps` over theirs, hence also
    the server's session, unless its number has been given to a younger process since.
    """
    run, server = f"{RUN_VARIABLE}={record['run']}".encode(), record.get("server")
    if sys.platform != "linux":
        # All that can be known: the lock is still held by something, and this was the group.
        return lock_is_held and server is not None and signal_group(server, signal.SIGKILL)
    everything = list(living())
    leader = next((process for process in everything if process.pid == server), None)
    same = leader is None or leader.start == record.get("server_start")
    session = server if same else None
    left = [
        process.pid
        for process in everything
        if process.pid != os.getpid()
        and (process.session == session or run in _environment(process.pid))
    ]
    kill(left)
    return bool(left)


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:  # gone, or another user's
        return []


def kill(pids: Iterable[int]) -> None:
    """Send SIGKILL to each; one already gone or out of reach is passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def signal_group(group: int, number: int) -> bool:
    """Send a signal (0 only looks) to a process group; False if nobody is in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody is in it, out of reach
        return True
    return True


if sys.platform == "linux":
    _prctl = ctypes.CDLL(None).prctl
    _SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36

    def adopt_orphans() -> None:
        """Become the parent of every descendant that loses its own."""
        _prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def die_with(parent: int) -> None:
        """In a child of `parent`, before its program begins: die when the parent does."""
        _prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os.kill(os.getpid(), signal.SIGKILL)

else:

    def adopt_orphans() -> None:
        """Not possible here: a worker that leaves the process group is on its own."""

    def die_with(parent: int) -> None:
        """Not possible here: what a killed leash leaves is cleared by the next stop."""
