"""Workers of one invocation, and the one place where somebody waits for them.

A call to AWS is mostly waiting, so many are made side by side. Tests put wound time in its place.
"""

from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

WORKERS = 16
"""A slow call must delay no other; more would only be refused by AWS."""

Result = TypeVar("Result")


class Crew:
    """Works for one thread: whoever begins works waits for them. `workers`: how many there are."""

    def __init__(self, workers: int = WORKERS) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers)

    def begin(self, work: Callable[[str], Result], name: str) -> "Future[Result]":
        """Have it done as soon as somebody is free."""
        return self._pool.submit(work, name)

    def wait(self, works: Collection["Future[Any]"], seconds: float | None) -> list["Future[Any]"]:
        """Those that are done, in order, as soon as one of them is, or after so many seconds."""
        wait(works, timeout=seconds, return_when=FIRST_COMPLETED)
        return [work for work in works if work.done()]
