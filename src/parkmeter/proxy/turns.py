"""Turns: which requests begin in one round of the event loop, and which in a later one.

A token with hundreds of connections has hundreds of requests ready at once. Begun in one round,
they keep everything else waiting for as long as all of them take: other tokens' prompts, answers on
their way, an eject. It may not know what a request is.
"""

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 16
"""Requests begun in one round; of prompts, half a millisecond of work. Fewer would cost a busy
gateway more polls of the system."""


class Turns:
    """Counts the requests that begin; those over the number wait, and holders take turns.

    A holder (a token) that comes with one request begins it in the next round, however many wait of
    another one. Ask `take` for each request that is ready; if it says no, `wait`. For one event
    loop.
    """

    __slots__ = ("_at_once", "_left", "_lines", "_low", "_scheduled")

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = self._left = at_once
        self._low = at_once // 2
        """Only from here on the end of the round is looked for: to be called then costs a poll."""
        self._lines: dict[str, deque[Callable[[], None]]] = {}
        """By holder, in the order of their turns."""
        self._scheduled = False

    def take(self) -> bool:
        """Return whether a request may begin now."""
        self._left -= 1
        if self._left >= self._low:
            return True
        self._schedule()
        return self._left >= 0

    def wait(self, holder: str, begin: Callable[[], None]) -> None:
        """Have `begin` called in a later round, when it is the turn of the holder's oldest.

        It is also called when nothing is left to begin.
        """
        line = self._lines.get(holder)
        if line is None:
            line = self._lines[holder] = deque()
        line.append(begin)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        """Count again, and begin those that wait first: one of each holder after the other."""
        lines = self._lines
        self._scheduled = False
        self._left = self._at_once
        try:
            while lines and self._left:
                self._left -= 1
                holder = next(iter(lines))
                line = lines.pop(holder)
                begin = line.popleft()
                if line:
                    lines[holder] = line  # behind the others
                begin()
        finally:
            if lines:
                self._schedule()
