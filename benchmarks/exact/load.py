"""Load on the data plane: clients that never pause, for a bounded time.

    python -m benchmarks.exact.load PORT PATH TOKEN CLIENTS SECONDS

Prints the number of answers at the end.
"""

import asyncio
import sys
from typing import cast

import uvloop

from benchmarks.exact.stub import ANSWER, PROMPT


class Client(asyncio.Protocol):
    """Asks, reads the whole answer, asks again, until its connection is closed."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self.received += data
        if not self.received.startswith(b"HTTP/1.1 200 "[: len(self.received)]):
            raise SystemExit(self.received.decode(errors="replace"))
        if self.received.endswith(ANSWER):
            self.answers += 1
            self.received = b""
            self.transport.write(self.request)


async def drive(port: int, path: str, token: str, clients: int, seconds: float) -> int:
    """Answers that came in this time."""
    request = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(PROMPT)}\r\n\r\n"
    ).encode() + PROMPT
    loop = asyncio.get_running_loop()
    asking = [Client(request) for _ in range(clients)]
    waiting = iter(asking)
    for _ in range(clients):
        await loop.create_connection(lambda: next(waiting), "127.0.0.1", port)
    await asyncio.sleep(seconds)
    for client in asking:
        client.transport.abort()
    return sum(client.answers for client in asking)


if __name__ == "__main__":
    port, path, token, clients, seconds = sys.argv[1:]
    print(uvloop.run(drive(int(port), path, token, int(clients), float(seconds))), flush=True)
