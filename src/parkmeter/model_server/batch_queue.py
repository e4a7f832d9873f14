"""The line of requests that wait for a worker: bounded, and handed out in batches.

Knows which requests may share a batch; knows nothing of models or HTTP. Thread-safe.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Condition

from parkmeter.model_server.decoding import Plan

# Past this a batch gains nothing and everyone in it waits longer.
MAX_BATCH_TEXTS = 32
# Below this a text costs more the fewer it shares its batch with.
LEAST_SHARE = 8


@dataclass(frozen=True, slots=True)
class Text:
    """One text of an answer.

    `finish` is "stop" (the model ended it), "length" (`max_length`) or "time" (`max_time`).
    """

    text: str
    prompt_tokens: int
    tokens: int
    finish: str


Outcome = list[Text] | Exception


@dataclass(slots=True, eq=False)
class Job:
    """One request in the engine.

    `on_done` is called once, `on_piece` with the number of the text and what was added to it;
    `cancelled` is set by whoever no longer wants the answer.
    """

    plan: Plan
    on_done: Callable[[Outcome], None]
    on_piece: Callable[[int, str], None] | None = None
    cancelled: bool = False

    @property
    def weight(self) -> int:
        """How many texts the engine works on for it at a time."""
        return len(self.plan.prompts) * self.plan.samples * self.plan.decoding.beams


class LineFullError(Exception):
    """Raised when too much is waiting already."""


class WaitingLine:
    """First come, first served, except that those who can share a batch come along.

    Requests with a seed go alone, and one at a time: the engine's seed belongs to the process.
    While one runs, other workers pass the next one by.

    A worker leaves the others their share of the texts that wait or are worked on. One that took
    all would leave them only what comes meanwhile: one request at a time, the dearest way.

    Args:
        capacity: How many texts may wait. One request is always let in, however large.
        workers: How many take batches.
    """

    def __init__(self, capacity: int, workers: int = 1) -> None:
        self._capacity = capacity
        self._workers = workers
        self._jobs: list[Job] = []
        self._weight = 0
        self._running = 0
        self._seeded_runs = False
        self._changed = Condition()

    @property
    def weight(self) -> int:
        """How many texts are waiting."""
        return self._weight

    def put(self, job: Job) -> None:
        """Let `job` wait; a worker that waits for work is woken by `wake`.

        Raises:
            LineFullError: More would wait than `capacity`.
        """
        with self._changed:
            if self._jobs and self._weight + job.weight > self._capacity:
                raise LineFullError
            self._jobs.append(job)
            self._weight += job.weight

    def wake(self) -> None:
        """Have the waiting workers look at the line."""
        with self._changed:
            self._changed.notify_all()

    def take(self) -> list[Job]:
        """Wait for work and return one batch of it. Give it back with `done`."""
        with self._changed:
            while not (batch := self._next()):
                self._changed.wait()
            self._running += _weight(batch)
            return batch

    def done(self, batch: list[Job]) -> None:
        """Say that `batch` is finished."""
        with self._changed:
            self._running -= _weight(batch)
            if batch[0].plan.seed is not None:
                self._seeded_runs = False
                self._changed.notify()

    def _next(self) -> list[Job]:
        batch: list[Job] = []
        room = self._share()
        left: list[Job] = []
        for job in self._jobs:
            if job.cancelled:
                continue
            if self._joins(batch, job) and (not batch or job.weight <= room):
                batch.append(job)
                room -= job.weight
            else:
                left.append(job)
        self._jobs = left
        self._weight = _weight(left)
        if batch and batch[0].plan.seed is not None:
            self._seeded_runs = True
        return batch

    def _share(self) -> int:
        fair = math.ceil((self._weight + self._running) / self._workers)
        return min(max(fair, LEAST_SHARE), MAX_BATCH_TEXTS)

    def _joins(self, batch: list[Job], job: Job) -> bool:
        if not batch:
            return job.plan.seed is None or not self._seeded_runs
        first = batch[0].plan
        alone = first.seed is not None or job.plan.seed is not None
        return not alone and job.plan.decoding == first.decoding


def _weight(jobs: Iterable[Job]) -> int:
    return sum(job.weight for job in jobs)
