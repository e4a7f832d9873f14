"""Waiting until an endpoint runs: when to look again, and when to give up."""

import time
from collections.abc import Callable

from parkmeter.client.errors import NotRunningError
from parkmeter.client.models import Endpoint

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
"""Seconds between two looks: a small model is there at once, a large one takes minutes."""


def wait_until_running(
    look: Callable[[], Endpoint], seconds: float, on_look: Callable[[Endpoint], None]
) -> Endpoint:
    """Look until the endpoint runs; returns it as last seen.

    Raises:
        NotRunningError: not within these seconds, or never by itself.

    """
    give_up = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        seen = look()
        on_look(seen)
        if seen.status == "running":
            return seen
        if why := _in_vain(seen):
            raise NotRunningError(why, seen)
        if time.monotonic() + pause > give_up:
            raise NotRunningError(
                f"{seen.name} does not run after {seconds:g} seconds; it is {seen.status}: "
                f"{seen.reason.rstrip('.')}.",
                seen,
            )
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def _in_vain(seen: Endpoint) -> str:
    """Why nothing will happen by itself; empty if something may."""
    reason = seen.reason.rstrip(".")
    if not seen.left:
        return f"{seen.name} will not run: its meter holds no time ({reason}). Top it up."
    if seen.status == "failed" and seen.next_try is None:
        return f"{seen.name} failed for good: {reason}."
    return ""
