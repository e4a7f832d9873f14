"""A stub of a model server: some 300 bytes of JSON for every prompt, at once.

python -m benchmarks.exact.stub PORT         0: any free one; it is printed
"""

import asyncio
import sys
from typing import cast

import uvloop

ANSWER = b'{"generated_texts": ["' + b"It was a bright cold day in April. " * 8 + b'"]}'
PROMPT = b'{"text_inputs": "Write a story about the weather.", "max_length": 50}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Stub(asyncio.Protocol):
    """Answers prompts and health checks; knows by their last bytes when they are whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self.received += data
        if self.received.endswith((PROMPT, b"\r\n\r\n")) and self._is_whole():
            self.received = b""
            self.transport.write(HEAD % len(ANSWER) + ANSWER)

    def _is_whole(self) -> bool:
        return self.received.startswith(b"GET ") or self.received.endswith(PROMPT)


async def serve(port: int) -> None:
    """Serve until the process is stopped."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
