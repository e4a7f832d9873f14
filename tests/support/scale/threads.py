"""Wound time for threads at work side by side. Exact, and alike in every run.

One thread runs at a time. When it sleeps or waits, the one that is due next goes on, and time jumps
to its moment; so an hour takes as long as the work in it.
"""

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

from parkmeter.aws.worker_pool import WORKERS, Crew

START = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)


class EndedError(BaseException):
    """Raised in threads that still sleep when all is over."""


class _Turn:
    """One thread's place in time. A moment in the heap counts only with the present `ticket`."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.ticket = 0


class WoundThreads:
    """Time, and who is next. The thread that makes it takes part."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._moments: list[tuple[float, int, int, _Turn]] = []
        self._order = itertools.count()
        self._over = False
        self._mine = threading.local()
        self._mine.turn = _Turn()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self._seconds)

    def sleep(self, seconds: float) -> None:
        self.wake(self.turn, seconds)
        self.rest()

    @property
    def turn(self) -> _Turn:
        """The calling thread's."""
        turn: _Turn = self._mine.turn
        return turn

    def wake(self, turn: _Turn, seconds: float = 0.0) -> None:
        """Have this thread go on then, if nothing wakes it before."""
        moment = self._seconds + max(0.0, seconds)
        heapq.heappush(self._moments, (moment, next(self._order), turn.ticket, turn))

    def rest(self) -> None:
        """Go on when woken; whoever is next goes on meanwhile."""
        mine = self.turn
        following = self._next()
        if following is not mine:
            following.go.release()
            mine.go.acquire()
        if self._over:
            raise EndedError

    def begin(self, work: Callable[[], None]) -> None:
        """Another thread, from now on."""
        turn = _Turn()

        def life() -> None:
            self._mine.turn = turn
            turn.go.acquire()
            try:
                if not self._over:
                    work()
            except EndedError:
                return
            if not self._over:
                self._next().go.release()

        threading.Thread(target=life, daemon=True).start()
        self.wake(turn)

    def end(self) -> None:
        """Nobody else goes on."""
        self._over = True
        for *_, turn in self._moments:
            turn.go.release()

    def _next(self) -> _Turn:
        while True:
            moment, _, ticket, turn = heapq.heappop(self._moments)  # none: all wait for each other
            if ticket == turn.ticket:
                turn.ticket += 1
                self._seconds = moment
                return turn


class WoundCrew(Crew):
    """A crew in wound time."""

    def __init__(self, threads: WoundThreads, workers: int = WORKERS) -> None:
        self._threads = threads
        self.workers = self._free = workers
        self._idle: list[_Turn] = []
        self._asked: deque[tuple[Future[Any], Callable[[str], Any], str]] = deque()
        self._waiting: _Turn | None = None

    def begin(self, work: Callable[[str], Any], name: str) -> Future[Any]:
        future: Future[Any] = Future()
        self._asked.append((future, work, name))
        if self._idle:
            self._threads.wake(self._idle.pop())
        elif self._free:
            self._free -= 1
            self._threads.begin(self._work)
        return future

    def wait(self, works: Collection[Future[Any]], seconds: float | None) -> list[Future[Any]]:
        if not any(work.done() for work in works):
            self._waiting = self._threads.turn
            if seconds is not None:
                self._threads.wake(self._waiting, seconds)
            self._threads.rest()
            self._waiting = None
        return [work for work in works if work.done()]

    def _work(self) -> None:
        while True:
            while self._asked:
                future, work, name = self._asked.popleft()
                try:
                    future.set_result(work(name))
                except Exception as error:  # noqa: BLE001 (the waiting thread's)
                    future.set_exception(error)
                if self._waiting is not None:
                    self._threads.wake(self._waiting)
            self._idle.append(self._threads.turn)
            self._threads.rest()
