"""Closed meters that prompts wake: asked of the core on threads, and never waited for on the loop.

However many prompts come together, one attempt is made for each token; that only one of them puts
time on the meter is the core's business. Knows no HTTP.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from parkmeter.core.tokens import Token
from parkmeter.errors import ParkmeterError

_log = logging.getLogger(__name__)

WITHIN = 15.0
"""Seconds that an attempt may take; a store that cannot be written gives up after ten."""

_REFUSED_SECONDS = 1.0
"""So long a refusal stands for the prompts that come after it: a client that insists must not keep
the store busy."""

_AT_ONCE = 4
"""Each attempt is one commit, and commits of one store queue up anyway."""

Waking = asyncio.Future[None]
"""Done when the meter holds time, whoever put it there; its exception is why it does not."""


class Waker:
    """Has closed meters topped up for whoever prompts. On one event loop.

    `top_up(name, token)` does it, on a thread, and raises ParkmeterError where it may not be.
    """

    def __init__(self, top_up: Callable[[str, Token], object]) -> None:
        self._top_up = top_up
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="wake")
        self._attempts: dict[tuple[str, str], Waking] = {}
        self._works: set[Future[object]] = set()

    def wake(self, name: str, token: Token) -> Waking:
        """The attempt that is under way for this endpoint and token, or a new one."""
        asker = (name, token.id)
        attempt = self._attempts.get(asker)
        if attempt is None:
            loop = asyncio.get_running_loop()
            attempt = self._attempts[asker] = loop.create_future()
            # Who asked may have left; then nobody looks at what came of it.
            attempt.add_done_callback(lambda done: done.cancelled() or done.exception())
            work = self._threads.submit(self._top_up, name, token)
            self._works.add(work)
            work.add_done_callback(self._works.discard)
            asked = asyncio.wrap_future(work)
            asked.add_done_callback(lambda done: self._ended(asker, done))
        return attempt

    def close(self) -> None:
        """Begin no attempt any more; one that is under way goes on."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Wait for what is under way, as long as it may take. After `close`; not on the loop."""
        if wait(tuple(self._works), WITHIN).not_done:
            _log.warning("an attempt to wake an endpoint does not end; it is left behind")

    def _ended(self, asker: tuple[str, str], asked: asyncio.Future[object]) -> None:
        attempt = self._attempts[asker]
        if asked.cancelled():  # the gateway ends, and so does who waits
            attempt.cancel()
            return
        error = asked.exception()
        if error is None:
            del self._attempts[asker]
            attempt.set_result(None)
            return
        if not isinstance(error, ParkmeterError):
            _log.error("%s could not be woken", asker[0], exc_info=error)
        attempt.set_exception(error)
        loop = asyncio.get_running_loop()
        loop.call_later(_REFUSED_SECONDS, self._attempts.pop, asker, None)
