"""The log of one endpoint: the output of its server, bounded in size. Knows nothing of servers."""
# pathlib would lengthen every start by a fifth.
# ruff: noqa: PTH105

import contextlib
import os

LOG_LIMIT = 5_000_000
"""Bytes after which a log is rotated (one old log is kept): a verbose server that runs for a week
must not fill the disk."""


class Log:
    """A file that is appended to and rotated when full.

    Writing never raises: on a full disk lines are lost, but the leash goes on.
    """

    def __init__(self, path: str, old_path: str, limit: int = LOG_LIMIT) -> None:
        self._path = path
        self._old_path = old_path
        self._limit = limit
        self._handle: int | None = None
        self._size = 0

    def write(self, text: bytes) -> None:
        """Append, rotating first if the file would exceed its limit."""
        with contextlib.suppress(OSError):
            if self._handle is None:
                self._open()
            if self._size and self._size + len(text) > self._limit:
                os.replace(self._path, self._old_path)
                self._open()
            if self._handle is not None:
                self._size += os.write(self._handle, text)

    def _open(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._handle).st_size
