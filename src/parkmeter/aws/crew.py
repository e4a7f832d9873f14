"""Workers of one invocation, and the one place where somebody waits for them.

A call to AWS is mostly waiting, so many are made side by side. Tests put wound time in its place.
"""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

WORKERS = 16
"""A slow call must delay no other; more would only be refused by AWS."""

Result = TypeVar("Result")


class Crew:
    """Works for one thread: whoever begins works waits for them."""

    def __init__(self, workers: int = WORKERS) -> None:
        self._pool = ThreadPoolExecutor(workers)

    def begin(self, work: Callable[[str], Result], name: str) -> "Future[Result]":
        """Have it done as soon as somebody is free."""
        return self._pool.submit(work, name)

    def wait(self, works: Collection["Future[Any]"], seconds: float | None) -> set["Future[Any]"]:
        """Those that are done, as soon as one of them is, or after so many seconds."""
        return wait(works, timeout=seconds, return_when=FIRST_COMPLETED).done

    def each(self, work: Callable[[str], Result], names: Iterable[str]) -> list[Result]:
        """What came of all of them, in their order; raises what one of them raised."""
        works = [self.begin(work, name) for name in names]
        left = set(works)
        while left:
            left -= self.wait(left, None)
        return [done.result() for done in works]
