"""A gateway of a thousand endpoints: its start, its memory, their status, and their common end.

python -m benchmarks.control.thousand
"""

import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.control._gateway import STUB, closed_loop, endpoints, gateway, request, until


@dataclass(frozen=True, slots=True)
class Thousand:
    """Figures of `endpoints` endpoints in memory. `status_ms`: CPU of one `GET /endpoints`."""

    endpoints: int
    started_in: float
    memory_mb: float
    status_ms: float
    status_p50_ms: float
    stop_p50_ms: float
    stop_last_ms: float


def measure(count: int = 1000) -> Thousand:
    """Start it, ask for the status of all, then have all meters close in the same second."""
    names = [f"model-{number}" for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        with gateway(endpoints(names, STUB), notes=notes) as running:
            memory = running.memory()
            ask = [request("GET", "/endpoints")]
            closed_loop(running.port, ask, 0.5)
            before = running.cpu()
            taken = closed_loop(running.port, ask, 3)
            status = (running.cpu() - before) / len(taken)
            closing = time.time() + 15 + count / 100
            _top_up_until(running.port, names, closing)
            until(lambda: time.time() > closing)
            until(lambda: notes.read_text().count("stop ") >= count)
            stops = [
                float(line.split()[2]) - closing
                for line in notes.read_text().splitlines()
                if line.startswith("stop ")
            ]
    return Thousand(
        endpoints=count,
        started_in=running.started_in,
        memory_mb=memory,
        status_ms=status * 1e3,
        status_p50_ms=statistics.median(taken) * 1e3,
        stop_p50_ms=statistics.median(stops) * 1e3,
        stop_last_ms=max(stops) * 1e3,
    )


def _top_up_until(port: int, names: list[str], closing: float) -> None:
    """Have every meter close at the same moment, as far as a top-up in minutes can."""

    def some(part: list[str]) -> None:
        for name in part:
            left = {"minutes": (closing - time.time()) / 60}
            closed_loop(port, [request("POST", f"/endpoints/{name}/top-ups", left)], 0)

    threads = [threading.Thread(target=some, args=(names[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    print(measure())
