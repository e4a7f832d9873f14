"""The logs of local processes: read across rotation, or quoted as a reason. Knows no servers.

A leash appends to a log and rotates it when it is full (`leash.log`); one old log is kept. The
leash does not know of readers.
"""

import contextlib
import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from parkmeter.errors import DriverError
from parkmeter.leash.files import LOG_MARK, Files, is_in_place

_CHUNK = 64 * 1024
"""Bytes read at once, which bounds the memory of a reader of any log."""

_REASON_LINES = 5
_REASON_LENGTH = 500
"""Lines and characters of a log that a reason quotes: the end of a traceback, not all of it."""

_TAIL = 16_384
"""Bytes searched from the end, more than five sensible lines; keeps an observation cheap."""

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a window title and the like
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # colours, movements of the cursor
    r"|\x1b[@-_]"
)


class ProcessLogs:
    """`ports.Logs` for the folder of a `ProcessDriver`."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder.absolute())

    def open(self, name: str, lines: int, *, follow: bool) -> "RotatedLog":  # noqa: ARG002
        """See `ports.Logs`."""
        files = Files(self._folder, name)
        return RotatedLog(files.log, files.old_log, lines)


class RotatedLog:
    """`ports.Log` for a log file and the old one before it, from the last `lines` lines on.

    Files stay open, so a file rotated meanwhile is read to its end.
    """

    def __init__(self, path: str, old_path: str, lines: int) -> None:
        self._path = path
        self._old_path = old_path
        self._handles: deque[int] = deque()
        """Open files, oldest first; the last one is, or was, the current log."""
        try:
            with _as_driver_error():
                self._open_last(lines)
        except DriverError:
            self.close()  # the one of two files that was opened
            raise

    def read(self) -> bytes:
        """See `ports.Log`."""
        with _as_driver_error():
            while True:
                if not self._handles and not self._open(self._path):
                    return b""
                handle = self._handles[0]
                # Checked before reading: a file rotated earlier is no longer written, so its end
                # is final.
                present = len(self._handles) == 1 and is_in_place(self._path, handle)
                chunk = os.read(handle, _CHUNK)
                if chunk or present:
                    return chunk
                if len(self._handles) == 1 and not self._open_successor(handle):
                    return b""
                os.close(self._handles.popleft())

    def close(self) -> None:
        """See `ports.Log`."""
        while self._handles:
            os.close(self._handles.popleft())

    def _open_last(self, lines: int) -> None:
        """Open the logs at the start of the last `lines` lines, in the old log if needed."""
        # The current one first: rotated between the two calls, it is opened twice, not missed.
        self._open(self._path)
        self._open(self._old_path)
        self._handles.reverse()
        if len(self._handles) == 2 and os.path.sameopenfile(*self._handles):  # noqa: PLR2004
            os.close(self._handles.popleft())
        for handle in reversed(tuple(self._handles)):
            lines -= _seek_before(handle, lines)

    def _open(self, path: str) -> bool:
        try:
            self._handles.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return False
        return True

    def _open_successor(self, handle: int) -> bool:
        """Open the log that follows a rotated one; return False while there is none.

        That is the current log, or the old one if a second rotation has happened meanwhile.
        """
        if _is_later(self._old_path, handle) and self._open(self._old_path):
            return True
        return self._open(self._path)


def _seek_before(handle: int, lines: int) -> int:
    """Seek to the start of the last `lines` lines; return how many were found, at most `lines`.

    Reads backwards only as far as needed. Text after the last newline counts as a line.
    """
    end = os.lseek(handle, 0, os.SEEK_END)
    if not end or not lines:
        return 0
    found = 0
    upto = end - 1  # a newline at the very end starts no line
    while upto:
        begin = max(0, upto - _CHUNK)
        chunk = os.pread(handle, upto - begin, begin)
        at = len(chunk)
        while (at := chunk.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == lines:
                os.lseek(handle, begin + at + 1, os.SEEK_SET)
                return found
        upto = begin
    os.lseek(handle, 0, os.SEEK_SET)
    return found + 1


def _is_later(path: str, handle: int) -> bool:
    """Return whether this file is not that open one, and was written after it."""
    try:
        other, present = Path(path).stat(), os.fstat(handle)
    except FileNotFoundError:
        return False
    same = os.path.samestat(other, present)
    return not same and other.st_mtime_ns >= present.st_mtime_ns


def last_lines(log: str, lines: int = _REASON_LINES, length: int = _REASON_LENGTH) -> str:
    """Return the last lines that the latest run wrote, joined by " | "; empty if there are none."""
    try:
        with Path(log).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    found: list[str] = []
    for raw in reversed(text.split("\n")):
        if raw.startswith(LOG_MARK) or len(found) == lines:
            break
        if line := _plain(raw):
            found.append(line)
    joined = " | ".join(reversed(found))
    return joined if len(joined) <= length else "…" + joined[-length + 1 :]


def _plain(line: str) -> str:
    """Return the line as a terminal finally shows it: progress bars overwrite themselves."""
    shown = _ESCAPES.sub("", line).rstrip().rsplit("\r", 1)[-1]
    return "".join(character for character in shown if character.isprintable()).strip()


@contextlib.contextmanager
def _as_driver_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DriverError(f"The log cannot be read: {error.strerror or error}.") from error
