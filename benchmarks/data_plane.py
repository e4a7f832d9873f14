"""What the way through the data plane costs: token, meter, forward, answer.

Starts a stub of a model server (about 300 bytes of JSON) and a gateway with the data plane only,
each as its own process on loopback, and drives them from this one over plain sockets. The gateway's
own processor time per request is what can be compared between machines that are busy with other
things; requests a second are for one core shared by nobody at best. The stub counts connections:
few of them prove that the gateway keeps its connections alive.

    python -m benchmarks.data_plane [--seconds 1.0] [--rounds 3]
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import uvicorn
import uvloop

from parkmeter.meter import Status
from parkmeter.ports import View
from parkmeter.tokens import Token, digest_of
from parkmeter.web.asgi_types import Receive, Scope, Send
from parkmeter.web.auth import TokenBook
from parkmeter.web.data_plane import DataPlane
from parkmeter.web.gate import LocalGate
from parkmeter.web.http_protocol import speaking
from parkmeter.web.routes import Route, Routes

TOKEN = "pm_benchmark_benchmark"
PROMPT = b'{"text_inputs": "Write a story about the weather.", "max_length": 50}'
ANSWER = b'{"generated_texts": ["' + b"It was a bright cold day in April. " * 8 + b'"]}'
CLIENTS = (1, 16)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description="Measure the data plane.")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--role", choices=["stub", "gateway"], help=argparse.SUPPRESS)
    parser.add_argument("--upstream", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role == "stub":
        uvloop.run(_stub())
    elif arguments.role == "gateway":
        _gateway(arguments.upstream)
    else:
        _measure(arguments.seconds, arguments.rounds)


# ── The two servers ─────────────────────────────────────────────────────────────────────────────


class _Stub(asyncio.Protocol):
    """Answers every request at once; `GET /connections` says how many connections came."""

    connections = 0
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    answer = head % len(ANSWER) + ANSWER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""
        _Stub.connections += 1

    def data_received(self, data: bytes) -> None:
        data = self.received + data
        if data.startswith(b"GET /connections "):
            count = b"%d" % _Stub.connections
            self.transport.write(self.head % len(count) + count)
            self.received = b""
            return
        self.received = data
        if data.endswith(PROMPT):
            self.received = b""
            self.transport.write(self.answer)


async def _stub() -> None:
    server = await asyncio.get_running_loop().create_server(_Stub, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _gateway(upstream: int) -> None:
    def now() -> datetime:
        return datetime.now(UTC)

    close = now() + timedelta(hours=1)
    address = f"http://127.0.0.1:{upstream}"
    gate = LocalGate(now)
    gate.show(View("flan-t5", 1, close, close, Status.RUNNING, "serving", address))
    token = Token("bench", digest_of(TOKEN), "bench", now())
    plane = DataPlane(Routes([Route("flan-t5", "flan")]), TokenBook([token]), gate, now)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        target = plane.match(scope["raw_path"])
        assert target is not None
        raise AssertionError("a prompt came to the application")

    config = uvicorn.Config(
        front,
        port=0,
        loop="uvloop",
        http=speaking(plane),
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    _Announced(config).run()


class _Announced(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


@contextmanager
def _process(*arguments: str, core: int | None = None) -> Iterator[tuple[int, int]]:
    """A server of this file as (pid, port), pinned to one core where the system can do that."""
    command = [sys.executable, __file__, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if core is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


# ── The load ────────────────────────────────────────────────────────────────────────────────────


class _Client(asyncio.Protocol):
    """Asks, reads the whole answer, asks again, until told to stop."""

    def __init__(self, request: bytes, latencies: list[float], over: asyncio.Future[None]) -> None:
        self.request = request
        self.latencies = latencies
        self.over = over
        self.asking = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.received.endswith(ANSWER):
            return
        if not self.received.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(self.received.decode())
        self.latencies.append(time.perf_counter() - self.began)
        if self.asking:
            self._ask()
        else:
            self.transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def _ask(self) -> None:
        self.received = b""
        self.began = time.perf_counter()
        self.transport.write(self.request)


async def _drive(port: int, path: str, clients: int, seconds: float) -> list[float]:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"User-Agent: bench\r\nAccept: */*\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(PROMPT)}\r\n\r\n"
    )
    running = []
    for _ in range(clients):
        over = loop.create_future()
        client = _Client(head.encode() + PROMPT, latencies, over)
        running.append(client)
        await loop.create_connection(lambda: running[-1], "127.0.0.1", port)
    await asyncio.sleep(seconds)
    for client in running:
        client.asking = False
    await asyncio.wait_for(asyncio.gather(*(client.over for client in running)), 5)
    return latencies


async def _connections(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /connections HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    count = int(await reader.read(20))
    writer.close()
    return count - 1  # without this one


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process, user and system. Linux only; elsewhere it is not measured."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return float("nan")
    fields = stat.read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ── The table ───────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Row:
    """Rounds of one kind: who is asked (`pid` 0: nobody whose time counts), by how many clients."""

    label: str
    port: int
    path: str
    clients: int
    pid: int = 0
    rates: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self, seconds: float) -> None:
        before = _cpu_seconds(self.pid)
        latencies = uvloop.run(_drive(self.port, self.path, self.clients, seconds))
        self.cpu.append((_cpu_seconds(self.pid) - before) / len(latencies) * 1e6)
        self.rates.append(len(latencies) / seconds)
        self.medians.append(statistics.median(latencies) * 1e6)

    def __str__(self) -> str:
        rate, median = statistics.median(self.rates), statistics.median(self.medians)
        cpu = f"{statistics.median(self.cpu):14.1f}{min(self.cpu):8.1f}" if self.pid else ""
        return f"{self.label:22}{self.clients:8}{rate:12,.0f}{median:9.0f}{cpu}"


def _measure(seconds: float, rounds: int) -> None:
    cores = os.cpu_count() or 1
    core = 0 if cores > 1 else None
    with (
        _process("--role", "stub", core=core) as (_, stub),
        _process("--role", "gateway", "--upstream", str(stub), core=core) as (pid, gateway),
    ):
        if core is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {cores - 1})
        direct = [_Row("stub, direct", stub, "/invocations", count) for count in CLIENTS]
        through = [_Row("through the gateway", gateway, "/flan", count, pid) for count in CLIENTS]
        uvloop.run(_drive(gateway, "/flan", max(CLIENTS), 0.2))  # warm
        expected = uvloop.run(_connections(stub))
        for _ in range(rounds):
            for row in direct:
                row.measure(seconds / 2)
                expected += row.clients
            for row in through:
                row.measure(seconds)
        opened = uvloop.run(_connections(stub)) - expected - 1
    print(f"{'':22}{'clients':>8}{'requests/s':>12}{'p50 µs':>9}{'CPU µs median':>14}{'least':>8}")
    for row in (*direct, *through):
        print(row)
    added = statistics.median(through[0].medians) - statistics.median(direct[0].medians)
    asked = sum(rate * seconds for row in through for rate in row.rates)
    print(f"added at 1 client: {added:.0f} µs (p50)")
    print(f"connections the gateway opened for {asked:,.0f} requests, once warm: {opened}")


if __name__ == "__main__":
    main()
