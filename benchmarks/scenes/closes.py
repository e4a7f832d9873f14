"""Closes: how long an endpoint lives past the end of its meter.

From the moment a meter closes to the call that stops the endpoint (*fakes*, which exist in memory),
or to the SIGTERM its server gets (*processes*, under leashes); 50 and 20 meters close at random
within two seconds. A close that is not seen in time counts up to the end of the wait.
"""

import random
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.figures import Effort, Figure, Measured
from benchmarks.noted_gateway import BUSY, NotedGateway, noted_gateway, settled
from benchmarks.processes import wait_until
from benchmarks.requests import Prompt
from benchmarks.wrk import load

LEAD = 1.5
"""Seconds on a meter at least: a top-up adds a second or more, and takes its time."""

PATIENCE = 3.0
"""Seconds after the last close for all stops to be seen."""

STARTS = {"fake": 0.05, "process": 0.2}
"""Seconds for each endpoint before the first one closes, so that all of them serve by then."""


def measure(effort: Effort) -> Measured:
    """Let endpoints live and end: in quiet, beside a busy data plane, with the gateway killed."""
    lives: dict[str, list[list[float]]] = {}
    with noted_gateway("fake", effort.pick(50, 3)) as running:
        for _ in range(effort.rounds(3)):
            lives.setdefault("fakes", []).append(_lives(running, "fake", "stop", effort))
            with _busy(running, 16, effort):
                busy = _lives(running, "fake", "stop", effort)
            lives.setdefault("fakes, busy data plane", []).append(busy)
    with noted_gateway("process", effort.pick(20, 2)) as running:
        for _ in range(effort.rounds(2)):
            found = _lives(running, "process", "sigterm", effort)
            lives.setdefault("processes", []).append(found)
        killed = _lives(running, "process", "sigterm", effort, kill=True)
        lives["processes, gateway killed -9"] = [killed]
    return Measured(tuple(figure for row in lives for figure in _figures(row, lives[row])))


def _lives(
    running: NotedGateway, kind: str, end: str, effort: Effort, *, kill: bool = False
) -> list[float]:
    """Return the seconds that each endpoint lived past the close of its meter."""
    chance, begun = random.Random(7), time.time()
    lead = LEAD + STARTS[kind] * len(running.names)
    window = 10 * effort.seconds(0.2)
    asked = running.top_up_all([lead + chance.uniform(0, window) for _ in running.names])
    if kill:
        for name in running.names:
            wait_until(lambda name=name: running.gateway.status(name) == "running")
        running.gateway.process.kill()
    last = max(one.closes for one in asked.values())
    settled(lambda: len(running.first(end, begun)) == len(asked), last + PATIENCE - time.time())
    ends, now = running.first(end, begun), time.time()
    if not kill:
        wait_until(lambda: all(running.gateway.status(one) == "stopped" for one in asked))
    return [ends.get(name, now) - one.closes for name, one in asked.items()]


@contextmanager
def _busy(running: NotedGateway, clients: int, effort: Effort) -> Iterator[None]:
    """Keep the data plane saturated meanwhile."""
    running.gateway.serve(BUSY, minutes=2)
    seconds = LEAD + STARTS["fake"] * len(running.names) + 10 * effort.seconds(0.2) + 1
    prompts = threading.Thread(
        target=load, args=(running.gateway.port, Prompt(f"/{BUSY}"), clients, seconds)
    )
    prompts.start()
    try:
        yield
    finally:
        prompts.join()


def _figures(row: str, rounds: list[list[float]]) -> Iterator[Figure]:
    medians = tuple(1000 * statistics.median(one) for one in rounds)
    yield Figure(row, "median", medians, "ms")
    yield Figure(row, "longest", (1000 * max(life for one in rounds for life in one),), "ms")
    yield Figure(row, "closes", (sum(map(len, rounds)),))
