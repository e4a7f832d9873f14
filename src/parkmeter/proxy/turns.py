"""Turns: which prompts begin in one round of the event loop, and which in a later one.

A token with hundreds of connections has hundreds of prompts ready at once. Begun in one round, they
keep everything else waiting for as long as all of them take: other tokens' prompts, answers on
their way, an eject. It may not know requests.
"""

import asyncio
from collections.abc import Callable
from sys import maxsize

from parkmeter.proxy.waiting_line import WaitingLine

AT_ONCE = 64
"""Prompts begun in one round; about 2 ms of work. More than most gateways ever have ready at once,
and a round of fewer would cost a crowd more polls of the system."""


class Turns:
    """Counts the prompts that begin; those over the number wait, and holders take turns.

    A holder (a token) that comes with one prompt begins it in the next round, however many wait of
    another one. Ask `take` for each prompt that is ready; if it says no, `wait`. For one event
    loop.
    """

    __slots__ = ("_at_once", "_left", "_line", "_low", "_scheduled")

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = self._left = at_once
        self._low = at_once // 2
        """The end of the round is of interest only from here on; nothing tells it for nothing."""
        self._line = WaitingLine()
        self._scheduled = False

    def take(self) -> bool:
        """Return whether a prompt may begin now."""
        self._left -= 1
        if self._left >= self._low:
            return True
        self._schedule()
        return self._left >= 0

    def wait(self, holder: str, begin: Callable[[], None]) -> None:
        """Have `begin` called in a later round, when it is the turn of the holder's oldest prompt.

        It is called even if there is nothing to begin any more.
        """
        self._line.add(holder, maxsize, begin)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        """Count again, and begin those that wait first: one of each holder after the other."""
        line = self._line
        self._scheduled = False
        self._left = self._at_once
        try:
            while self._left and (waiter := line.pop_next(_anyone)) is not None:
                self._left -= 1
                waiter.changed()
        finally:
            if line:
                self._schedule()


def _anyone(_holder: str) -> bool:
    return True
