"""Workers that take batches from the queue, run them on the model and return the texts.

Knows the queue and the model, not HTTP. All callers are on one thread (the event loop's); `post`
makes every callback run there.
"""

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

from parkmeter.model_server.batch_queue import MAX_BATCH_TEXTS, BatchQueue, Job, Outcome, Text
from parkmeter.model_server.decoding import Decoding
from parkmeter.model_server.errors import CannotLoadError
from parkmeter.model_server.model import Generated, Model
from parkmeter.model_server.payload import MAX_SEED
from parkmeter.model_server.tokenizer import TextStream

WORKERS = 2
MAX_PROMPT_TOKENS = 2048
# Attention needs memory for every token of a batch, padding included: about 1 GB for 16,384 tokens
# of a model with 250 M parameters.
MAX_BATCH_TOKENS = 16_384
MAX_WAITING_TEXTS = 512
MAX_RETRY_SECONDS = 60
# Any large odd number: the later batches of neighbouring seeds must not share seeds.
SEED_STEP = 0x9E3779B1
# Above this it pays to end a batch early when all its clients have disconnected.
SLOW_SECONDS_PER_TEXT = 0.1


class PromptTooLongError(Exception):
    """Raised when a prompt has more than `MAX_PROMPT_TOKENS` tokens."""

    def __init__(self, index: int, tokens: int) -> None:
        super().__init__(f"{tokens} tokens")
        self.index = index
        self.tokens = tokens


@dataclass(slots=True)
class _Row:
    """One decoding of one prompt; `number` counts the rows of its job."""

    job: Job
    number: int
    prompt: list[str]
    stream: TextStream | None
    found: list[Generated] = field(default_factory=list)


