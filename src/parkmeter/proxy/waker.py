"""Top-ups of closed meters for prompts: done by the core on threads, never waited for on the loop.

However many prompts come together, one attempt is made for each token; the core sees to it that
only one of them adds time to the meter. Knows no HTTP.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from parkmeter.core.tokens import Token
from parkmeter.errors import ParkmeterError

_log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15.0
"""For one attempt; a store that cannot be written gives up after ten."""

_REFUSAL_SECONDS = 1.0
"""For which a refusal also answers later prompts: a client that insists must not keep the store
busy."""

_THREADS = 4
"""Each attempt is one commit, and commits of one store queue up anyway."""

WakeAttempt = asyncio.Future[None]
"""Done when the meter holds time, added by whichever client; its exception says why it does not."""


class Waker:
    """Tops up closed meters on behalf of prompts. On one event loop.

    `top_up(name, token)` does it, on a thread, and raises ParkmeterError where it is refused.
    """

    def __init__(self, top_up: Callable[[str, Token], object]) -> None:
        self._top_up = top_up
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="wake")
        self._attempts: dict[tuple[str, str], WakeAttempt] = {}
        self._works: set[Future[object]] = set()

    def wake(self, name: str, token: Token) -> WakeAttempt:
        """Return the running attempt for this endpoint and token, or a new one."""
        key = (name, token.id)
        attempt = self._attempts.get(key)
        if attempt is None:
            loop = asyncio.get_running_loop()
            attempt = self._attempts[key] = loop.create_future()
            # All who waited may have left; its exception must count as retrieved even then.
            attempt.add_done_callback(lambda done: done.cancelled() or done.exception())
            work = self._threads.submit(self._top_up, name, token)
            self._works.add(work)
            work.add_done_callback(self._works.discard)
            top_up = asyncio.wrap_future(work)
            top_up.add_done_callback(lambda done: self._finish(key, done))
        return attempt

    def close(self) -> None:
        """Start no further attempt; running ones go on."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def join(self, within: float) -> None:
        """Wait up to `within` seconds for running attempts. After `close`; not on the loop."""
        if wait(tuple(self._works), within).not_done:
            _log.warning("an attempt to wake an endpoint does not end; it is abandoned")

    def _finish(self, key: tuple[str, str], top_up: asyncio.Future[object]) -> None:
        attempt = self._attempts[key]
        if top_up.cancelled():  # the gateway is shutting down, and with it the waiting request
            attempt.cancel()
            return
        error = top_up.exception()
        if error is None:
            del self._attempts[key]
            attempt.set_result(None)
            return
        if not isinstance(error, ParkmeterError):
            _log.error("%s could not be woken", key[0], exc_info=error)
        attempt.set_exception(error)
        loop = asyncio.get_running_loop()
        loop.call_later(_REFUSAL_SECONDS, self._attempts.pop, key, None)
