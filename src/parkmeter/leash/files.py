"""The files through which driver and leash of one endpoint communicate: names, formats, locks.

Knows the formats, not what follows from them. All times are seconds since 1970 (`time.time()`):
wall time is authoritative, and it means the same in every process.
"""
# pathlib would lengthen every start by a fifth.
# ruff: noqa: PTH103, PTH105, PTH108, PTH116, PTH118, PTH120

import contextlib
import errno
import fcntl
import json
import os
import time
from typing import Any

from parkmeter.leash.elapsed import boot_id

RUNNING, STOPPING, STUCK = "running", "stopping", "stuck"
STOPPED, FAILED = "stopped", "failed"
FINAL = (STOPPED, FAILED)
"""States of a record. In a final state no part of the run is left. Stuck is not final: all its
processes are gone, but its port still accepts connections (a container, for example)."""

STARTED, CLEARING, HELD, REFUSED = "started", "clearing", "held", "refused"
"""Answers of a new leash: the server runs; leftovers are being cleared; another leash holds the
endpoint; the server could not be spawned, and nothing is left of it."""

LOG_MARK = "--- parkmeter run "
"""Start of the line that separates the log of one run from that of the previous run."""

Content = dict[str, Any]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_LARGEST = 1_000_000
_ROOM = 256
"""Bytes of a file that is written over in place: the next content is never longer."""


class Files:
    """Paths of the files of the endpoint `name`, below the state folder.

    Endpoint names contain no slash and no dot.
    """

    def __init__(self, folder: str, name: str) -> None:
        run = os.path.join(folder, "run", name)
        self.lock = f"{run}.lock"
        """Locked (flock) while any process of a run lives. Never removed: a lock file that is
        removed and created again can be held twice."""
        self.record = f"{run}.json"
        """State of the run. Written by the leash; removed by the driver when cleared."""
        self.deadline = f"{run}.deadline"
        """`version`, `until`: written by the driver, read by the leash."""
        self.stop = f"{run}.stop"
        """`run`, `at`: this run has to stop. Persists where a ring of the bell was lost."""
        self.ready = f"{run}.ready"
        """`run`, `at`: this run has answered its health check."""
        self.bell = f"{run}.bell"
        """A FIFO, open for reading exactly as long as its leash lives: a write wakes the leash, and
        opening it tests liveness without a process id, which the system may have reused."""
        self.log = os.path.join(folder, "logs", f"{name}.log")
        self.old_log = f"{self.log}.1"

    def make_folders(self) -> None:
        """Create the folders, without access for other users: logs may contain prompts."""
        for folder in map(os.path.dirname, (self.lock, self.log)):
            # The parent too: `makedirs` applies a mode to the last folder only.
            for path in (os.path.dirname(folder), folder):
                os.makedirs(path, mode=0o700, exist_ok=True)


def write_json(path: str, content: Content) -> None:
    """Replace a file atomically, readable to its owner only.

    Without the fsync the file may be empty after a power loss. On a full disk the present file is
    written over in place, which needs no room: better not atomic than not at all.
    """
    text = json.dumps(content).encode()
    try:
        _replace(path, text)
    except OSError as error:
        if error.errno not in _NO_ROOM or not _overwrite(path, text):
            raise


def write_over(path: str, content: Content) -> None:
    """Write a small file over in place, or create it; readable to its owner only.

    For what matters only while processes of this boot live: it is not made durable, and so takes
    neither room nor the file system's journal. A reader may see part of a write; it has to read
    again soon, as a leash does every second and before it stops anything.
    """
    text = json.dumps(content).encode().ljust(_ROOM)
    if not _overwrite(path, text, durable=False):
        _replace(path, text, durable=False)


def _replace(path: str, text: bytes, *, durable: bool = True) -> None:
    temporary = f"{path}.{os.getpid()}.{time.monotonic_ns()}"
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        try:
            if os.write(handle, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except OSError:
        remove(temporary)
        raise


def _overwrite(path: str, text: bytes, *, durable: bool = True) -> bool:
    """Write into the blocks that a file has already; return whether all of it was written."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_WRONLY)
        try:
            # To the old length: JSON permits blanks at its end.
            text = text.ljust(os.fstat(handle).st_size)
            written = os.pwrite(handle, text, 0)
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        return written == len(text)
    return False


def read_json(path: str) -> Content | None:
    """Return the content written by `write_json`; None if it is missing or not a JSON object."""
    return _read(path) or None


def _read(path: str) -> Content | None:
    """Return the content of a file, empty if it is not a JSON object; None if it is missing."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # Not a large buffer for a small file: the system maps and unmaps it each time.
        content = json.loads(os.read(handle, min(os.fstat(handle).st_size, _LARGEST)))
    except (ValueError, RecursionError):
        return {}
    finally:
        os.close(handle)
    return content if isinstance(content, dict) else {}


_NEEDED = ("run", "state", "port", "started_at", "boot", "health", "start_timeout", "stop_grace")


def read_record(path: str) -> Content:
    """Return the record of a run; empty if there is none.

    One that lacks a field (a power loss, a full disk, a hand) is completed, so that the run can
    still be stopped: it counts as running, its id is empty, and it is marked as `damaged`.
    """
    record = _read(path)
    if record is None:
        return {}
    if all(key in record for key in _NEEDED):
        return record
    known: Content = dict.fromkeys(_NEEDED) | {
        "run": "",
        "state": RUNNING,
        "started_at": 0.0,
        "boot": boot_id(),
        "health": "/",
        "start_timeout": 0.0,
        "stop_grace": 10.0,
    }
    return known | record | {"damaged": True}


def remove(*paths: str) -> None:
    """Remove files; a missing one is skipped."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def take_lock(path: str) -> int | None:
    """Take the lock; return the open file that holds it until closed, or None if it is held."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def is_locked(path: str) -> bool:
    """Return whether the lock is held. The test takes a shared lock for some microseconds."""
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
    """Return whether this path still refers to this open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def open_bell(path: str) -> int:
    """Open the leash's end of the bell, for writing too: else the first ring would end with EOF."""
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def has_reader(path: str) -> bool:
    """Return whether a leash has this bell open, and so is alive.

    Raises:
        OSError: it cannot be known, for lack of descriptors, for example.

    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENXIO}:  # no bell, no reader
            raise
        return False
    os.close(handle)
    return True


def ring(path: str, message: bytes) -> bool:
    """Make the leash at this bell read its files; a message with the run's id stops the run.

    Return False if the message did not get into the bell: it has no reader, or is full.

    Raises:
        OSError: there was no descriptor for it.

    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            raise
        return False
    try:
        os.write(handle, message)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
