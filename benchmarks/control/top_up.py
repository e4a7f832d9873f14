"""The cost of a top-up over HTTP, and durable top-ups a second beside a bare loop of SQLite.

Each client tops up an open endpoint of its own without pause. The bare loop commits the same rows
on the same disk from one thread, one transaction and its fsyncs at a time, in turn with it.

    python -m benchmarks.control.top_up [fake|process]
"""

import sqlite3
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.control._gateway import (
    STUB,
    Gateway,
    closed_loop,
    endpoints,
    gateway,
    request,
    until,
)


@dataclass(frozen=True, slots=True)
class TopUps:
    """Figures of closed loops of `clients`. CPU: the gateway's, in milliseconds a top-up."""

    clients: int
    cpu_ms: float
    user_ms: float
    a_second: float
    bare_a_second: float
    p50_ms: float
    p99_ms: float

    @property
    def of_bare(self) -> float:
        """Rate as a share of the bare loop's."""
        return self.a_second / self.bare_a_second


def measure(clients: int, rounds: int = 3, seconds: float = 2, driver: str = "fake") -> TopUps:
    """Return the medians of interleaved rounds."""
    names = [f"model-{number}" for number in range(clients)]
    calls = [request("POST", f"/endpoints/{name}/top-ups", {"minutes": 1}) for name in names]
    cpu, user, rate, bare, waits = [], [], [], [], []
    with gateway(endpoints(names, STUB), driver=driver) as running:
        closed_loop(running.port, calls, 0.5)
        until(lambda: running.ask("GET", "/endpoints").count(b'"running"') == clients)
        for _ in range(rounds):
            bare.append(_bare(running, seconds / 2))
            before = running.user_and_system()
            taken = closed_loop(running.port, calls, seconds)
            used = [now - then for now, then in zip(running.user_and_system(), before, strict=True)]
            cpu.append(sum(used) / len(taken) * 1e3)
            user.append(used[0] / len(taken) * 1e3)
            rate.append(len(taken) / seconds)
            waits += taken
    cuts = statistics.quantiles(waits, n=100)
    middle = statistics.median
    return TopUps(
        clients=clients,
        cpu_ms=middle(cpu),
        user_ms=middle(user),
        a_second=middle(rate),
        bare_a_second=middle(bare),
        p50_ms=cuts[49] * 1e3,
        p99_ms=cuts[98] * 1e3,
    )


def _bare(running: Gateway, seconds: float) -> float:
    """Return the commits a second of a bare loop that writes a top-up's rows."""
    own = sqlite3.connect(running.folder / "state" / "parkmeter.sqlite")
    (meter,) = own.execute("SELECT body FROM meters").fetchone()
    (line,) = own.execute("SELECT body FROM journal WHERE body LIKE '%top-up%'").fetchone()
    key, at = own.execute("SELECT key, at FROM keys").fetchone()
    schema = own.execute("SELECT sql FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*'").fetchall()
    own.close()
    file = running.folder / "bare.sqlite"
    Path(file).unlink(missing_ok=True)
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


if __name__ == "__main__":
    for many in (1, 8, 32):
        figures = measure(many, driver=sys.argv[1] if sys.argv[1:] else "fake")
        print(figures, f"of bare: {figures.of_bare:.2f}")
