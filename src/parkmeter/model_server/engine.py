"""Answers requests with a model: workers take batches from the line and hand the texts back.

Knows the line and the model; knows nothing of HTTP. Callers live on one thread (the event loop's);
`post` brings every call back to it.
"""

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

from parkmeter.model_server.batch_queue import MAX_BATCH_TEXTS, Job, Outcome, Text, WaitingLine
from parkmeter.model_server.decoding import Decoding
from parkmeter.model_server.errors import CannotLoadError
from parkmeter.model_server.model import Generated, Model
from parkmeter.model_server.payload import MAX_SEED
from parkmeter.model_server.text_stream import Pieces

WORKERS = 2
MAX_PROMPT_TOKENS = 2048
# Attention takes memory for every token of a batch, padding included; 16,384 tokens of a 250 M
# parameter model take about 1 GB.
MAX_BATCH_TOKENS = 16_384
MAX_WAITING_TEXTS = 512
MOST_RETRY_SECONDS = 60
# Any large odd number: neighbouring seeds must not meet in each other's later batches.
SEED_STEP = 0x9E3779B1
# From here on a batch whose readers have all left is worth ending early, streamed or not.
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
    pieces: Pieces | None
    found: list[Generated] = field(default_factory=list)


class Engine:
    """Runs jobs on a model.

    Args:
        model: What answers.
        post: Calls a function with arguments on the callers' thread, soon and in order.
        capacity: How many texts may wait.
    """

    def __init__(
        self, model: Model, post: Callable[..., object], capacity: int = MAX_WAITING_TEXTS
    ) -> None:
        self._model = model
        self._post = post
        self._line = WaitingLine(capacity, model.workers)
        self._seconds_per_text = 0.01
        self._failure: Exception | None = None
        self._waking = False

    def start(self) -> None:
        """Start the workers; return when they are ready.

        Raises:
            CannotLoadError: The model loads but does not run.
        """
        together = Barrier(self._model.workers)
        ready = Barrier(self._model.workers + 1)
        for number in range(self._model.workers):
            # Daemons: a process told to go does not wait for texts nobody will read.
            Thread(
                target=self._work, args=(together, ready), name=f"worker-{number}", daemon=True
            ).start()
        try:
            ready.wait()
        except BrokenBarrierError as broken:
            raise CannotLoadError(f"the engine cannot run it: {self._failure}") from broken

    def submit(self, job: Job) -> None:
        """Take `job`; its `on_done` is called unless it was cancelled before it began.

        Raises:
            LineFullError: Too much is waiting; see `retry_seconds`.
        """
        self._line.put(job)
        if not self._waking:
            # Not at once: whoever came in the same turn of the event loop gets into the same batch
            # instead of watching the first one being served alone.
            self._waking = True
            self._post(self._wake)

    def _wake(self) -> None:
        self._waking = False
        self._line.wake()

    def retry_seconds(self) -> int:
        """Return in how many seconds half the line will be gone, at the speed seen so far."""
        seconds = self._line.weight * self._seconds_per_text / 2
        return min(MOST_RETRY_SECONDS, 1 + int(seconds))

    def _work(self, together: Barrier, ready: Barrier) -> None:
        try:
            self._model.warm_up(together)
        except Exception as error:  # noqa: BLE001 (`start` says it)
            self._failure = self._failure or error
            together.abort()
            ready.abort()
            return
        ready.wait()
        while True:
            jobs = self._line.take()
            outcomes: dict[Job, Outcome] = {}
            try:
                self._run(jobs, outcomes)
            except Exception as error:  # noqa: BLE001 (whatever it is, it is these jobs' answer)
                traceback.print_exc(file=sys.stderr)
                outcomes = dict.fromkeys(jobs, error)
            finally:
                self._line.done(jobs)
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
            # Being told of every token costs too much only when texts take milliseconds.
            watched = slow or any(row.pieces for row in batch)
            found = self._model.generate(
                [row.prompt for row in batch],
                decoding,
                # Or the second batch would draw what the first drew.
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
        for job, its in by_job.items():
            outcomes[job] = list(self._texts(job, its))
        if rows:
            spent = (time.monotonic() - began) / sum(job.weight for job in by_job)
            # The other workers take their share of the line meanwhile.
            self._seconds_per_text += (spent / self._model.workers - self._seconds_per_text) / 8

    def _rows(self, job: Job, outcomes: dict[Job, Outcome]) -> Iterator[_Row]:
        plan = job.plan
        prompts = self._model.encode(plan.prompts)
        for index, prompt in enumerate(prompts):
            if len(prompt) > MAX_PROMPT_TOKENS:
                outcomes[job] = PromptTooLongError(index, len(prompt))
                return
        # Beams and the best of several samples are settled at the end only.
        live = job.on_piece and plan.decoding.beams == 1 and plan.samples == plan.keep
        for index, prompt in enumerate(prompts):
            for sample in range(plan.samples):
                pieces = Pieces(self._model.decode) if live else None
                yield _Row(job, index * plan.samples + sample, prompt, pieces)

    def _watch(self, batch: Sequence[_Row]) -> Callable[[int, int], bool]:
        jobs = {row.job for row in batch}

        def watch(index: int, token: int) -> bool:
            row = batch[index]
            if row.pieces is not None and not row.job.cancelled:
                piece = row.pieces.add(token)
                if piece:
                    self._post(row.job.on_piece, row.number, piece)
            # A batch cannot let go of one row: it ends when nobody wants any of it.
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
    """Cut `rows` into what the engine decodes at once, bounded in texts and in padded tokens."""
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
