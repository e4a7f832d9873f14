"""Processes of a run: find all of them, kill all of them, describe how they ended.

On Linux no process escapes a living leash, which is the subreaper of its orphans, and processes
that outlive a killed leash are found by their environment. Elsewhere only the group is known.
"""
# pathlib would lengthen every start by a fifth.
# ruff: noqa: PTH116, PTH123, PTH208

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from parkmeter.leash.control_group import kill_group
from parkmeter.leash.files import Content

RUN_VARIABLE = "PARKMETER_RUN"
"""Environment variable with the run's id, inherited by every process that a server starts."""


class Process(NamedTuple):
    """A living process; `start`, in clock ticks since boot, distinguishes a reused id."""

    pid: int
    parent: int
    session: int
    start: int


def living() -> Iterator[Process]:
    """Yield every process that is not a zombie. Yields none where there is no /proc."""
    if sys.platform != "linux":
        return
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and (process := process_of(int(entry))):
            yield process


def process_of(pid: int) -> Process | None:
    """Return the living process with this id; None if there is none, or no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The program's name, in parentheses, may contain anything: count from its end.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if not fields or fields[0] in (b"Z", b"X"):
        return None
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def descendants() -> list[int]:
    """Return the ids of all descendants of this process."""
    children: dict[int, list[int]] = {}
    for process in living():
        children.setdefault(process.parent, []).append(process.pid)
    found = list(children.get(os.getpid(), ()))
    for pid in found:  # grows during the iteration
        found += children.get(pid, ())
    return found


def kill_leftovers(record: Content, lock: str, *, lock_is_held: bool = False) -> bool:
    """Kill the processes left by a run whose leash is dead; return whether there were any.

    They are found by their control group, if the run has one, and by their environment. Some
    programs overwrite theirs with a title for `ps`, hence also by the server's session, unless its
    id has been reused by a younger process, and by the lock that they inherited.
    """
    run, server = f"{RUN_VARIABLE}={record['run']}".encode(), record.get("server")
    if sys.platform != "linux":
        # All that is known here: the lock is still held, and this was the process group.
        return lock_is_held and server is not None and signal_group(server, signal.SIGKILL)
    grouped = kill_group(record["cgroup"]) if record.get("cgroup") else False
    everything = list(living())
    leader = next((process for process in everything if process.pid == server), None)
    same = leader is None or leader.start == record.get("server_start")
    session = server if same else None
    left = [
        process.pid
        for process in everything
        # Not the gateway that started this leash: it may hold the lock for an instant.
        if process.pid not in {os.getpid(), os.getppid()}
        and (
            process.session == session
            or (record["run"] and run in _environment(process.pid))
            or (holds_lock(process.pid, lock) and not _is_leash(process.pid))
        )
    ]
    kill(left)
    return grouped or bool(left)


def holds_lock(pid: int, path: str) -> bool:
    """Return whether a process has the locked file open that a leash has handed to its server.

    One that only examines the lock has opened the file itself, and holds it shared at most.
    """
    try:
        wanted = os.stat(path)
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), wanted) and _is_exclusive(
                    f"/proc/{pid}/fdinfo/{number}"
                ):
                    return True
    except OSError:  # gone, or another user's process
        pass
    return False


def _is_exclusive(fdinfo: str) -> bool:
    with open(fdinfo, "rb") as file:
        return any(b"FLOCK" in line and b"WRITE" in line for line in file)


def _is_leash(pid: int) -> bool:
    """Return whether this is a leash of this user: another one may be clearing the same run."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid() and any(
            word.endswith(b"/leash/__main__.py") for word in words
        )
    except OSError:
        return False


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:  # gone, or another user's process
        return []


def kill(pids: Iterable[int]) -> None:
    """Send SIGKILL to each; one that is gone or not permitted is skipped."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def signal_group(group: int, number: int) -> bool:
    """Send a signal (0 only tests) to a process group; return False if the group is empty."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # not empty, but not permitted
        return True
    return True


def describe_spawn_error(error: OSError) -> str:
    """Return the reason why a command could not be spawned, for people."""
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"not found: {error.filename}"
    if isinstance(error, PermissionError) and error.filename is not None:
        return f"not allowed to execute: {error.filename}"
    return error.strerror or str(error)


def describe_exit(code: int) -> str:
    """Return how a server ended that was not asked to; a negative code is a signal."""
    if code == 0:
        return "it exited unexpectedly (exit code 0)"
    if code > 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code == signal.SIGKILL:
        return f"killed by {name}, possibly because the machine ran out of memory"
    return f"killed by {name}"


if sys.platform == "linux":
    _prctl = ctypes.CDLL(None).prctl
    _SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36

    def adopt_orphans() -> None:
        """Become the parent of every descendant whose parent dies."""
        _prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def die_with(parent: int) -> None:
        """Make this child of `parent` die with it; to be called before its program is executed."""
        _prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before prctl was called
            os.kill(os.getpid(), signal.SIGKILL)

else:

    def adopt_orphans() -> None:
        """Do nothing: here a worker that leaves the process group escapes."""

    def die_with(parent: int) -> None:
        """Do nothing: here the next stop clears what a killed leash left."""
