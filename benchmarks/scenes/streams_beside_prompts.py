"""Streams beside prompts.

256 streams with an event every 20 ms, beside 200 prompts a second, through one gateway on one core,
and the same through nginx. A gap is the time between two events of a stream as its client reads
them.
"""

import selectors
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

from benchmarks.clients import Client, request
from benchmarks.figures import Effort, Figure, Measured, percentile, ratios
from benchmarks.peers import NGINX
from benchmarks.processes import LOAD_CORE, on_core
from benchmarks.sides import Side, Sides
from benchmarks.wrk import load

OURS, PAUSE_MS, PROMPTS_EVERY_MS = "parkmeter", 20, 5


@dataclass(frozen=True, slots=True)
class Beside:
    """One window: share of the core in percent, times in ms."""

    cpu: float
    gap_p99: float
    lost: int
    prompt_p99: float


@dataclass(slots=True)
class _Stream:
    client: Client
    seen: int = 0
    last: float = 0.0


def measure(effort: Effort) -> Measured:
    """Load both sides in turn."""
    found: dict[str, list[Beside]] = defaultdict(list)
    with ExitStack() as stack:
        sides = Sides(stack, install=False)
        sides.add_ours(OURS)
        sides.add(NGINX)
        for _ in range(effort.rounds(3)):
            for side in sides.all:
                streams, events = effort.pick(256, 16), effort.pick(200, 20)
                found[side.name].append(_beside(side, streams, events))
    figures = []
    for name, taken in found.items():
        cpu = tuple(one.cpu for one in taken)
        figures.append(Figure(name, "CPU of a core", cpu, "%"))
        if name == OURS and NGINX.name in found:
            theirs = (one.cpu for one in found[NGINX.name])
            figures.append(Figure(name, "÷ nginx", ratios(cpu, theirs)))
        figures.append(Figure(name, "gap, p99", tuple(one.gap_p99 for one in taken), "ms"))
        figures.append(Figure(name, "lost events", (sum(one.lost for one in taken),)))
        figures.append(Figure(name, "prompt, p99", tuple(one.prompt_p99 for one in taken), "ms"))
    return Measured(tuple(figures), tuple(sides.remarks))


def _beside(side: Side, streams: int, events: int) -> Beside:
    seconds = events * PAUSE_MS / 1000
    prompt = replace(side.prompt, pause_ms=PROMPTS_EVERY_MS)
    with on_core(LOAD_CORE), ThreadPoolExecutor(1) as pool:
        before, began = side.cpu(), time.perf_counter()
        prompts = pool.submit(load, side.port, prompt, 1, seconds)
        gaps, lost = _gaps(side.port, streams, events)
        prompt_p99 = prompts.result().p99
        spent = (side.cpu() - before).total / (time.perf_counter() - began)
    return Beside(100 * spent, 1000 * percentile(gaps, 0.99), lost, 1000 * prompt_p99)


def _gaps(port: int, count: int, events: int) -> tuple[list[float], int]:
    """Read that many streams to their end; return all gaps in seconds, and how many events lack."""
    message = request("POST", f"/flan/events/{events}?every={PAUSE_MS}", {})
    gaps, lost = list[float](), 0
    with ExitStack() as closing, selectors.DefaultSelector() as ready:
        for _ in range(count):
            stream = _Stream(Client(port))
            closing.callback(stream.client.close)
            ready.register(stream.client.socket, selectors.EVENT_READ, stream)
            stream.client.send(message)
        while ready.get_map():
            for key, _ in ready.select(30):
                stream = key.data
                answer, now = stream.client.receive(), time.perf_counter()
                seen = stream.client.received.count(b"data:")
                if seen > stream.seen:
                    gap = [now - stream.last] if stream.seen else []
                    gaps += gap + [0.0] * (seen - stream.seen - 1)
                    stream.seen, stream.last = seen, now
                if answer is not None:
                    lost += events - seen
                    ready.unregister(key.fileobj)
    return gaps, lost
