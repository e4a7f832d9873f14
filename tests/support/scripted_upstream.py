"""A model server on loopback that runs a test's script on each connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Received:
    """The head of one request, as received."""

    line: str
    fields: list[tuple[str, str]]
    raw: bytes

    def __getitem__(self, name: str) -> str | None:
        found = [value for known, value in self.fields if known.lower() == name.lower()]
        assert len(found) < 2, f"{name} came {len(found)} times"
        return found[0] if found else None


class ServerEnd:
    """The model server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int):
        self.reader = reader
        self.writer = writer
        self.number = number

    async def head(self) -> Received:
        raw = await self.reader.readuntil(b"\r\n\r\n")
        line, *rest = raw.decode("latin-1").split("\r\n")[:-2]
        pairs = (field.partition(": ") for field in rest)
        return Received(line, [(name, value) for name, _, value in pairs], raw)

    async def chunk(self) -> bytes:
        """One chunk of a chunked body; empty at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def request(self) -> tuple[Received, bytes]:
        """Return the head and body of a request."""
        head = await self.head()
        return head, await self.body(head)

    async def body(self, head: Received) -> bytes:
        """Return the body of a request whose head was received."""
        if head["Transfer-Encoding"] == "chunked":
            body = b""
            while piece := await self.chunk():
                body += piece
            return body
        return await self.reader.readexactly(int(head["Content-Length"] or 0))

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def gone(self) -> None:
        """Return when the other side has closed; discard what it still sends."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            return

    def reset(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


Script = Callable[[ServerEnd], Awaitable[None]]


class Upstream:
    """The server as tests see it: its `address` and the number of `connections` that came."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.address = ""
        self.connections = 0
        self.failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self.script(ServerEnd(reader, writer, self.connections))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the gateway closed, or the test is over
        except BaseException as error:  # noqa: BLE001 (shown by the test)
            self.failure = error
        finally:
            self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def upstream(script: Script) -> AsyncIterator[Upstream]:
    """Run a model server with this script for each connection."""
    made = Upstream(script)
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0, limit=1 << 20)
    made.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        await made.end()
    if made.failure is not None:
        raise made.failure


def answering(*answers: bytes) -> Script:
    """Return a script that answers whole requests one after the other, at the end with the last."""

    async def script(end: ServerEnd) -> None:
        left = list(answers)
        while True:
            await end.request()
            await end.send(left.pop(0) if len(left) > 1 else left[0])

    return script
