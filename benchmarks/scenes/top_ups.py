"""Top-ups over HTTP.

Each client tops up an open endpoint of its own without pause; every answer is durable. The bare
loop commits the same rows on the same disk from one thread, one transaction and its fsyncs at a
time.
"""

import sqlite3
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.clients import closed_loop, request
from benchmarks.figures import Effort, Figure, Measured, percentile, ratios
from benchmarks.noted_gateway import NotedGateway, noted_gateway
from benchmarks.processes import LOAD_CORE, on_core, wait_until

CLIENTS = (1, 8, 32)


def measure(effort: Effort) -> Measured:
    """Top up in turn with the bare loop."""
    cpu: dict[int, list[float]] = defaultdict(list)
    rate: dict[int, list[float]] = defaultdict(list)
    p99: dict[int, list[float]] = defaultdict(list)
    bare: dict[int, list[float]] = defaultdict(list)
    with noted_gateway("fake", max(CLIENTS)) as running, on_core(LOAD_CORE):
        _load(running, max(CLIENTS), effort.seconds(0.5))
        wait_until(lambda: all(running.gateway.status(one) == "running" for one in running.names))
        for _ in range(effort.rounds(5)):
            for clients in CLIENTS:
                bare[clients].append(_bare_rate(running.gateway.state, effort.seconds(0.5)))
                before, began = running.gateway.cpu(), time.perf_counter()
                waits = _load(running, clients, effort.seconds(1.5))
                passed = time.perf_counter() - began
                spent = running.gateway.cpu() - before
                cpu[clients].append(1000 * spent.total / len(waits))
                rate[clients].append(len(waits) / passed)
                p99[clients].append(1000 * percentile(waits, 0.99))
    figures = []
    for clients in CLIENTS:
        row = f"{clients} clients" if clients > 1 else "1 client"
        figures.append(Figure(row, "CPU a top-up", tuple(cpu[clients]), "ms"))
        figures.append(Figure(row, "top-ups/s", tuple(rate[clients])))
        figures.append(Figure(row, "÷ bare loop", ratios(rate[clients], bare[clients])))
        figures.append(Figure(row, "p99", tuple(p99[clients]), "ms"))
    every = tuple(value for values in bare.values() for value in values)
    return Measured((*figures, Figure("bare loop", "top-ups/s", every)))


def _load(running: NotedGateway, clients: int, seconds: float) -> list[float]:
    messages = [
        request("POST", f"/endpoints/{name}/top-ups", {"minutes": 1})
        for name in running.names[:clients]
    ]
    return [one.seconds for one in closed_loop(running.gateway.port, messages, seconds)]


def _bare_rate(state: Path, seconds: float) -> float:
    """Return the commits a second of a loop that writes a top-up's rows, beside the store."""
    own = sqlite3.connect(state / "parkmeter.sqlite")
    (meter,) = own.execute("SELECT body FROM meters").fetchone()
    (line,) = own.execute("SELECT body FROM journal WHERE body LIKE '%top-up%'").fetchone()
    key, at = own.execute("SELECT key, at FROM keys").fetchone()
    schema = own.execute("SELECT sql FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*'").fetchall()
    own.close()
    file = state.parent / "bare.sqlite"
    file.unlink(missing_ok=True)
    bare = sqlite3.connect(file, isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = FULL")
    for (statement,) in schema:
        bare.execute(statement)
    bare.execute("INSERT INTO meters VALUES ('model-0', 0, 0, '')")
    number, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        number += 1
        bare.execute("BEGIN IMMEDIATE")
        bare.execute("UPDATE meters SET version = ?, body = ?", (number, meter))
        bare.execute("INSERT INTO journal VALUES ('model-0', ?, ?)", (number, line))
        unique = f"{key[:-12]}{number:012}"
        bare.execute("INSERT INTO keys VALUES ('model-0', ?, ?, ?)", (unique, at, number))
        bare.execute("COMMIT")
    bare.close()
    return number / seconds
