"""Publishes snapshots to the subscribers of one gateway. Knows no HTTP; for one event loop.

A snapshot is gathered once for all subscribers, after a change and at a bounded rate, however many
there are and however slowly they read: each gets the newest snapshot, never a queue.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from parkmeter.errors import StoreBusyError

log = logging.getLogger(__name__)

SOONEST = 0.2
"""Seconds between two snapshots: a burst of changes becomes one, and people see no difference."""

LATEST = 15.0
"""Seconds after which a snapshot is published without a change: times and costs have moved on."""

_RETRY = 1.0
"""Seconds until the next attempt after a snapshot could not be gathered."""

Snapshot = TypeVar("Snapshot")


class Feed(Generic[Snapshot]):
    """Subscriptions to snapshots. `gather` makes one; if it raises it is called again later."""

    def __init__(self, gather: Callable[[], Awaitable[Snapshot]]) -> None:
        self._gather = gather
        self._subscriptions: set[Subscription[Snapshot]] = set()
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._closed = False

    def notify(self) -> None:
        """Report a change. From any thread; never blocks."""
        loop = self._loop
        # Clear only before a snapshot is gathered: while set, one that has this change will follow.
        if loop is None or not self._subscriptions or self._changed.is_set():
            return
        try:
            loop.call_soon_threadsafe(self._changed.set)
        except RuntimeError:
            return  # the loop is closed, and with it every subscription

    def count(self, owner: str) -> int:
        """Return the number of subscriptions of one owner. On the loop, like all that follows."""
        return sum(one.owner == owner for one in self._subscriptions)

    def subscribe(self, at_most: int, owner: str = "") -> "Subscription[Snapshot] | None":
        """Return a new subscription, to be cancelled in the end.

        None if there are `at_most` already, or after `close`.
        """
        if self._closed or len(self._subscriptions) >= at_most:
            return None
        self._loop = asyncio.get_running_loop()
        subscription = Subscription(self, owner)
        self._subscriptions.add(subscription)
        self._changed.set()
        if self._publishing is None:
            self._publishing = asyncio.create_task(self._publish())
        return subscription

    def remove(self, subscription: "Subscription[Snapshot]") -> None:
        """Remove a subscription; with the last one publishing stops."""
        self._subscriptions.discard(subscription)
        if not self._subscriptions and self._publishing is not None:
            self._publishing.cancel()
            self._publishing = None

    def close(self) -> None:
        """End every subscription now, and accept no new one."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.end()

    async def _publish(self) -> None:
        while True:
            self._changed.clear()
            try:
                snapshot = await self._gather()
            except StoreBusyError as error:
                log.warning("no snapshot for the subscribers of /events; retrying: %s", error.title)
                await asyncio.sleep(_RETRY)
                continue
            except Exception:
                log.exception("no snapshot for the subscribers of /events; retrying")
                await asyncio.sleep(_RETRY)
                continue
            for subscription in self._subscriptions:
                subscription.put(snapshot)
            await asyncio.sleep(SOONEST)
            try:
                async with asyncio.timeout(LATEST - SOONEST):
                    await self._changed.wait()
            except TimeoutError:
                continue


class Subscription(Generic[Snapshot]):
    """One subscriber's place for the newest snapshot."""

    def __init__(self, feed: Feed[Snapshot], owner: str) -> None:
        self.owner = owner
        self._feed = feed
        self._newest: Snapshot | None = None
        self._signal = asyncio.Event()
        self._sending: asyncio.Timeout | None = None
        self.ended = False

    def put(self, snapshot: Snapshot) -> None:
        """Replace the snapshot by a newer one."""
        self._newest = snapshot
        self._signal.set()

    def end(self) -> None:
        """End the subscription: stop waiting now; what is being sent gets a moment more."""
        self.ended = True
        self._signal.set()
        if self._sending is not None:
            self._sending.reschedule(asyncio.get_running_loop().time() + SOONEST)

    def cancel(self) -> None:
        """Leave the feed."""
        self._feed.remove(self)

    async def next(self, seconds: float) -> Snapshot | None:
        """Wait up to `seconds` for the next snapshot; None on timeout or after the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._signal.wait()
        except TimeoutError:
            return None
        if not self.ended:
            self._signal.clear()
        snapshot, self._newest = self._newest, None
        return None if self.ended else snapshot

    async def sent(self, sending: Awaitable[None], seconds: float) -> None:
        """Wait until something is sent, up to `seconds`, and only a moment after the end.

        Raises:
            TimeoutError: the client does not read.

        """
        try:
            async with asyncio.timeout(SOONEST if self.ended else seconds) as self._sending:
                await sending
        finally:
            self._sending = None
