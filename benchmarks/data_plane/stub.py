"""A stand-in for a model server, as cheap as it can be: answers at once, or streams small events.

    python -m benchmarks.data_plane.stub PORT…

It listens on each port, one for every gateway that is measured: `GET /connections` says how many
connections came to the port that is asked, and few of them prove that a gateway keeps them alive.
"""

import asyncio
import re
import sys
from collections import Counter
from typing import ClassVar, cast

import uvloop

from benchmarks.data_plane.questions import ANSWER, CHAT_ANSWER, EVENT, EVENT_SECONDS

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def _whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


_ANSWER = _whole(ANSWER)
_CHAT_ANSWER = _whole(CHAT_ANSWER)
_REFUSAL = _whole(b'"a body without a length"', b"501 Not Implemented")
_CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)


class _Stub(asyncio.Protocol):
    connections: ClassVar = Counter[int]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""
        self.port = transport.get_extra_info("sockname")[1]
        _Stub.connections[self.port] += 1

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
        elif b"/events/" in path:
            self.transport.write(_STREAM_HEAD)
            self._stream(int(path.rpartition(b"/")[2]))
        elif path.endswith(b"/chat/completions"):
            self.transport.write(_CHAT_ANSWER)
        elif path == b"/connections":
            _Stub.connections[self.port] -= 1  # of who asks
            self.transport.write(_whole(b"%d" % _Stub.connections[self.port]))
        else:
            self.transport.write(_ANSWER)

    def _stream(self, left: int) -> None:
        if left == 0:
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(_CHUNK)
        asyncio.get_running_loop().call_later(EVENT_SECONDS, self._stream, left - 1)


async def _serve(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(_Stub, "127.0.0.1", port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(_serve([int(port) for port in sys.argv[1:]]))
