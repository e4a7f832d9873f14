"""A limit of time that is moved often and seldom reached. Knows the event loop only."""

import asyncio
from collections.abc import Callable

_NEVER = float("inf")


class LazyTimer:
    """Rings once its moment has come; `set` and `off` cost next to nothing.

    Nearly every step of a request is over long before its limit. So one timer is left where it is
    and looks, when it fires, what the moment is by then; only an earlier moment needs a new one.
    """

    __slots__ = ("_at", "_due", "_loop", "_ring", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._due = self._at = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Ring after so many seconds from now, instead of whenever it was to ring before."""
        self._due = due = self._loop.time() + seconds
        if due < self._at:
            self._arm(seconds)

    def off(self) -> None:
        """Not ring until it is set again."""
        self._due = _NEVER

    def close(self) -> None:
        """Never ring again, and let go of who would have heard it."""
        self._due = self._at = _NEVER
        self._ring = _nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = self._due
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        self._at = _NEVER
        if self._due == _NEVER:
            return
        left = self._due - self._loop.time()
        if left > 0:
            self._arm(left)
            return
        self._due = _NEVER
        self._ring()


def _nothing() -> None:
    """Ring for nobody."""
