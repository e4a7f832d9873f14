"""A gateway whose start and stop calls are written down, and top-ups with their times."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.gateway import Gateway, endpoint, gateway
from benchmarks.processes import GATEWAY_CORE, python
from benchmarks.sides import stub

BUSY = "busy"
"""An endpoint for load on the data plane, besides those whose times are measured."""

_SERVER = Path(__file__).with_name("noted_server.py")


@dataclass(frozen=True, slots=True)
class TopUp:
    """One top-up as it went, in seconds since 1970."""

    asked: float
    answered: float
    closes: float


@dataclass(frozen=True, slots=True)
class NotedGateway:
    """A gateway that answers, and the file with the times of its calls."""

    gateway: Gateway
    names: Sequence[str]
    notes: Path

    def top_up(self, name: str, seconds: float) -> TopUp:
        """Put time on an endpoint, over a connection of its own as the command line does."""
        asked = time.time()
        minutes = {"minutes": seconds / 60}
        answer = self.gateway.ask("POST", f"/endpoints/{name}/top-ups", minutes)
        return TopUp(asked, time.time(), datetime.fromisoformat(answer["expires_at"]).timestamp())

    def top_up_all(
        self, given: Sequence[float], clients: int = 1, pause: float = 0.0
    ) -> dict[str, TopUp]:
        """Put as many seconds on each endpoint, by clients that pause after each answer."""

        def one(name: str, seconds: float) -> TopUp:
            done = self.top_up(name, seconds)
            time.sleep(pause)
            return done

        with ThreadPoolExecutor(clients) as pool:
            return dict(zip(self.names, pool.map(one, self.names, given), strict=True))

    def first(self, what: str, since: float) -> dict[str, float]:
        """Return when that first happened to each endpoint since then."""
        found: dict[str, float] = {}
        text = self.notes.read_text(encoding="utf-8") if self.notes.exists() else ""
        for line in text.splitlines():
            happened, name, at = line.split()
            if happened == what and float(at) >= since:
                found.setdefault(name, float(at))
        return found


@contextmanager
def noted_gateway(kind: str, count: int, core: int | None = GATEWAY_CORE) -> Iterator[NotedGateway]:
    """Run a gateway with that many `fake` or `process` endpoints, and the busy one."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="bench-notes-"))
        notes, port = Path(folder) / "notes", stack.enter_context(stub())
        names = [f"model-{number}" for number in range(count)]
        config = "[gateway]\nchanges_per_second = 1000000\nchanges_burst = 1000000\n"
        config += endpoint(BUSY)
        for name in names:
            command = [*python("-I", "-S", _SERVER, notes), name, "{port}"]
            config += endpoint(name, command, max_minutes_ahead=500_000)
        program = ("-m", "benchmarks.noted", kind, str(notes), str(port), "up")
        running = stack.enter_context(gateway(config, core, program))
        yield NotedGateway(running, names, notes)


def settled(holds: Callable[[], bool], seconds: float) -> None:
    """Return once it holds, or after that time."""
    give_up = time.monotonic() + seconds
    while not holds() and time.monotonic() < give_up:
        time.sleep(0.02)
