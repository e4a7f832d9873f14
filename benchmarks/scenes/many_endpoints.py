"""A thousand endpoints.

One gateway with 1,000 configured endpoints that exist in memory, and one with 50 real processes
under leashes; all of their meters close in the same second. Listeners read `GET /events`; their CPU
is what 20 top-ups a second cost the gateway more with them than without.
"""

import math
import time
from contextlib import ExitStack

from benchmarks.clients import Client, ask, request
from benchmarks.figures import Effort, Figure, Measured, differences
from benchmarks.noted_gateway import BUSY, NotedGateway, noted_gateway
from benchmarks.processes import LOAD_CORE, on_core

CHANGES_A_SECOND = 20
LISTENERS = 100


def measure(effort: Effort) -> Measured:
    """Start both gateways, ask the large one, close all."""
    row, status = "1,000 endpoints", request("GET", "/endpoints")
    with noted_gateway("fake", effort.pick(1000, 20)) as running, on_core(LOAD_CORE):
        port, memory = running.gateway.port, running.gateway.memory() / 2**20
        ask(port, status)  # warm
        waits = [1000 * ask(port, status).seconds for _ in range(effort.rounds(15))]
        alone = _changes(running, 0, effort)
        listened = _changes(running, effort.pick(LISTENERS, 5), effort)
        last = _last_stop(running, "stop", 8, 0.012)
        figures = [
            Figure(row, "start", (running.gateway.started,), "s"),
            Figure(row, "memory", (memory,), "MB"),
            Figure(row, "status", tuple(waits), "ms"),
            Figure(row, "CPU at 20 changes/s", alone, "%"),
            Figure(row, "100 listeners' CPU", differences(listened, alone), "%"),
            Figure(row, "last stop", (last,), "s"),
        ]
    with noted_gateway("process", effort.pick(50, 2)) as running, on_core(LOAD_CORE):
        last = _last_stop(running, "sigterm", 2, 0.25)
        figures.append(Figure("50 processes", "last stop", (last,), "s"))
    return Measured(tuple(figures))


def _last_stop(running: NotedGateway, end: str, clients: int, start: float) -> float:
    """Let every meter close at one moment; return the seconds from it to the last end."""
    begun = time.time()
    closes = math.ceil(begun + 3 + start * len(running.names))
    asked = running.top_up_all([closes - begun] * len(running.names), clients)
    running.until_ended(end, begun, asked, 10)
    ends, now = running.first(end, begun), time.time()
    return max(ends.get(name, now) - one.closes for name, one in asked.items())


def _changes(running: NotedGateway, listeners: int, effort: Effort) -> tuple[float, ...]:
    """Return the share of a core that 20 top-ups a second take, in percent."""
    top_up = request("POST", f"/endpoints/{BUSY}/top-ups", {"minutes": 1})
    shares = []
    with ExitStack() as closing:
        for _ in range(listeners):
            client = Client(running.gateway.port)
            closing.callback(client.close)
            client.send(request("GET", "/events", None, "Accept: text/event-stream"))
        client = Client(running.gateway.port)
        closing.callback(client.close)
        client.ask(top_up)
        for _ in range(effort.rounds(3)):
            before, began = running.gateway.cpu(), time.perf_counter()
            while (passed := time.perf_counter() - began) < effort.seconds(2.0):
                client.ask(top_up)
                time.sleep(max(0.0, began + passed + 1 / CHANGES_A_SECOND - time.perf_counter()))
            shares.append(100 * (running.gateway.cpu() - before).total / passed)
    return tuple(shares)
