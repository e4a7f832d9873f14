"""The log of one endpoint: what its server prints, kept within bounds. Knows nothing of servers."""
# pathlib would lengthen every start by a fifth.
# ruff: noqa: PTH105

import contextlib
import os

LOG_LIMIT = 5_000_000
"""Bytes after which a log becomes the old one (one is kept): a talkative server left alone for a
week must not fill the disk."""


class Log:
    """Appends to a file, moving it aside when full. Never fails: a full disk loses lines, but it
    must not take the leash with it.
    """  # noqa: D205 (one thought)

    def __init__(self, path: str, old_path: str, limit: int = LOG_LIMIT) -> None:
        self._path = path
        self._old_path = old_path
        self._limit = limit
        self._handle: int | None = None
        self._size = 0

    def write(self, text: bytes) -> None:
        """Append."""
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
