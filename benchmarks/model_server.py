"""How fast the embedded model server answers, and what an answer costs.

Starts the server as its own process, drives it over HTTP from this one and prints a table. On
Linux the two are pinned to different cores: the server to one, the generator to another, so that
"a second" is a second of one core. Because cores are shared on most machines, the server's own
processor time per answer (user and system, from the operating system) is measured beside it; one
divided by it is what a core to itself would answer: the column "per core".

Every row is the median of interleaved rounds, with the lowest and highest round behind it. The
last row is the engine by itself, in this process, decoding the same prompt in batches of 16: what
the server adds to it (HTTP, the line, tokens to text, smaller batches) is the ratio at the end.

    python benchmarks/model_server.py [--model demo] [--seconds 1.0] [--rounds 5]
"""

import argparse
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parkmeter.model_server.decoding import Decoding
from parkmeter.model_server.model import Model
from parkmeter.model_server.sources import default_cache, prepare

BATCH = 16
PROMPT = "Write a story about beautiful weather on a tropical island."
READY = re.compile(r"ready on 127\.0\.0\.1:(\d+) after")


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked, by how many clients at a time, each with one request under way."""

    name: str
    clients: int
    payload: dict[str, Any]
    accept: str = "application/json"


LOADS = [
    Load("greedy", 1, {"max_length": 31}),
    Load("greedy", 8, {"max_length": 31}),
    Load("greedy", 32, {"max_length": 31}),
    Load("temperature 0.8", 32, {"max_length": 31, "temperature": 0.8}),
    Load("temperature 0.8, seed", 8, {"max_length": 31, "temperature": 0.8, "seed": 7}),
    Load("streamed", 1, {"max_length": 31}, "text/event-stream"),
    Load("streamed", 32, {"max_length": 31}, "text/event-stream"),
]


@dataclass(slots=True)
class Round:
    """One measured stretch of one load; times in seconds."""

    answers: int = 0
    elapsed: float = 0.0
    server_cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Client:
    """One connection with one request under way."""

    connection: socket.socket
    began: float = 0.0
    first: float = 0.0
    received: bytes = b""


def main() -> None:
    """Measure every load and print the table."""
    arguments = _arguments()
    starts = [_start_seconds(arguments.model) for _ in range(arguments.rounds)]
    print(f"process start to first answer: {_spread([1000 * value for value in starts])} ms")
    engine = Model(prepare(arguments.model, default_cache(), print), workers=1)
    with _server(arguments.model) as (process, port):
        print(f"first answer of the greedy load: {_ask(port, LOADS[0])!r}")
        pinned = _pin(process.pid)
        where = "one core each for server and generator" if pinned else "not pinned"
        print(f"{arguments.rounds} rounds of {arguments.seconds} s, {where}\n")
        _wave(process.pid, port, LOADS[2], 0.5)
        bare: list[Round] = []
        rounds: dict[int, list[Round]] = {index: [] for index in range(len(LOADS))}
        for _ in range(arguments.rounds):
            for index, load in enumerate(LOADS):
                rounds[index].append(_wave(process.pid, port, load, arguments.seconds))
            bare.append(_bare_round(engine, arguments.seconds / 2))
    head = ("load", "clients", "answers/s", "per core", "CPU ms/answer", "p50 ms", "p99 ms")
    print("{:<24}{:>8}{:>24}{:>24}{:>22}{:>10}{:>10}{:>16}".format(*head, "first piece ms"))
    for index, load in enumerate(LOADS):
        _print_row(load, rounds[index])
    _print_row(Load("bare engine, batches", BATCH, {}), bare)
    served, alone = (
        statistics.median(taken.server_cpu / taken.answers for taken in group)
        for group in (rounds[2], bare)
    )
    print(
        f"\nan answer at 32 clients costs {served / alone:.2f} times what it costs the bare engine"
    )


def _bare_round(engine: Model, seconds: float) -> Round:
    """Decode batches without a server around; the processor time is this process's."""
    rows = engine.encode([PROMPT] * BATCH)
    taken = Round()
    cpu, began = time.process_time(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        before = time.perf_counter()
        engine.generate(rows, Decoding(max_new_tokens=30))
        taken.answers += BATCH
        taken.latencies.append(time.perf_counter() - before)
    taken.elapsed, taken.server_cpu = time.perf_counter() - began, time.process_time() - cpu
    return taken


def _print_row(load: Load, rounds: list[Round]) -> None:
    latencies = sorted(1000 * value for taken in rounds for value in taken.latencies)
    firsts = [1000 * value for taken in rounds for value in taken.first_bytes]
    print(
        f"{load.name:<24}{load.clients:>8}"
        f"{_spread([taken.answers / taken.elapsed for taken in rounds], 0):>24}"
        f"{_spread([taken.answers / taken.server_cpu for taken in rounds], 0):>24}"
        f"{_spread([1000 * taken.server_cpu / taken.answers for taken in rounds], 2):>22}"
        f"{statistics.median(latencies):>10.1f}"
        f"{latencies[int(len(latencies) * 0.99)]:>10.1f}"
        f"{statistics.median(firsts) if 'stream' in load.name else float('nan'):>16.1f}"
    )


def _spread(values: list[float], digits: int = 0) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _wave(pid: int, port: int, load: Load, seconds: float) -> Round:
    """Keep `load.clients` requests under way for `seconds`; count what was answered by then."""
    request = _request(load)
    taken = Round()
    selector = selectors.DefaultSelector()
    for _ in range(load.clients):
        client = Client(socket.create_connection(("127.0.0.1", port)))
        client.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(client.connection, selectors.EVENT_READ, client)
    cpu, began = _cpu_seconds(pid), time.perf_counter()
    for key in list(selector.get_map().values()):
        _send(key.data, request)
    while time.perf_counter() - began < seconds:
        for key, _ in selector.select(0.1):
            _receive(key.data, request, taken)
    taken.elapsed, taken.server_cpu = time.perf_counter() - began, _cpu_seconds(pid) - cpu
    for key in list(selector.get_map().values()):
        key.data.connection.close()
    selector.close()
    time.sleep(0.05)  # what is still under way for the clients that just left
    return taken


def _send(client: Client, request: bytes) -> None:
    client.received, client.first, client.began = b"", 0.0, time.perf_counter()
    client.connection.sendall(request)


def _receive(client: Client, request: bytes, taken: Round) -> None:
    data = client.connection.recv(65536)
    if not data:
        raise SystemExit("the server closed a connection")
    client.received += data
    now = time.perf_counter()
    if not client.first and b"\r\n\r\n" in client.received:
        client.first = now
    if _complete(client.received):
        if not client.received.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"refused: {client.received[:300]!r}")
        taken.answers += 1
        taken.latencies.append(now - client.began)
        taken.first_bytes.append(client.first - client.began)
        _send(client, request)


