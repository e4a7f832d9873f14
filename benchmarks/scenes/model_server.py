"""The embedded model server.

Greedy texts of 30 tokens, asked over HTTP from another core. *A core* is a second of the
server's own processor time. The engine alone decodes batches of 32 without a server around: the
difference is what HTTP, the queue and smaller batches cost.
"""

import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.clients import closed_loop, request
from benchmarks.figures import Effort, Figure, Measured, percentile, ratios
from benchmarks.processes import (
    GATEWAY_CORE,
    LOAD_CORE,
    Process,
    on_core,
    python,
    running,
    wait_until,
)
from parkmeter.model_server.decoding import Decoding
from parkmeter.model_server.model import Model
from parkmeter.model_server.sources import DEMO

PROMPT = "Write a story about beautiful weather on a tropical island."
BATCH = 32
_READY = re.compile(r"ready on 127\.0\.0\.1:(\d+) after")


def _prompt(accept: str = "application/json", **more: object) -> bytes:
    document = {"text_inputs": PROMPT, "max_length": 31, **more}
    return request("POST", "/invocations", document, f"Accept: {accept}")


STREAMED = _prompt("text/event-stream")
LOADS = {
    "1 client": [_prompt()],
    "8 clients": [_prompt()] * 8,
    "32 clients": [_prompt()] * BATCH,
    "32 clients, sampled": [_prompt(temperature=0.8)] * BATCH,
    "32 clients, streamed": [STREAMED] * BATCH,
}


@dataclass(frozen=True, slots=True)
class Wave:
    """One window of one load: answers for each second of a core, latencies in ms."""

    per_core: float
    p50: float
    p99: float


def measure(effort: Effort) -> Measured:
    """Load the server in turn with the engine alone."""
    waves: dict[str, list[Wave]] = {name: [] for name in LOADS}
    engine, alone, firsts = Model(DEMO, workers=1), list[float](), list[float]()
    with _server() as (process, port), on_core(LOAD_CORE):
        _wave(process, port, LOADS["32 clients"], effort.seconds(0.5))
        _engine_alone(engine, 0.1)
        for _ in range(effort.rounds(5)):
            alone.append(_engine_alone(engine, effort.seconds(0.5)))
            for name, messages in LOADS.items():
                waves[name].append(_wave(process, port, messages, effort.seconds(1.0)))
            streams = closed_loop(port, [STREAMED], effort.seconds(0.3))
            firsts.append(1000 * statistics.median(one.first for one in streams))
    figures = [figure for name, taken in waves.items() for figure in _figures(name, taken)]
    share = ratios((one.per_core for one in waves["32 clients"]), alone)
    figures.append(Figure("32 clients", "of the engine alone", share))
    figures.append(Figure("the engine alone", "answers a core", tuple(alone), "/s"))
    figures.append(Figure("1 client, streamed", "first piece", tuple(firsts), "ms"))
    return Measured(tuple(figures))


def _figures(name: str, taken: list[Wave]) -> Iterator[Figure]:
    p50, p99 = tuple(one.p50 for one in taken), tuple(one.p99 for one in taken)
    yield Figure(name, "answers a core", tuple(one.per_core for one in taken), "/s")
    yield Figure(name, "p50", p50, "ms")
    yield Figure(name, "p99 ÷ p50", ratios(p99, p50))


def _wave(process: Process, port: int, messages: list[bytes], seconds: float) -> Wave:
    before = process.cpu()
    answers = closed_loop(port, messages, seconds)
    cpu = (process.cpu() - before).total
    p50, p99 = (1000 * percentile((one.seconds for one in answers), share) for share in (0.5, 0.99))
    return Wave(len(answers) / cpu, p50, p99)


def _engine_alone(engine: Model, seconds: float) -> float:
    """Return the texts a second of one core that the engine decodes in batches."""
    rows = engine.encode([PROMPT] * BATCH)
    texts, began, cpu = 0, time.perf_counter(), time.process_time()
    while not texts or time.perf_counter() - began < seconds:
        texts += len(engine.generate(rows, Decoding(max_new_tokens=30)))
    return texts / (time.process_time() - cpu)


@contextmanager
def _server() -> Iterator[tuple[Process, int]]:
    command = python("-m", "parkmeter.model_server", "--model", DEMO, "--port", 0)
    with running(command, GATEWAY_CORE) as process:
        wait_until(lambda: _READY.search(process.words()), process)
        found = _READY.search(process.words())
        assert found is not None
        yield process, int(found[1])
