"""The model server as its own process, and clients that keep it busy over HTTP.

Knows processes, cores and sockets; judges nothing. All clients live in one thread of this process,
each with one connection and one request under way: an answer is the sign to ask again.
"""

import json
import os
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVENTS = "text/event-stream"
READY = re.compile(r"ready on 127\.0\.0\.1:(\d+) after")
# Long enough for a worker to fall asleep, short enough to ask often.
IDLE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Load:
    """The prompt, and the number of concurrent clients."""

    name: str
    clients: int
    payload: dict[str, Any]
    accept: str = "application/json"

    @property
    def request(self) -> bytes:
        """One request as it goes over the wire."""
        body = json.dumps(self.payload).encode()
        head = (
            "POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"accept: {self.accept}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(slots=True)
class Round:
    """One measured stretch of one load; times in seconds, of the processor where they say so."""

    answers: int = 0
    elapsed: float = 0.0
    server_cpu: float = 0.0
    clients_cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_core(self) -> float:
        """Return the number of answers for each second of one core."""
        return self.answers / self.server_cpu

    def percentile(self, share: float) -> float:
        """Return the latency that `share` of all answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(slots=True)
class Client:
    """One connection with one request under way."""

    connection: socket.socket
    began: float = 0.0
    received: bytes = b""

    def send(self, request: bytes) -> None:
        """Ask."""
        self.received, self.began = b"", time.perf_counter()
        self.connection.sendall(request)


class Server:
    """A running model server."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self._port = port

    def wave(self, load: Load, seconds: float) -> Round:
        """Keep `load.clients` requests under way for `seconds`, then wait for the last answers.

        So all that the server has worked for is counted.
        """
        request = load.request
        taken = Round()
        selector = selectors.DefaultSelector()
        clients = [Client(self._connect()) for _ in range(load.clients)]
        for client in clients:
            selector.register(client.connection, selectors.EVENT_READ, client)
        server_cpu, clients_cpu = cpu_seconds(self.pid), time.process_time()
        began = time.perf_counter()
        for client in clients:
            client.send(request)
        under_way = len(clients)
        while under_way:
            for key, _ in selector.select():
                client = key.data
                client.received += _some(client.connection)
                if not _complete(client.received):
                    continue
                _body(client.received)
                now = time.perf_counter()
                taken.latencies.append(now - client.began)
                if now - began < seconds:
                    client.send(request)
                else:
                    under_way -= 1
        taken.elapsed = time.perf_counter() - began
        taken.answers = len(taken.latencies)
        taken.server_cpu = cpu_seconds(self.pid) - server_cpu
        taken.clients_cpu = time.process_time() - clients_cpu
        for client in clients:
            client.connection.close()
        selector.close()
        return taken

    def first_piece_seconds(self, load: Load) -> float:
        """From asking an idle server to the first piece of a streamed text."""
        with self._connect() as connection:
            time.sleep(IDLE_SECONDS)
            client = Client(connection)
            client.send(load.request)
            while b"data: " not in client.received:
                client.received += _some(connection)
            seconds = time.perf_counter() - client.began
            while not _complete(client.received):
                client.received += _some(connection)
        return seconds

    def texts(self, load: Load) -> list[str]:
        """Send one request and return the answer."""
        with self._connect() as connection:
            connection.sendall(load.request)
            received = b""
            while not _complete(received):
                received += _some(connection)
        texts: list[str] = json.loads(_body(received))["generated_texts"]
        return texts

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run the server over the model of a folder."""
    model = ["--model", str(folder), "--port", "0"]
    command = [sys.executable, "-m", "parkmeter.model_server", *model]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if ready := READY.search(line):
                yield Server(process.pid, int(ready[1]))
                return
            print(line, end="", file=sys.stderr)
        raise SystemExit("the server did not start")
    finally:
        process.terminate()
        process.wait()


def pin(*pids: int) -> None:
    """Put those processes on one core and this one on another, where that can be done."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cores[0]})
    os.sched_setaffinity(0, {cores[1]})


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, ended threads included."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.is_file():
        # Behind the name, which may hold blanks and parentheses; user and system time.
        numbers = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
    command = ["ps", "-o", "time=", "-p", str(pid)]
    clock = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return sum(float(part) * 60.0**power for power, part in enumerate(reversed(clock.split(":"))))


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise SystemExit("the server closed a connection")
    return data


def _complete(received: bytes) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return False
    length = re.search(rb"content-length: (\d+)", head)
    return len(body) >= int(length[1]) if length else received.endswith(b"\r\n0\r\n\r\n")


def _body(received: bytes) -> bytes:
    if not received.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"refused: {received[:300]!r}")
    return received.partition(b"\r\n\r\n")[2]
