"""Tasks that run one at a time and are interrupted at their port calls, as one seed decides.

Each task has a thread, but only the one that was resumed runs: the main thread waits for it. So a
history is the same every time, and any two operations interleave at any of their port calls.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

UNLIMITED = 1 << 30


class Verdict(StrEnum):
    """The fate of one port call."""

    GO = "goes on"
    PARK = "is held up before it"
    FAIL = "fails, without effect"
    LOSE = "takes effect, its reply is lost"
    CRASH = "gateway killed before it"
    CRASH_AFTER = "gateway killed after it"


FAULTS = (Verdict.FAIL, Verdict.LOSE, Verdict.CRASH, Verdict.CRASH_AFTER)


class Crash(BaseException):
    """Raised in the tasks of a killed gateway: no handler of an application catches it."""


class LostReply(Exception):  # noqa: N818 (a condition of the network)
    """Raised for a call that took effect and was not acknowledged."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Run `calls` port calls, then do `then` at the next; only calls that begin with `at` count."""

    calls: int = UNLIMITED
    then: Verdict = Verdict.GO
    at: str = ""


class Task:
    """One operation of one gateway. `result` or `error` once it is `done`."""

    def __init__(self, title: str, owner: Any, work: Callable[[], object]) -> None:
        self.title = title
        self.owner = owner
        self.work = work
        self.done = False
        self.dead = False
        self.result: object = None
        self.error: BaseException | None = None
        self.at: str = ""
        """The port call before which it is held up."""
        self.facts: dict[str, Any] = {}
        """Notes of the invariants: what it read and committed."""
        self._orders = Orders()
        self._left = 0

    def __repr__(self) -> str:
        return self.title


class Scheduler:
    """Runs tasks. `exact`: the number of one port call, of all from the start, and its fate."""

    def __init__(self, exact: tuple[int, Verdict] | None = None) -> None:
        self.exact = exact
        self.calls = 0
        self.faults = 0
        self.current: Task | None = None
        self._back = threading.Semaphore(0)
        self._idle: list[_Worker] = []
        self._of: dict[Task, _Worker] = {}

    def run(self, task: Task, orders: Orders) -> None:
        """Start or resume a task; return when it is done or held up."""
        task._orders, task._left = orders, orders.calls
        worker = self._of.get(task)
        if worker is None:
            worker = self._of[task] = self._idle.pop() if self._idle else _Worker(self._back)
            worker.task = task
        before, self.current = self.current, task
        worker.go.release()
        self._back.acquire()
        self.current = before
        if task.done:
            self._idle.append(self._of.pop(task))

    @property
    def held_up(self) -> bool:
        """Return whether any task is held up."""
        return bool(self._of)

    def kill(self, task: Task) -> None:
        """End a task that is held up: its gateway was killed."""
        task.dead = True
        self.run(task, Orders())

    def reach(self, call: str) -> Verdict:
        """Return the fate of the next port call of the current task; wait if it is held up."""
        task = self.current
        if task is None:
            return Verdict.GO
        while True:
            if task.dead:
                raise Crash
            if not call.startswith(task._orders.at):
                verdict = Verdict.GO
                break
            if task._left > 0:
                task._left -= 1
                verdict = Verdict.GO
                break
            verdict = task._orders.then
            if verdict is not Verdict.PARK:
                task._orders, task._left = Orders(), UNLIMITED
                break
            task.at = call
            self._back.release()
            self._of[task].go.acquire()
        self.calls += 1
        if self.exact is not None and self.calls == self.exact[0]:
            verdict = self.exact[1]
        if verdict is not Verdict.GO:
            self.faults += 1
        return verdict

    def crash(self) -> Crash:
        """Return the exception that ends the current task; its owner counts as killed."""
        assert self.current is not None
        self.current.dead = True
        return Crash()

    def close(self) -> None:
        """End the threads; no task may be held up."""
        for worker in self._idle:
            worker.task = None
            worker.go.release()
        for worker in self._idle:
            worker.thread.join()
        self._idle.clear()


class _Worker:
    """A thread that runs one task after the other."""

    def __init__(self, back: threading.Semaphore) -> None:
        self.go = threading.Semaphore(0)
        self.task: Task | None = None
        self._back = back
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            self.go.acquire()
            task = self.task
            if task is None:
                return
            try:
                task.result = task.work()
            except BaseException as error:  # noqa: BLE001 (judged by the main thread)
                task.error = error
            task.done = True
            self._back.release()