def _complete(received: bytes) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return False
    length = re.search(rb"content-length: (\d+)", head)
    return len(body) >= int(length[1]) if length else received.endswith(b"\r\n0\r\n\r\n")


def _request(load: Load) -> bytes:
    body = json.dumps({"text_inputs": PROMPT, **load.payload}).encode()
    head = (
        "POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"accept: {load.accept}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _ask(port: int, load: Load) -> str:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(_request(load))
        received = b""
        while not _complete(received):
            received += connection.recv(65536)
    return received.partition(b"\r\n\r\n")[2].decode()


@contextmanager
def _server(model: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "parkmeter.model_server", "--model", model, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if ready := READY.search(line):
                yield process, int(ready[1])
                return
            print(line, end="")
        raise SystemExit("the server did not start")
    finally:
        process.terminate()
        process.wait()


def _start_seconds(model: str) -> float:
    began = time.perf_counter()
    with _server(model) as (_, port):
        _ask(port, LOADS[0])
        return time.perf_counter() - began


def _pin(pid: int) -> bool:
    if not hasattr(os, "sched_setaffinity"):
        return False
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return False
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cores[0]})
    os.sched_setaffinity(0, {cores[1]})
    return True


def _cpu_seconds(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task")
    if tasks.is_dir():
        spent = (int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())
        return sum(spent) / 1e9
    clock = subprocess.run(
        ["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=True
    ).stdout.strip()
    return sum(float(part) * 60**power for power, part in enumerate(reversed(clock.split(":"))))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the embedded model server.")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
