"""The logs of local processes, read from the end and across rotation. Knows files, not servers.

A leash appends to a log and moves it aside when it is full (`leash.log`); one old log is kept. It
is never told that anybody reads.
"""

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from parkmeter.errors import DriverError
from parkmeter.leash.files import Files, is_in_place

_PIECE = 64 * 1024
"""Bytes read at once: what a reader holds in memory, however long the log is."""


class ProcessLogs:
    """Implements `ports.Logs` over the folder of a `ProcessDriver`."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder.absolute())

    def open(self, name: str, lines: int, *, follow: bool) -> "RotatedLog":  # noqa: ARG002
        """See `ports.Logs`."""
        files = Files(self._folder, name)
        return RotatedLog(files.log, files.old_log, lines)


class RotatedLog:
    """Implements `ports.Log` over a log file and the old one before it, from the last lines on.

    Files are held open, so that what was moved aside meanwhile is read to its end.
    """

    def __init__(self, path: str, old_path: str, lines: int) -> None:
        self._path = path
        self._old_path = old_path
        self._handles: deque[int] = deque()
        """Open files, oldest first; the last one is, or was, the log itself."""
        with _plain_words():
            self._open_last(lines)

    def read(self) -> bytes:
        """See `ports.Log`."""
        with _plain_words():
            while True:
                if not self._handles and not self._open(self._path):
                    return b""
                handle = self._handles[0]
                # Asked before reading: a file that was moved aside before it is written no more,
                # so that its end is then the end.
                present = len(self._handles) == 1 and is_in_place(self._path, handle)
                piece = os.read(handle, _PIECE)
                if piece or present:
                    return piece
                if len(self._handles) == 1 and not self._open_successor(handle):
                    return b""
                os.close(self._handles.popleft())

    def close(self) -> None:
        """See `ports.Log`."""
        while self._handles:
            os.close(self._handles.popleft())

    def _open_last(self, lines: int) -> None:
        """Stand where the last `lines` lines begin, in the old log if need be."""
        # The newer one first: moved aside between the two lines, it is opened twice, not never.
        self._open(self._path)
        self._open(self._old_path)
        self._handles.reverse()
        if len(self._handles) == 2 and os.path.sameopenfile(*self._handles):  # noqa: PLR2004
            os.close(self._handles.popleft())
        for handle in reversed(tuple(self._handles)):
            lines -= _stand_before(handle, lines)

    def _open(self, path: str) -> bool:
        try:
            self._handles.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return False
        return True

    def _open_successor(self, handle: int) -> bool:
        """Open what came after a log that was moved aside.

        That is the present log; but if another one was full meanwhile, that one comes first. False
        in the moment in which there is none.
        """
        if _is_later(self._old_path, handle) and self._open(self._old_path):
            return True
        return self._open(self._path)


def _stand_before(handle: int, lines: int) -> int:
    """Put the file's position before its last `lines` lines; returns how many there are, at most.

    Reads from the end only as far as it must. What follows the last newline is a line too.
    """
    end = os.lseek(handle, 0, os.SEEK_END)
    if not end or not lines:
        return 0
    found = 0
    upto = end - 1  # the newline at the very end begins no line
    while upto:
        begin = max(0, upto - _PIECE)
        piece = os.pread(handle, upto - begin, begin)
        at = len(piece)
        while (at := piece.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == lines:
                os.lseek(handle, begin + at + 1, os.SEEK_SET)
                return found
        upto = begin
    os.lseek(handle, 0, os.SEEK_SET)
    return found + 1


def _is_later(path: str, handle: int) -> bool:
    """Whether this file is another one, and was written after that open one."""
    try:
        other, present = Path(path).stat(), os.fstat(handle)
    except FileNotFoundError:
        return False
    same = os.path.samestat(other, present)
    return not same and other.st_mtime_ns >= present.st_mtime_ns


@contextlib.contextmanager
def _plain_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DriverError(f"The log cannot be read: {error.strerror or error}.") from error
