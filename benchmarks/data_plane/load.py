"""The load: many clients, each with one request under way. Our own generator, and its choice.

wrk is taken where it is installed, our own asyncio clients otherwise; never both in one run.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import cast

import uvloop

from benchmarks.data_plane.questions import Question


class RefusedError(Exception):
    """Raised when a request was not answered with success: such a run is no measurement."""


@dataclass(frozen=True, slots=True)
class Load:
    """The result of one run; times in seconds."""

    requests: int
    seconds: float
    p50: float


def drive(port: int, question: Question, clients: int, seconds: float) -> Load:
    """Ask with that many clients for that long, from this process.

    Raises:
        RefusedError: When not every request was answered with success.
    """
    return uvloop.run(_drive(port, question, clients, seconds))


async def _drive(port: int, question: Question, clients: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    running: list[_Client] = []
    began = time.perf_counter()
    try:
        for _ in range(clients):
            running.append(_Client(question.raw(port), latencies, loop.create_future()))
            await loop.create_connection(lambda: running[-1], "127.0.0.1", port)
        await asyncio.sleep(seconds)
        for client in running:
            client.asking = False
        await asyncio.wait_for(asyncio.gather(*(client.over for client in running)), 20)
    finally:
        for client in running:
            client.close()
    return Load(len(latencies), time.perf_counter() - began, statistics.median(latencies))


class _Client(asyncio.Protocol):
    """A client that sends a request, reads the whole answer and repeats until it is stopped."""

    def __init__(self, request: bytes, latencies: list[float], over: asyncio.Future[None]) -> None:
        self.request = request
        self.latencies = latencies
        self.over = over
        self.asking = True
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0 or not _is_whole(self.received, end + 4):
            return
        if not self.received.startswith(b"HTTP/1.1 200"):
            self._end(RefusedError(self.received.decode(errors="replace")))
            return
        self.latencies.append(time.perf_counter() - self.began)
        if self.asking:
            self._ask()
        else:
            self._end(None)

    def connection_lost(self, _error: Exception | None) -> None:
        self._end(RefusedError("the connection was closed"))

    def _ask(self) -> None:
        self.received = b""
        self.began = time.perf_counter()
        if self.transport is not None:
            self.transport.write(self.request)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def _end(self, error: Exception | None) -> None:
        if self.over.done():
            return
        if error is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)
        self.close()


def _is_whole(received: bytes, body: int) -> bool:
    """Return whether the answer is complete; it is either chunked or has a length."""
    for line in received[:body].lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(received) - body >= int(line.partition(b":")[2])
    return received.endswith(b"0\r\n\r\n")
