"""How long one request may take over its present step, and how it is interrupted from outside.

Knows asyncio only: what a step is and what too late means, its user says.
"""

import asyncio
from collections.abc import Callable
from typing import Self

LOOK = 0.05
"""Seconds between two looks. A limit is noticed one look late at most; in return one timer serves
everybody, and a step that sets a new limit pays for an assignment."""


class Rounds:
    """Looks at every `Patience` in turn, as long as there is one. For one event loop."""

    def __init__(self) -> None:
        self._present: set[Patience] = set()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, patience: "Patience") -> None:
        """Look at this one from now on."""
        self._present.add(patience)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def part(self, patience: "Patience") -> None:
        """No more."""
        self._present.discard(patience)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for patience in tuple(self._present):
            patience.look(now)
        self._timer = loop.call_later(LOOK, self._look) if self._present else None


class Patience:
    """Ends what the current task waits for by raising an error in its place: `with patience: …`.

    `on_look` is called at each look: the place for what only a request that takes its time is
    worth. Most are over before anybody looks.
    """

    __slots__ = (
        "_clock",
        "_deadline",
        "_late",
        "_on_look",
        "_reason",
        "_rounds",
        "_seconds",
        "_task",
    )

    def __init__(self, rounds: Rounds, on_look: Callable[[], None]) -> None:
        self._rounds = rounds
        self._on_look = on_look
        self._clock = asyncio.get_running_loop().time
        self._task: asyncio.Task[object] | None = None
        self._reason: Exception | None = None
        self._deadline = float("inf")
        self._seconds = 0.0
        self._late: Callable[[float], Exception] = TimeoutError

    def allow(self, seconds: float, late: Callable[[float], Exception]) -> None:
        """Give the step that begins now so much time; `late(seconds)` is the error after it."""
        self._seconds = seconds
        self._late = late
        self._deadline = self._clock() + seconds

    def interrupt(self, reason: Exception) -> None:
        """Raise `reason` where the task waits. The first reason counts; after the end, none."""
        if self._reason is None and self._task is not None:
            self._reason = reason
            self._task.cancel()

    def look(self, now: float) -> None:
        """Be looked at."""
        self._on_look()
        if now >= self._deadline:
            self.interrupt(self._late(self._seconds))

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._rounds.join(self)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._rounds.part(self)
        # Its user holds it and is held by it: cut here, or every request waits for the collector.
        self._on_look = _nothing
        task, self._task = self._task, None
        if self._reason is None or task is None:
            return
        # The cancellation was ours, so it is taken back, unless someone cancelled the task as well.
        if task.uncancel() == 0 and isinstance(error, asyncio.CancelledError):
            raise self._reason from None


def _nothing() -> None:
    """Follow up on a request that is over."""
