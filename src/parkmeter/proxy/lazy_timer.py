"""A time limit that is moved often and seldom reached. Knows the event loop only."""

import asyncio
from collections.abc import Callable

_NEVER = float("inf")


class LazyTimer:
    """Calls `on_fire` at its deadline; `restart` and `stop` cost next to nothing.

    Nearly every step of a request is over long before its limit. So one loop timer is left where it
    is and compares with the deadline when it fires; only an earlier deadline needs a new one.
    """

    __slots__ = ("_at", "_deadline", "_loop", "_on_fire", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_fire: Callable[[], None]) -> None:
        self._loop = loop
        self._on_fire = on_fire
        self._deadline = self._at = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    @property
    def deadline(self) -> float:
        """Time of the loop at which it fires; infinite while it is stopped."""
        return self._deadline

    def restart(self, seconds: float) -> None:
        """Fire `seconds` from now, replacing the previous deadline."""
        self._deadline = deadline = self._loop.time() + seconds
        if deadline < self._at:
            self._arm(seconds)

    def stop(self) -> None:
        """Do not fire until it is restarted."""
        self._deadline = _NEVER

    def close(self) -> None:
        """Never fire again, and drop the reference to `on_fire`."""
        self._deadline = self._at = _NEVER
        self._on_fire = _nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = self._deadline
        self._timer = self._loop.call_later(seconds, self._check)

    def _check(self) -> None:
        self._timer = None
        self._at = _NEVER
        if self._deadline == _NEVER:
            return
        left = self._deadline - self._loop.time()
        if left > 0:
            self._arm(left)
            return
        self._deadline = _NEVER
        self._on_fire()


def _nothing() -> None:
    """Do nothing."""
