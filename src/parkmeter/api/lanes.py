"""Lanes: how many control requests of each kind are worked on at once, each on a thread.

Every kind has threads of its own, so that receipts never keep an eject waiting. Where a lane is
full, tokens take turns: one that sends a hundred requests waits for its own, not others for them.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.lowlevel
from anyio import CapacityLimiter, Event
from anyio.to_thread import run_sync

from parkmeter.errors import ParkmeterError

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

MOST_WAITING = 1000
"""Requests that wait in one lane; each keeps a connection open."""

MOST_OF_ONE = 200
"""Of these, requests with one token."""


async def prepare() -> None:
    """Load what anyio needs on this loop; without it the first request would wait for that."""
    await anyio.lowlevel.checkpoint()


class GatewayBusyError(ParkmeterError):
    """Raised when too many requests of this kind wait already."""

    code = "gateway_busy"
    title = "Too many requests at once"
    text = (
        "{waiting} requests like this one are waiting{whose}. Nothing was changed. Send fewer at "
        "once, or try again."
    )
    retry_after = 1

    def __init__(self, waiting: int, whose: str = "") -> None:
        super().__init__(waiting=waiting, whose=whose)


class Lane:
    """A number of threads, shared fairly by tokens. For one event loop."""

    def __init__(self, threads: int) -> None:
        self._threads = self._free = threads
        # Never waited for: a place is had first.
        self._limiter = CapacityLimiter(math.inf)
        self._waiting: OrderedDict[str, deque[Event]] = OrderedDict()
        self._count = 0
        self.finished = 0
        """The number of calls that have returned, with a result or an error."""

    @property
    def full(self) -> bool:
        """True while none of its threads is free."""
        return not self._free

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a thread."""
        return self._count

    async def run(
        self,
        who: str,
        call: Callable[_Parameters, _Result],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> _Result:
        """Return the result of a call made on a thread, when it is the turn of `who`, a token's id.

        Raises:
            GatewayBusyError: too many wait; it was not called.

        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(who)
        try:
            return await run_sync(partial(call, *args, **kwargs), limiter=self._limiter)
        finally:
            self.finished += 1
            self._pass_on()

    async def _wait(self, who: str) -> None:
        """Wait for a place, which `_pass_on` hands over."""
        queue = self._waiting.get(who)
        if queue is not None and len(queue) >= MOST_OF_ONE:
            raise GatewayBusyError(len(queue), " with this token")
        if self._count >= MOST_WAITING:
            raise GatewayBusyError(self._count)
        turn = Event()
        self._waiting.setdefault(who, deque()).append(turn)
        self._count += 1
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # handed over just as its client left
                self._pass_on()
            else:
                self._leave(who, turn)
            raise

    def _leave(self, who: str, turn: Event) -> None:
        queue = self._waiting[who]
        queue.remove(turn)
        self._count -= 1
        if not queue:
            del self._waiting[who]

    def _pass_on(self) -> None:
        """Hand the place to the token whose turn it is; without any it is free."""
        if not self._waiting:
            self._free += 1
            return
        who, queue = self._waiting.popitem(last=False)
        turn = queue.popleft()
        self._count -= 1
        if queue:
            self._waiting[who] = queue  # at the end: the others come first
        turn.set()


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of the control routes.

    `heavy`: receipts, timelines, journals; `logs`: output of endpoints; `ejects` have a lane that
    nothing else may fill. `feed`: what the gateway itself asks for all its listeners.
    """

    reads: Lane = field(default_factory=lambda: Lane(8))
    heavy: Lane = field(default_factory=lambda: Lane(2))
    logs: Lane = field(default_factory=lambda: Lane(2))
    writes: Lane = field(default_factory=lambda: Lane(16))
    ejects: Lane = field(default_factory=lambda: Lane(4))
    feed: Lane = field(default_factory=lambda: Lane(1))
