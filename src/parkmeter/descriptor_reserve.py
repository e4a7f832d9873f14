"""Spare file descriptors, for what has to work when the process has none left.

A new deadline or a stop must reach its leash, and a commit the disk, even while connections use
every descriptor that the system permits.
"""

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

SPARE = 16
"""Enough for the start of a leash, which needs most at once: six, and its lock and its files."""

_TRIES = 5
_PAUSE = 0.01
"""Another thread may take a descriptor right after it was freed: tries, and seconds between."""

_Result = TypeVar("_Result")


def is_exhausted(error: OSError) -> bool:
    """Return whether a call failed because there was no free descriptor."""
    return error.errno in {errno.EMFILE, errno.ENFILE}


class DescriptorReserve:
    """Descriptors kept open, and closed for a call that finds none. From any thread."""

    def __init__(self, size: int = SPARE) -> None:
        self._size = size
        self._spare: list[int] = []
        self._lock = threading.RLock()
        self._fill()

    @property
    def left(self) -> int:
        """Return how many are in reserve now."""
        return len(self._spare)

    def run(self, call: Callable[[], _Result]) -> _Result:
        """Return what `call` returns; if it finds no descriptor, it is repeated with the reserve.

        Raises:
            OSError: as the call; also if the reserve did not suffice.

        """
        try:
            result = call()
        except OSError as error:
            if not is_exhausted(error):
                raise
        else:
            if len(self._spare) < self._size:
                self._fill()
            return result
        # One at a time: two callers would take each other's descriptors.
        with self._lock:
            for _ in range(_TRIES - 1):
                try:
                    return self._with_reserve(call)
                except OSError as error:
                    if not is_exhausted(error):
                        raise
                time.sleep(_PAUSE)
            return self._with_reserve(call)

    def close(self) -> None:
        """Close the reserve."""
        with self._lock:
            while self._spare:
                os.close(self._spare.pop())

    def _with_reserve(self, call: Callable[[], _Result]) -> _Result:
        self.close()
        try:
            return call()
        finally:
            self._fill()

    def _fill(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            while len(self._spare) < self._size:
                self._spare.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
