"""A model server on loopback that does, connection by connection, what a test's script says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Asked:
    """The head of one request, as it came."""

    line: str
    fields: list[tuple[str, str]]
    raw: bytes

    def __getitem__(self, name: str) -> str | None:
        found = [value for known, value in self.fields if known.lower() == name.lower()]
        assert len(found) < 2, f"{name} came {len(found)} times"
        return found[0] if found else None


class Line:
    """The model server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int):
        self.reader = reader
        self.writer = writer
        self.number = number

    async def head(self) -> Asked:
        raw = await self.reader.readuntil(b"\r\n\r\n")
        line, *rest = raw.decode("latin-1").split("\r\n")[:-2]
        pairs = (field.partition(": ") for field in rest)
        return Asked(line, [(name, value) for name, _, value in pairs], raw)

    async def chunk(self) -> bytes:
        """One chunk of a chunked body; empty at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def request(self) -> tuple[Asked, bytes]:
        """A whole request."""
        asked = await self.head()
        return asked, await self.body(asked)

    async def body(self, asked: Asked) -> bytes:
        """The whole body of a request whose head came."""
        if asked["Transfer-Encoding"] == "chunked":
            body = b""
            while piece := await self.chunk():
                body += piece
            return body
        return await self.reader.readexactly(int(asked["Content-Length"] or 0))

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def gone(self) -> None:
        """Return when the other side has closed; what it still sends is thrown away."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            return

    def reset(self) -> None:
        """Close without a word."""
        self.writer.transport.abort()


Script = Callable[[Line], Awaitable[None]]


class Upstream:
    """What the tests ask it: `address`, and how many `connections` came."""

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
            await self.script(Line(reader, writer, self.connections))
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
    """A model server that runs `script` on each connection."""
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
    """Reads whole requests and gives one answer to each, the last one again and again."""

    async def script(line: Line) -> None:
        left = list(answers)
        while True:
            await line.request()
            await line.send(left.pop(0) if len(left) > 1 else left[0])

    return script