class Engine:
    """Runs jobs on a model.

    Args:
        model: The loaded model.
        post: Calls a function with arguments on the callers' thread, soon and in order.
        capacity: Maximum of texts that wait.
    """

    def __init__(
        self, model: Model, post: Callable[..., object], capacity: int = MAX_WAITING_TEXTS
    ) -> None:
        self._model = model
        self._post = post
        self._queue = BatchQueue(capacity, model.workers)
        self._seconds_per_text = 0.01
        self._failure: Exception | None = None
        self._wake_posted = False

    def start(self) -> None:
        """Start the workers; return when they are ready.

        Raises:
            CannotLoadError: The model loads but does not run.
        """
        all_drawn = Barrier(self._model.workers)
        ready = Barrier(self._model.workers + 1)
        for number in range(self._model.workers):
            # Daemons: a shutdown does not wait for texts that no client will read.
            Thread(
                target=self._work, args=(all_drawn, ready), name=f"worker-{number}", daemon=True
            ).start()
        try:
            ready.wait()
        except BrokenBarrierError as error:
            raise CannotLoadError(f"the engine cannot run it: {self._failure}") from error

    def submit(self, job: Job) -> None:
        """Queue `job`; its `on_done` is called unless it is cancelled before it starts.

        Raises:
            QueueFullError: The queue is full; see `retry_seconds`.
        """
        self._queue.put(job)
        if not self._wake_posted:
            # Not at once: requests that arrive in the same turn of the event loop share a batch
            # instead of waiting while the first one runs alone.
            self._wake_posted = True
            self._post(self._wake)

    def _wake(self) -> None:
        self._wake_posted = False
        self._queue.wake()

    def retry_seconds(self) -> int:
        """Return the seconds in which half the queue is worked off, at the measured speed."""
        seconds = self._queue.weight * self._seconds_per_text / 2
        return min(MAX_RETRY_SECONDS, 1 + int(seconds))

    def _work(self, all_drawn: Barrier, ready: Barrier) -> None:
        try:
            self._model.warm_up(all_drawn)
        except Exception as error:  # noqa: BLE001 (`start` reports it)
            self._failure = self._failure or error
            all_drawn.abort()
            ready.abort()
            return
        ready.wait()
        while True:
            jobs = self._queue.take()
            outcomes: dict[Job, Outcome] = {}
            try:
                self._run(jobs, outcomes)
            except Exception as error:  # noqa: BLE001 (any error is these jobs' answer)
                traceback.print_exc(file=sys.stderr)
                outcomes = dict.fromkeys(jobs, error)
            finally:
                self._queue.done(jobs)
            self._post(_finish, outcomes)

    def _run(self, jobs: list[Job], outcomes: dict[Job, Outcome]) -> None:
        began = time.monotonic()
        decoding, seed = jobs[0].plan.decoding, jobs[0].plan.seed
        deadline = None if decoding.max_seconds is None else began + decoding.max_seconds
        rows = [row for job in jobs for row in self._rows(job, outcomes)]
        slow = self._seconds_per_text > SLOW_SECONDS_PER_TEXT
        for number, batch in enumerate(_batches(rows, decoding)):
            if all(row.job.cancelled for row in batch):
                continue
            # A callback per token costs too much only when texts take milliseconds.
            watched = slow or any(row.stream for row in batch)
            found = self._model.generate(
                [row.prompt for row in batch],
                decoding,
                # Or the second batch would draw the same as the first.
                seed=None if seed is None else (seed + number * SEED_STEP) & MAX_SEED,
                with_scores=any(row.job.plan.samples > row.job.plan.keep for row in batch),
                deadline=deadline,
                watch=self._watch(batch) if watched and decoding.beams == 1 else None,
            )
            for row, texts in zip(batch, found, strict=True):
                row.found = texts
        by_job: dict[Job, list[_Row]] = {}
        for row in rows:
            by_job.setdefault(row.job, []).append(row)
        for job, job_rows in by_job.items():
            outcomes[job] = list(self._texts(job, job_rows))
        if rows:
            spent = (time.monotonic() - began) / sum(job.weight for job in by_job)
            # The other workers take their share of the queue meanwhile.
            self._seconds_per_text += (spent / self._model.workers - self._seconds_per_text) / 8

    def _rows(self, job: Job, outcomes: dict[Job, Outcome]) -> Iterator[_Row]:
        plan = job.plan
        prompts = self._model.encode(plan.prompts)
        for index, prompt in enumerate(prompts):
            if len(prompt) > MAX_PROMPT_TOKENS:
                outcomes[job] = PromptTooLongError(index, len(prompt))
                return
        # Beams and the best of several samples are known at the end only.
        live = job.on_piece and plan.decoding.beams == 1 and plan.samples == plan.keep
        for index, prompt in enumerate(prompts):
            for sample in range(plan.samples):
                stream = TextStream(self._model.decode) if live else None
                yield _Row(job, index * plan.samples + sample, prompt, stream)

    def _watch(self, batch: Sequence[_Row]) -> Callable[[int, int], bool]:
        jobs = {row.job for row in batch}

        def watch(index: int, token: int) -> bool:
            row = batch[index]
            if row.stream is not None and not row.job.cancelled:
                piece = row.stream.add(token)
                if piece:
                    self._post(row.job.on_piece, row.number, piece)
            # A batch cannot drop a single row: it ends when all its jobs are cancelled.
            return all(job.cancelled for job in jobs)

        return watch

    def _texts(self, job: Job, rows: Sequence[_Row]) -> Iterator[Text]:
        samples, keep = job.plan.samples, job.plan.keep
        for first in range(0, len(rows), samples):
            prompt = rows[first].prompt
            found = [text for row in rows[first : first + samples] for text in row.found]
            if len(found) > keep:
                found = sorted(found, key=lambda text: text.score, reverse=True)[:keep]
            for text in found:
                yield Text(
                    text=self._model.decode(text.tokens),
                    prompt_tokens=len(prompt),
                    tokens=text.count,
                    finish=_finish_reason(text, job.plan.decoding),
                )


def _finish_reason(text: Generated, decoding: Decoding) -> str:
    if text.complete:
        return "stop"
    return "length" if text.count >= decoding.max_new_tokens else "time"


def _batches(rows: Sequence[_Row], decoding: Decoding) -> Iterator[list[_Row]]:
    """Split `rows` into batches, bounded in texts and in padded tokens."""
    batch: list[_Row] = []
    longest = 0
    for row in rows:
        longest = max(longest, len(row.prompt))
        texts = (len(batch) + 1) * decoding.beams
        tokens = texts * (longest + decoding.max_new_tokens)
        if batch and (texts > MAX_BATCH_TEXTS or tokens > MAX_BATCH_TOKENS):
            yield batch
            batch, longest = [], len(row.prompt)
        batch.append(row)
    if batch:
        yield batch


def _finish(outcomes: dict[Job, Any]) -> None:
    for job, outcome in outcomes.items():
        job.on_done(outcome)
