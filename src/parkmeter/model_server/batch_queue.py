"""The bounded queue of requests, from which workers take batches.

Knows which requests may share a batch; knows nothing of models or HTTP. Thread-safe.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Condition

from parkmeter.model_server.decoding import Plan

# A larger batch gains no throughput, and all its requests wait longer.
MAX_BATCH_TEXTS = 32
# In a smaller batch each text costs more.
MIN_SHARE = 8


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

    `on_done` is called once, `on_piece` with the number of a text and each piece added to it;
    the caller sets `cancelled` when the answer is no longer needed.
    """

    plan: Plan
    on_done: Callable[[Outcome], None]
    on_piece: Callable[[int, str], None] | None = None
    cancelled: bool = False

    @property
    def weight(self) -> int:
        """Number of texts that the engine decodes for it at a time."""
        return len(self.plan.prompts) * self.plan.samples * self.plan.decoding.beams


class QueueFullError(Exception):
    """Raised when the queue has no room for a request."""


class BatchQueue:
    """Requests in the order of arrival, except that later ones join a batch they can share.

    Requests with a seed run alone, and one at a time: the engine's seed belongs to the process.
    While one runs, other workers skip the next one.

    A worker leaves the others their share of the texts that wait or are being decoded. If it took
    all, they would get later arrivals only: one request at a time, the most expensive way.

    Args:
        capacity: Maximum of texts that wait. An empty queue accepts a request of any size.
        workers: Number of workers that take batches.
    """

    def __init__(self, capacity: int, workers: int = 1) -> None:
        self._capacity = capacity
        self._workers = workers
        self._jobs: list[Job] = []
        self._weight = 0
        self._running = 0
        self._seed_in_use = False
        self._changed = Condition()

    @property
    def weight(self) -> int:
        """Number of texts that wait."""
        return self._weight

    def put(self, job: Job) -> None:
        """Add `job`; idle workers notice it on `wake`.

        Raises:
            QueueFullError: The texts that wait would exceed `capacity`.
        """
        with self._changed:
            if self._jobs and self._weight + job.weight > self._capacity:
                raise QueueFullError
            self._jobs.append(job)
            self._weight += job.weight

    def wake(self) -> None:
        """Wake the idle workers."""
        with self._changed:
            self._changed.notify_all()

    def take(self) -> list[Job]:
        """Wait for jobs and return a batch; call `done` with it afterwards."""
        with self._changed:
            while not (batch := self._next()):
                self._changed.wait()
            self._running += _weight(batch)
            return batch

    def done(self, batch: list[Job]) -> None:
        """Mark `batch` as finished."""
        with self._changed:
            self._running -= _weight(batch)
            if batch[0].plan.seed is not None:
                self._seed_in_use = False
                self._changed.notify()

    def _next(self) -> list[Job]:
        batch: list[Job] = []
        room = self._share()
        left: list[Job] = []
        for job in self._jobs:
            if job.cancelled:
                continue
            if self._fits(batch, job) and (not batch or job.weight <= room):
                batch.append(job)
                room -= job.weight
            else:
                left.append(job)
        self._jobs = left
        self._weight = _weight(left)
        if batch and batch[0].plan.seed is not None:
            self._seed_in_use = True
        return batch

    def _share(self) -> int:
        fair = math.ceil((self._weight + self._running) / self._workers)
        return min(max(fair, MIN_SHARE), MAX_BATCH_TEXTS)

    def _fits(self, batch: list[Job], job: Job) -> bool:
        if not batch:
            return job.plan.seed is None or not self._seed_in_use
        first = batch[0].plan
        alone = first.seed is not None or job.plan.seed is not None
        return not alone and job.plan.decoding == first.decoding


def _weight(jobs: Iterable[Job]) -> int:
    return sum(job.weight for job in jobs)
