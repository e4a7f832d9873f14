"""A queue of names by when each is due, for the clocks of both deployments. Pure."""

import heapq
import itertools
from datetime import datetime


class DueQueue:
    """Names and the moment each is due; the earliest is taken first, of equals the first added.

    A name is held once. One that was taken is not handed out again before `done`, so it is never
    worked on twice at once; what is added meanwhile counts afterwards. Not safe from several
    threads: the caller has a lock.
    """

    def __init__(self) -> None:
        self._due: dict[str, datetime] = {}
        # An entry counts as long as `_due` has the same moment for it; others are dropped late.
        self._heap: list[tuple[datetime, int, str]] = []
        self._order = itertools.count()
        self._taken: set[str] = set()

    def add(self, name: str, at: datetime) -> None:
        """Have `name` due at `at`, unless it is due earlier already."""
        if name in self._due and self._due[name] <= at:
            return
        self._due[name] = at
        if name not in self._taken:
            heapq.heappush(self._heap, (at, next(self._order), name))

    def next_due(self) -> datetime | None:
        """Return when the first name is due; None if none waits."""
        while self._heap:
            at, _, name = self._heap[0]
            if self._due.get(name) == at and name not in self._taken:
                return at
            heapq.heappop(self._heap)
        return None

    def take(self, now: datetime) -> str | None:
        """Return the first name that is due at `now`, until `done` the caller's; None if none."""
        at = self.next_due()
        if at is None or at > now:
            return None
        _, _, name = heapq.heappop(self._heap)
        del self._due[name]
        self._taken.add(name)
        return name

    def done(self, name: str, again: datetime | None = None) -> None:
        """Give a taken name back: due at `again`, or earlier if it was added so meanwhile."""
        self._taken.discard(name)
        added = self._due.pop(name, None)
        if moments := [at for at in (again, added) if at is not None]:
            self.add(name, min(moments))
