"""Closes and starts to the millisecond.

*Past its close*: from the moment a meter closes to the call that stops the endpoint (*fakes*, which
exist in memory), or to the SIGTERM its server gets (*processes*, under leashes). *Start call*: from
sending a top-up to the call that starts it. 50 fakes and 20 processes close at random within two
seconds. A close that is not seen in time counts up to the end of the wait.
"""

import random
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.figures import Effort, Figure, Measured, percentile
from benchmarks.noted_gateway import BUSY, NotedGateway, noted_gateway
from benchmarks.processes import wait_until
from benchmarks.requests import Prompt
from benchmarks.wrk import load

LEAD = 1.5
"""Seconds on a meter at least: a top-up adds a second or more, and takes its time."""

PATIENCE = 3.0
"""Seconds after the last close for all stops to be seen."""


@dataclass(frozen=True, slots=True)
class Way:
    """What tells the end, seconds a start takes, how the top-ups come, and what is beside them."""

    end: str = "stop"
    start: float = 0.05
    clients: int = 1
    pause: float = 0.02
    prompts: int = 0
    kill: bool = False


FAKES = {
    "fakes": Way(),
    "fakes, busy data plane": Way(prompts=16),
    "fakes, 8 clients top up": Way(clients=8, pause=0.0),
}
PROCESSES = {
    "processes": Way("sigterm", start=0.2, pause=0.05),
    "processes, gateway killed -9": Way("sigterm", start=0.2, pause=0.05, kill=True),
}


@dataclass(frozen=True, slots=True)
class Lives:
    """Of each endpoint: seconds past its close, and from its top-up to its start call."""

    past: list[float]
    starts: list[float]


def measure(effort: Effort) -> Measured:
    """Let endpoints live and end, one way after the other; the gateway is killed last."""
    found: dict[str, list[Lives]] = defaultdict(list)
    for kind, count, ways in (
        ("fake", effort.pick(50, 3), FAKES),
        ("process", effort.pick(20, 2), PROCESSES),
    ):
        with noted_gateway(kind, count) as running:
            rounds = effort.rounds(3)
            for number in range(rounds):
                for name, way in ways.items():
                    if not way.kill or number == rounds - 1:
                        found[name].append(_lives(running, way, effort))
    return Measured(tuple(figure for row in found for figure in _figures(row, found[row])))


def _lives(running: NotedGateway, way: Way, effort: Effort) -> Lives:
    """Put time on every endpoint, and wait for their ends."""
    chance, begun, window = random.Random(7), time.time(), 10 * effort.seconds(0.2)
    lead = LEAD + way.start * len(running.names)
    with _busy(running, way.prompts, lead + window + 1):
        given = [lead + chance.uniform(0, window) for _ in running.names]
        asked = running.top_up_all(given, way.clients, way.pause)
        if way.kill:
            _until_all(running, "running")
            running.gateway.process.popen.kill()
        running.until_ended(way.end, begun, asked, PATIENCE)
    ends, starts, now = running.first(way.end, begun), running.first("start", begun), time.time()
    if not way.kill:
        _until_all(running, "stopped")
    return Lives(
        [ends.get(name, now) - one.closes for name, one in asked.items()],
        [starts[name] - one.asked for name, one in asked.items()],
    )


def _until_all(running: NotedGateway, status: str) -> None:
    wait_until(lambda: all(running.gateway.status(name) == status for name in running.names))


@contextmanager
def _busy(running: NotedGateway, clients: int, seconds: float) -> Iterator[None]:
    """Keep the data plane saturated meanwhile."""
    if not clients:
        yield
        return
    running.gateway.serve(BUSY, minutes=2)
    target = (running.gateway.port, Prompt(f"/{BUSY}"), clients, seconds)
    prompts = threading.Thread(target=load, args=target)
    prompts.start()
    try:
        yield
    finally:
        prompts.join()


def _figures(row: str, rounds: list[Lives]) -> Iterator[Figure]:
    past, starts = [one.past for one in rounds], [one.starts for one in rounds]
    yield Figure(row, "past its close, median", tuple(map(_median_ms, past)), "ms")
    yield Figure(row, "longest", (1000 * max(map(max, past)),), "ms")
    yield Figure(row, "start call, median", tuple(map(_median_ms, starts)), "ms")
    p99 = percentile((start for one in starts for start in one), 0.99)
    yield Figure(row, "p99", (1000 * p99,), "ms")


def _median_ms(seconds: list[float]) -> float:
    return 1000 * statistics.median(seconds)
