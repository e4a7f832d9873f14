"""Polls an endpoint until it runs, with a deadline."""

import time
from collections.abc import Callable

from parkmeter.client.errors import NotRunningError
from parkmeter.client.models import Endpoint

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
"""Seconds between two polls: a small model starts at once, a large one takes minutes."""


def wait_until_running(
    poll: Callable[[], Endpoint], seconds: float, on_look: Callable[[Endpoint], None]
) -> Endpoint:
    """Poll until the endpoint runs, and return it.

    Raises:
        NotRunningError: it does not run within these seconds, or cannot.

    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        seen = poll()
        on_look(seen)
        if seen.status == "running":
            return seen
        if reason := _hopeless(seen):
            raise NotRunningError(reason, seen)
        if time.monotonic() + pause > deadline:
            raise NotRunningError(
                f"{seen.name} is not running after {seconds:g} seconds; it is {seen.status}: "
                f"{seen.reason.rstrip('.')}.",
                seen,
            )
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def _hopeless(seen: Endpoint) -> str:
    """Return why waiting is useless; empty if it is not."""
    reason = seen.reason.rstrip(".")
    if not seen.left:
        return f"{seen.name} will not run: its meter holds no time ({reason}). Top it up."
    if seen.status == "failed" and seen.next_try is None:
        return f"{seen.name} failed and is not retried: {reason}."
    return ""
