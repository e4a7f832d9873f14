"""Streams of small events: how many were read to their end, and how long the first event took."""

import asyncio
import statistics
import time
from dataclasses import dataclass

import uvloop

from benchmarks.data_plane.load import RefusedError
from benchmarks.data_plane.questions import stream_of


@dataclass(frozen=True, slots=True)
class Streams:
    """The result of one run; `first_event` is the median, in seconds from the request."""

    count: int
    first_event: float


def drive(port: int, events: int, clients: int, seconds: float) -> Streams:
    """Read streams with that many clients for that long, from this process.

    Raises:
        RefusedError: When a stream is not complete.
    """
    return uvloop.run(_drive(port, events, clients, seconds))


async def _drive(port: int, events: int, clients: int, seconds: float) -> Streams:
    until = time.perf_counter() + seconds
    firsts: list[float] = []
    request = stream_of(events).raw(port)
    async with asyncio.timeout(seconds + 20):
        await asyncio.gather(*(_read(port, request, events, until, firsts) for _ in range(clients)))
    return Streams(len(firsts), statistics.median(firsts))


async def _read(port: int, request: bytes, events: int, until: float, firsts: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(request)
            received = b""
            while b"data:" not in received:
                received += await _some(reader)
            firsts.append(time.perf_counter() - began)
            while not received.endswith(b"0\r\n\r\n"):
                received += await _some(reader)
            if received.count(b"data:") != events:
                raise RefusedError(f"of {events} events {received.count(b'data:')} came")
    finally:
        writer.close()


async def _some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(65536)
    if not data:
        raise RefusedError("the connection was closed within a stream")
    return data
