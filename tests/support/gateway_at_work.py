"""A data plane behind a real server on loopback, its clients, and a wound clock."""

import asyncio
import functools
import inspect
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import uvloop

from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.client_server import ClientServer
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.gate import LocalGate
from parkmeter.proxy.upstream_pool import UpstreamPool
from parkmeter.proxy.waker import Waker
from parkmeter.web.auth import TokenBook
from parkmeter.web.routes import Limits, Route, Routes, Timeouts

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
LONGEST = 10.0
"""Seconds after which a test has failed."""


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Any:
    """Run an async test on asyncio's own loop and on uvloop, bounded in time."""
    return _on({"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}, test)


def on_uvloop(test: Callable[..., Awaitable[None]]) -> Any:
    """Run an async test on uvloop only, bounded in time: one of hundreds of connections."""
    return _on({"uvloop": uvloop.new_event_loop}, test)


def _on(loops: dict[str, Any], test: Callable[..., Awaitable[None]]) -> Any:
    @pytest.mark.parametrize("new_loop", loops.values(), ids=loops.keys())
    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], **fixtures: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(LONGEST):
                await test(**fixtures)

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(bounded())

    own = inspect.Parameter("new_loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([own, *inspect.signature(test).parameters.values()])
    return run


async def until(condition: Callable[[], bool]) -> None:
    """Yield to the loop until it holds; the test's own limit bounds it."""
    while not condition():  # noqa: ASYNC110 (what is awaited has no event of its own)
        await asyncio.sleep(0.001)


async def not_found(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer 404: the application beside a data plane."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def waiting(gate: LocalGate, name: str = "flan-t5") -> int:
    """Return the number of requests being held."""
    return gate.waiting(name)


class WoundClock:
    """A clock that moves only when a test sets `at`."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at


@dataclass(frozen=True)
class Reply:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A client of which tests see every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ask(
        self,
        target: str = "/flan",
        body: bytes | None = b"{}",
        *,
        method: str = "POST",
        fields: str = "",
        token: str | None = "t-invoke",
    ) -> None:
        """Send a request; `fields` are whole lines. Without a body it has no length either."""
        head = f"{method} {target} HTTP/1.1\r\nHost: gateway.test:8080\r\n{fields}"
        if token is not None:
            head += f"Authorization: Bearer {token}\r\n"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        await self.send(head.encode("latin-1") + b"\r\n" + (body or b""))

    async def head(self) -> tuple[int, dict[str, str]]:
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = raw.split("\r\n")[:-2]
        fields: dict[str, str] = {}
        for name, _, value in (field.partition(": ") for field in lines):
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return int(line.split()[1]), fields

    async def chunk(self) -> bytes:
        """One chunk of a chunked answer; empty at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def reply(self, *, headless: bool = False) -> Reply:
        """Return a whole answer."""
        status, fields = await self.head()
        body = b""
        if headless or status in {204, 304}:
            pass
        elif fields.get("transfer-encoding") == "chunked":
            while piece := await self.chunk():
                body += piece
        else:
            body = await self.reader.readexactly(int(fields["content-length"]))
        return Reply(status, fields, body)

    async def exchange(self, *arguments: Any, **named: Any) -> Reply:
        await self.ask(*arguments, **named)
        return await self.reply(headless=named.get("method") == "HEAD")

    def leave(self) -> None:
        self.writer.transport.abort()


class Gateway:
    """The parts of a running gateway."""

    def __init__(
        self,
        limits: Limits,
        timeouts: Timeouts,
        pool: UpstreamPool,
        wake: Callable[[str, Token], object] | None = None,
        **settings: Any,
    ) -> None:
        self.clock = WoundClock()
        self.idle: list[str] = []
        self.gate = LocalGate(self.clock.now, self.idle.append)
        self.pool = pool
        routes = [
            Route(
                "flan-t5",
                "flan",
                "/invocations",
                Decimal("1.10"),
                limits,
                timeouts,
                wakes=wake is not None,
                **settings,
            ),
            Route(
                "other",
                "other",
                "/v1/completions?a=b",
                None,
                limits,
                timeouts,
                device=settings.get("device"),
            ),
        ]
        waker = Waker(wake) if wake is not None else None
        self.tokens = tokens()
        self.book = TokenBook(self.tokens)
        self.plane = DataPlane(
            Routes(routes), self.book, self.gate, self.clock.now, pool, waker=waker
        )
        self.port = 0
        self.connections: list[Any] = []
        """The gateway's ends of its clients' connections, those that are over too."""
        self._clients: list[Client] = []
        self._version = 0

    def show(
        self,
        status: Status = Status.RUNNING,
        address: str | None = None,
        *,
        minutes: float = 60,
        name: str = "flan-t5",
        reason: str = "serving",
        retry_at: datetime | None = None,
        device: str | None = None,
        started_at: datetime | None = None,
    ) -> None:
        self._version += 1
        close = self.clock.now() + timedelta(minutes=minutes)
        seen = status, reason, address, retry_at, device, started_at
        self.gate.show(View(name, self._version, close, close, *seen))

    def revoke(self, token_id: str) -> None:
        """Revoke a token, as a request to the gateway does."""
        self.book.replace([token for token in tokens() if token.id != token_id])
        self.gate.recheck()

    async def client(self) -> Client:
        made = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(made)
        return made

    async def exchange(self, *arguments: Any, **named: Any) -> Reply:
        """One request on a connection of its own."""
        return await (await self.client()).exchange(*arguments, **named)

    async def at_rest(self) -> None:
        """Return when nothing is in flight or held."""
        await until(lambda: not self.gate.in_flight("flan-t5") and not waiting(self.gate))

    def part(self) -> None:
        for client in self._clients:
            client.leave()


def book() -> TokenBook:
    """Return a book with one token of each kind."""
    return TokenBook(tokens())


def tokens() -> list[Token]:
    """Return one token of each kind; each secret is `t-` and its id."""

    def token(id_: str, *scopes: Scope, endpoints: frozenset[str] | None = None) -> Token:
        digest = digest_of(f"t-{id_}")
        expires_at = NOON - timedelta(days=1) if id_ == "late" else None
        return Token(id_, digest, id_, NOON, frozenset(scopes), endpoints, expires_at)

    return [
        token("invoke", Scope.INVOKE),
        token("late", Scope.INVOKE),
        token("purse", Scope.TOP_UP),
        token("ada", Scope.INVOKE, Scope.TOP_UP),
        token("bob", Scope.INVOKE),
        token("admin", Scope.INVOKE, Scope.ADMIN),
        token("elsewhere", Scope.INVOKE, endpoints=frozenset({"other"})),
    ]


@asynccontextmanager
async def served(
    app: Any,
    *,
    http: Any,
    keep_alive: int = 5,
    part: Callable[[], None] = lambda: None,
) -> AsyncIterator[int]:
    """Yield the port of a server of this application and protocol; `part` ends its clients."""
    server = ClientServer(http, app, keep_alive_seconds=keep_alive)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.listen(listener)
    try:
        yield listener.getsockname()[1]
    except BaseException:
        server.hurry()  # a failed test must not wait for what it left
        raise
    finally:
        part()
        await server.close(LONGEST)


@asynccontextmanager
async def gateway(
    address: str | None = None,
    *,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    pool: UpstreamPool | None = None,
    wake: Callable[[str, Token], object] | None = None,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    """Yield a running gateway; with an address its endpoint serves there for another hour.

    `wake` tops up its closed meter when a prompt comes; `settings` are further ones of its route.
    """
    made = Gateway(
        limits or Limits(), timeouts or Timeouts(), pool or UpstreamPool(), wake, **settings
    )
    if address is not None:
        made.show(address=address)
    speak = protocol_for(made.plane)

    def seen(server: ClientServer) -> Any:
        made.connections.append(speak(server))
        return made.connections[-1]

    async with served(not_found, http=seen, part=made.part) as made.port:
        made.plane.serve(made.connections)
        yield made
    made.plane.close()
    assert made.gate.in_flight("flan-t5") == 0
    assert waiting(made.gate) == 0
