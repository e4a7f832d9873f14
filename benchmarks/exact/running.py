"""A gateway at work, seen from outside: what to configure, to ask, to load and to end."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.exact.notes import Notes

TOKEN = "a-token-for-benchmarks"
BUSY = "busy"
"""The endpoint that takes the load. Open only as long as it does, whatever becomes of us."""

_ROOT = Path(__file__).parents[2]
_SERVER = Path(__file__).with_name("server.py")
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class TopUp:
    """One top-up as it went, in seconds since 1970."""

    asked: float
    answered: float
    closes: float


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """One that answers."""

    process: subprocess.Popen[bytes]
    port: int
    names: Sequence[str]
    notes: Notes

    def top_up(self, name: str, seconds: float) -> TopUp:
        """Over a connection of its own, as a command line asks."""
        asked = time.time()
        document = _ask(self.port, "POST", f"/endpoints/{name}/top-ups", {"minutes": seconds / 60})
        closes = datetime.fromisoformat(document["expires_at"]).timestamp()
        return TopUp(asked, time.time(), closes)

    def top_up_all(self, given: Sequence[float], clients: int, pause: float) -> dict[str, TopUp]:
        """Top up every endpoint with `clients` that pause after each answer. All in seconds."""

        def one(name: str, seconds: float) -> TopUp:
            done = self.top_up(name, seconds)
            time.sleep(pause)
            return done

        with ThreadPoolExecutor(clients) as pool:
            return dict(zip(self.names, pool.map(one, self.names, given), strict=True))

    @contextlib.contextmanager
    def load(self, clients: int, seconds: float) -> Iterator[None]:
        """Keep the data plane busy meanwhile, with `clients`, for `seconds` at most."""
        if not clients:
            yield
            return
        self.top_up(BUSY, seconds + 2)
        until(lambda: self._status(BUSY) == "running")
        given = [str(self.port), f"/{BUSY}", TOKEN, str(clients), str(seconds)]
        with _python("-m", "benchmarks.exact.load", *given, out=subprocess.PIPE) as load:
            time.sleep(0.3)  # for all clients to be connected
            yield
            if load.poll() is not None:
                raise SystemExit("the load ended before what was measured beside it")

    def until_all(self, status: str) -> None:
        """Wait until every endpoint has this status."""
        until(lambda: all(self._status(name) == status for name in self.names))

    def _status(self, name: str) -> object:
        return _ask(self.port, "GET", f"/endpoints/{name}")["status"]


@contextlib.contextmanager
def gateway(kind: str, count: int) -> Iterator[RunningGateway]:
    """Run a gateway with `endpoints` closed ones besides the busy one; see `exact.gateway`."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        _python("-m", "benchmarks.exact.stub", "0", out=subprocess.PIPE) as stub,
    ):
        state = Path(folder)
        names, notes = [f"model-{number}" for number in range(count)], state / "notes"
        config = state / "parkmeter.toml"
        config.write_text(_configuration(names, notes), encoding="utf-8")
        assert stub.stdout is not None
        stub_port = stub.stdout.readline().decode().strip()
        given = [kind, str(notes), stub_port, str(config), str(state / "state")]
        with _python("-m", "benchmarks.exact.gateway", *given) as process:
            client = state / "state" / "client.json"
            until(client.exists)
            port = urlsplit(json.loads(client.read_text())["url"]).port
            assert port is not None
            running = RunningGateway(process, port, names, Notes(notes))
            until(lambda: _answers(port))
            yield running


def _configuration(names: Sequence[str], notes: Path) -> str:
    stub = [sys.executable, "-m", "benchmarks.exact.stub", "{port}"]
    server = [sys.executable, "-I", "-S", str(_SERVER), str(notes)]
    lines = []
    for name in (BUSY, *names):
        command = stub if name == BUSY else [*server, name, "{port}"]
        lines += [
            f"[endpoints.{name}]",
            f"command = {json.dumps(command)}",
            "initial_provision_time_minutes = 0",
            "startup_credit_minutes = 0",
            "drain_seconds = 0",
        ]
    return "\n".join(lines)


@contextlib.contextmanager
def _python(*arguments: str, out: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python of this environment while entered."""
    environment = {**os.environ, "PARKMETER_BOOTSTRAP_TOKEN": TOKEN}
    process = subprocess.Popen([sys.executable, *arguments], stdout=out, cwd=_ROOT, env=environment)
    with process:
        try:
            yield process
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        return bool(_ask(port, "GET", f"/endpoints/{BUSY}"))
    except OSError:
        return False


def _ask(port: int, method: str, path: str, document: object = None) -> dict[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    with contextlib.closing(connection):
        body = None if document is None else json.dumps(document)
        connection.request(method, path, body, {"Authorization": TOKEN})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {said.decode()}")
        found: dict[str, str] = json.loads(said)
        return found


def until(holds: Callable[[], object]) -> None:
    """Wait until it holds; abort the benchmark if it never does."""
    give_up = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > give_up:
            raise SystemExit("the gateway does not get there")
        time.sleep(0.02)
