"""A gateway as a process of its own, on one core, and closed-loop clients of its control routes.

The clients speak HTTP by hand, so that their own time does not count where the cores are few.
"""

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

TOKEN = "a-token-for-benchmarks"
_ROOT = Path(__file__).parents[2]
STUB = [sys.executable, "-I", "-S", str(Path(__file__).with_name("_stub.py")), "{port}"]
"""The command of an endpoint that is ready at once."""

_PATIENCE = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
GATEWAY_CORE, LOAD_CORE = _CORES[0], _CORES[-1]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway. `started_in`: seconds from the call to its first answer."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    started_in: float

    def cpu(self) -> float:
        """Return the processor time it has used: user and system, in seconds."""
        return sum(self.user_and_system())

    def user_and_system(self) -> tuple[float, float]:
        """Return the processor time it has used, in seconds."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return int(stat[11]) / _TICKS, int(stat[12]) / _TICKS

    def memory(self) -> float:
        """Return its resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def ask(self, method: str, path: str, document: object = None) -> bytes:
        """Return the body of an answer to one request on its own connection."""
        client = Client(self.port, request(method, path, document))
        with contextlib.closing(client):
            client.send()
            while not client.received():
                pass
            return client.answer


@contextlib.contextmanager
def gateway(
    configuration: str, *, driver: str = "fake", notes: Path | None = None
) -> Iterator[Gateway]:
    """Run a gateway while entered; `driver` is `fake` (endpoints in memory) or `process`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        state = Path(folder)
        config = state / "parkmeter.toml"
        config.write_text(configuration, encoding="utf-8")
        began = time.monotonic()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.control._served"),
                *(driver, str(config), str(state / "state"), str(notes or os.devnull)),
            ],
            cwd=_ROOT,
            env={**os.environ, "PARKMETER_BOOTSTRAP_TOKEN": TOKEN},
        )
        os.sched_setaffinity(process.pid, {GATEWAY_CORE})
        os.sched_setaffinity(0, {LOAD_CORE})
        try:
            port = _port(state / "state" / "client.json", process)
            yield Gateway(process, port, state, time.monotonic() - began)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
            os.sched_setaffinity(0, set(_CORES))


def _port(client: Path, process: subprocess.Popen[bytes]) -> int:
    """Return the port as soon as it answers."""
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            port = urlsplit(json.loads(client.read_text())["url"]).port
            assert port is not None
            probe = Client(port, request("GET", "/whoami"))
            with contextlib.closing(probe):
                probe.send()
                while not probe.received():
                    pass
            return port
        time.sleep(0.005)
    raise SystemExit("the gateway did not start")


def request(method: str, path: str, document: object = None) -> bytes:
    """Return a request as bytes."""
    body = b"" if document is None else json.dumps(document).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client:
    """A keep-alive connection that repeats one request."""

    def __init__(self, port: int, message: bytes) -> None:
        self._message = message
        self._buffer = b""
        self.answer = b""
        self.began = 0.0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self) -> None:
        """Send the request."""
        self._buffer = b""
        self.began = time.perf_counter()
        self.socket.sendall(self._message)

    def received(self) -> bool:
        """Read once; return whether the answer is complete. Exits on a refusal."""
        more = self.socket.recv(1 << 20)
        if not more:
            raise ConnectionError("the gateway closed the connection")
        self._buffer += more
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return False
        if not head.startswith(b"HTTP/1.1 2"):
            raise SystemExit(f"{head!r} {body!r}")
        self.answer = body
        return True

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


def closed_loop(port: int, messages: Iterable[bytes], seconds: float) -> list[float]:
    """Return the seconds each request took; every message is one client that never pauses."""
    taken: list[float] = []
    clients = [Client(port, message) for message in messages]
    with selectors.DefaultSelector() as ready, contextlib.ExitStack() as closing:
        for client in clients:
            closing.callback(client.close)
            ready.register(client.socket, selectors.EVENT_READ, client)
            client.send()
        waiting = len(clients)
        end = time.perf_counter() + seconds
        while waiting:
            for key, _ in ready.select(_PATIENCE):
                client = key.data
                if not client.received():
                    continue
                now = time.perf_counter()
                taken.append(now - client.began)
                if now < end:
                    client.send()
                else:
                    waiting -= 1
    return taken


def until(holds: Callable[[], object], seconds: float = _PATIENCE) -> None:
    """Wait until it holds; abort the benchmark if it never does."""
    give_up = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > give_up:
            raise SystemExit("the gateway does not get there")
        time.sleep(0.005)


def endpoints(names: Sequence[str], command: Sequence[str], settings: str = "") -> str:
    """Return a configuration with these endpoints and no limit on the rate of changes."""
    tables = (
        f"[endpoints.{name}]\ncommand = {json.dumps(list(command))}\n"
        "initial_provision_time_minutes = 0\nstartup_credit_minutes = 0\ndrain_seconds = 0\n"
        f"max_minutes_ahead = 500000\n{settings}"
        for name in names
    )
    return "[gateway]\nchanges_per_second = 1000000\n" + "\n".join(tables)
