"""The files of one endpoint: what driver and leash tell each other, and who holds what.

Knows the form of the files, not what follows from them. All times are seconds since 1970, as
`time.time()` gives them: wall time is the truth, and it means the same in every process.
"""
# pathlib would lengthen every start by a fifth.
# ruff: noqa: PTH103, PTH105, PTH108, PTH116, PTH118, PTH120, PTH123

import contextlib
import fcntl
import json
import os
import time
from typing import Any

RUNNING, STOPPING, STUCK = "running", "stopping", "stuck"
STOPPED, FAILED = "stopped", "failed"
FINAL = (STOPPED, FAILED)
"""States of a record. The final ones speak of the past: nothing of that run is left. Stuck is not:
all its processes are gone, and still something answers in their place (a container, say)."""

STARTED, CLEARING, HELD, REFUSED = "started", "clearing", "held", "refused"
"""A new leash's answers: it runs; what is left is being cleared; somebody else has it in hand; it
could not be spawned, and nothing is there."""

LOG_MARK = "--- parkmeter run "
"""Begins the line that divides the log of one run from that of the run before."""

Content = dict[str, Any]


class Files:
    """Where the files of the endpoint `name` are, below the state folder.

    Names are those of endpoints: no slash, no dot.
    """

    def __init__(self, folder: str, name: str) -> None:
        run = os.path.join(folder, "run", name)
        self.lock = f"{run}.lock"
        """Locked (flock) while anything of a run lives. Never removed: a lock file that comes and
        goes can be held twice."""
        self.record = f"{run}.json"
        """What is known of the run. Written by the leash; removed by the driver when cleared."""
        self.deadline = f"{run}.deadline"
        """`version`, `until`: written by the driver, read by the leash."""
        self.stop = f"{run}.stop"
        """`run`, `at`: this run is to end. Outlasts a bell that nobody heard."""
        self.ready = f"{run}.ready"
        """`run`, `at`: this run has answered its health check."""
        self.bell = f"{run}.bell"
        """A FIFO, open for reading exactly as long as its leash lives: wakes it and shows whether
        it lives, without trusting a process id that may belong to somebody else by now."""
        self.log = os.path.join(folder, "logs", f"{name}.log")
        self.old_log = f"{self.log}.1"

    def make_folders(self) -> None:
        """Create the folders, closed to other users: logs may hold prompts."""
        for path in (self.lock, self.log):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)


def write_json(path: str, content: Content) -> None:
    """Replace a file in one piece, readable to its owner only.

    Without the fsync a machine that lost power may come back with an empty file.
    """
    temporary = f"{path}.{os.getpid()}.{time.monotonic_ns()}"
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        try:
            os.write(handle, json.dumps(content).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except OSError:
        remove(temporary)
        raise


def read_json(path: str) -> Content | None:
    """What `write_json` wrote; None if there is nothing, or nothing that makes sense."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        content = json.loads(os.read(handle, 1_000_000))
    except ValueError:
        return None
    finally:
        os.close(handle)
    return content if isinstance(content, dict) else None


def remove(*paths: str) -> None:
    """Remove files that may be gone already."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def hold(path: str) -> int | None:
    """Take the lock: an open file that holds it until closed; None if somebody has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def is_held(path: str) -> bool:
    """Whether somebody holds the lock. The test shares it for some microseconds."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def is_in_place(path: str, handle: int) -> bool:
    """Whether this path still leads to this open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def open_bell(path: str) -> int:
    """The leash's side of the bell. Opened for writing too, or it would end with its first ring."""
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def somebody_hears(path: str) -> bool:
    """Whether a leash listens at this bell, that is: whether it lives."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # no bell, or nobody there
        return False
    os.close(handle)
    return True


def ring(path: str, message: bytes) -> None:
    """Wake the leash at this bell to look at its files; the run's id in the message stops it.

    Nothing happens where none listens.
    """
    with contextlib.suppress(OSError):  # nobody there; or rung more often than a pipe holds
        handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(handle, message)
        finally:
            os.close(handle)


def boot_id() -> str:
    """Which life of the machine this is; always the same text where that cannot be known."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
    return ""
