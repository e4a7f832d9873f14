"""Listeners of one gateway, told together of what changed. Knows no HTTP; for one event loop.

What they are told is put together once for all of them, when something changed and at most so
often, however many listen and however slowly they read: each gets the newest, never a queue.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

SOONEST = 0.2
"""Seconds between two tellings: people see no more, and a burst of changes is one."""

LATEST = 15.0
"""Seconds after which all is told again, changed or not: the numbers have moved."""

_TRY_AGAIN = 1.0
"""Seconds after which news that could not be put together are tried for again."""

News = TypeVar("News")


class Feed(Generic[News]):
    """`gather` puts the news together; it may raise, then they are tried for again."""

    def __init__(self, gather: Callable[[], Awaitable[News]]) -> None:
        self._gather = gather
        self._listeners: set[Listener[News]] = set()
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._telling: asyncio.Task[None] | None = None
        self._closed = False

    def wake(self) -> None:
        """Something changed; from any thread, never blocks."""
        loop = self._loop
        if loop is None or not self._listeners:
            return
        try:
            loop.call_soon_threadsafe(self._changed.set)
        except RuntimeError:
            return  # the loop is closed, and with it every listener gone

    def listening(self, owner: str) -> int:
        """How many of one owner's listen. On the loop, as all that follows."""
        return sum(listener.owner == owner for listener in self._listeners)

    def join(self, at_most: int, owner: str = "") -> "Listener[News] | None":
        """A new listener, to be left in the end; None if there are so many already, or at the end.

        `owner`: whose it is.
        """
        if self._closed or len(self._listeners) >= at_most:
            return None
        self._loop = asyncio.get_running_loop()
        listener = Listener(self, owner)
        self._listeners.add(listener)
        self._changed.set()
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell())
        return listener

    def leave(self, listener: "Listener[News]") -> None:
        """Tell this one no more."""
        self._listeners.discard(listener)
        if not self._listeners and self._telling is not None:
            self._telling.cancel()
            self._telling = None

    def close(self) -> None:
        """Tell nobody any more: every listener is ended now."""
        self._closed = True
        for listener in tuple(self._listeners):
            listener.end()

    async def _tell(self) -> None:
        while True:
            self._changed.clear()
            try:
                news = await self._gather()
            except Exception:
                log.exception("those who listen are told nothing new; it is tried again")
                await asyncio.sleep(_TRY_AGAIN)
                continue
            for listener in self._listeners:
                listener.tell(news)
            await asyncio.sleep(SOONEST)
            try:
                async with asyncio.timeout(LATEST - SOONEST):
                    await self._changed.wait()
            except TimeoutError:
                continue


class Listener(Generic[News]):
    """One who listens."""

    def __init__(self, feed: Feed[News], owner: str) -> None:
        self.owner = owner
        self._feed = feed
        self._news: News | None = None
        self._stirred = asyncio.Event()
        self._sending: asyncio.Timeout | None = None
        self.over = False

    def tell(self, news: News) -> None:
        """There is something newer."""
        self._news = news
        self._stirred.set()

    def end(self) -> None:
        """It is over, whatever is being waited for; what is being sent has a moment yet."""
        self.over = True
        self._stirred.set()
        if self._sending is not None:
            self._sending.reschedule(asyncio.get_running_loop().time() + SOONEST)

    def leave(self) -> None:
        """Listen no more."""
        self._feed.leave(self)

    async def news(self, seconds: float) -> News | None:
        """The newest that was not had yet; None if there was none for so long, or it is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return None
        if not self.over:
            self._stirred.clear()
        news, self._news = self._news, None
        return None if self.over else news

    async def sent(self, sending: Awaitable[None], seconds: float) -> None:
        """Wait for something to be sent, at most so long, and only a moment once it is over.

        Raises:
            TimeoutError: who should take it does not.

        """
        try:
            async with asyncio.timeout(SOONEST if self.over else seconds) as self._sending:
                await sending
        finally:
            self._sending = None
