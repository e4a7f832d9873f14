"""A stand-in for a model server, as cheap as it can be: answers at once, or streams small events.

    python -m benchmarks.stub PORT… [--core N]

`/events/N` streams N events two milliseconds apart, `/events/N?every=MS` with another pause.
"""

import argparse
import asyncio
import os
import re
from typing import cast

import uvloop

from benchmarks.requests import ANSWER, CHAT_ANSWER, EVENT

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb"/events/(\d+)(?:\?every=(\d+))?")
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)


def _whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


_ANSWER, _CHAT_ANSWER = _whole(ANSWER), _whole(CHAT_ANSWER)
_MODELS = _whole(b'{"object": "list", "data": [{"id": "stub", "object": "model"}]}')
_REFUSAL = _whole(b'"a body without a length"', b"501 Not Implemented")


class _Stub(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received = self.received + data if self.received else data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.received, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.received) < whole:
                return
            head = self.received[:end]
            self.received = self.received[whole:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1]
        if b"chunked" in head:
            self.transport.write(_REFUSAL)
        elif stream := _STREAM.fullmatch(path):
            self.transport.write(_STREAM_HEAD)
            self._stream(int(stream[1]), int(stream[2] or 2) / 1000)
        elif path.endswith(b"/chat/completions"):
            self.transport.write(_CHAT_ANSWER)
        elif path == b"/v1/models":
            self.transport.write(_MODELS)
        else:
            self.transport.write(_ANSWER)

    def _stream(self, left: int, pause: float) -> None:
        if self.transport.is_closing():
            return
        if left == 0:
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(_CHUNK)
        asyncio.get_running_loop().call_later(pause, self._stream, left - 1, pause)


async def _serve(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(_Stub, "127.0.0.1", port, backlog=1024) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("ports", type=int, nargs="+")
    parser.add_argument("--core", type=int)
    options = parser.parse_args()
    if options.core is not None:  # a gateway that starts this gives it its own core
        os.sched_setaffinity(0, {options.core})
    uvloop.run(_serve(options.ports))
