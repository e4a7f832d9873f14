"""A data plane with its clients and model servers in memory, on a wound loop.

It does one thing after the other (`Deed`) and shows all that can be seen from outside after each:
every byte, pauses, ends, limits in force, counts. Two of them that differ in one setting can so be
compared; nothing here knows which.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.client_server import ClientServer
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.gate import LocalGate
from parkmeter.proxy.upstream_pool import UpstreamPool
from parkmeter.web.auth import TokenBook
from parkmeter.web.cross_origin import CrossOrigin
from parkmeter.web.headers import OwnHeaders
from parkmeter.web.hosts import KnownHosts
from parkmeter.web.peers import TrustedProxies
from parkmeter.web.public_address import PublicAddress
from parkmeter.web.routes import Limits, Route, Routes, Timeouts
from tests.support.gateway_at_work import NOON, tokens
from tests.support.wound_loop import Wire, WoundLoop, running

_GIVEN = re.compile(rb"req_[0-9a-f]{24}")
"""The id of a refusal, which is another one each time."""

NAMES = "flan-t5", "other"
TIMEOUTS = Timeouts(first_byte_seconds=40, idle_seconds=20, upload_seconds=10)
PLAIN = Route(
    "flan-t5",
    "flan",
    price_per_hour=Decimal("1.10"),
    limits=Limits(max_body_bytes=200_000),
    timeouts=TIMEOUTS,
    models=("q",),
)
OTHER = Route("other", "other", "/v1/completions?a=b", timeouts=TIMEOUTS)


class What(StrEnum):
    """Something that happens to a gateway."""

    SEND = "a client sends"
    ANSWER = "the model server sends"
    FINISH = "a client ends its stream"
    RESET = "a client breaks off"
    SERVER_FINISH = "the model server ends its stream"
    SERVER_RESET = "the model server breaks off"
    STALL = "a client takes nothing"
    TAKE = "a client takes all"
    SERVER_STALL = "the model server takes nothing"
    SERVER_TAKE = "the model server takes all"
    PASS = "seconds pass"
    CHANGE = "a change"
    RENEW = "a client reconnects"


class Deed(NamedTuple):
    """Something that happens; `client`: the number of the client it happens to."""

    what: What
    value: Any = None
    client: int = 0


class Seen(NamedTuple):
    """What can be seen after a deed."""

    clients: tuple[Any, ...]
    """Of each: its number, what was written to it, the state of its wire, the limit in force."""
    servers: tuple[Any, ...]
    counts: tuple[Any, ...]


class MemoryPlane:
    """One data plane. `settings` are further ones of `DataPlane`; `route` the one of `flan-t5`."""

    def __init__(self, route: Route = PLAIN, **settings: Any) -> None:
        self.loop = WoundLoop(self._connect)
        self.gate = LocalGate(self.now)
        self.book = TokenBook(tokens())
        self.application = _Application()
        self.log: list[str] = []
        self.refusing = False
        self.clients: dict[int, Wire] = {}
        self.servers: dict[int, Wire] = {}
        self._opened = 0
        self._version = 0
        self._asked: Wire | None = None
        with running(self.loop):
            pool = UpstreamPool()
            routes = Routes([route, OTHER])
            self.plane = DataPlane(routes, self.book, self.gate, self.now, pool, **settings)
            self.plane.serve(_Protocols(self.clients))
            for name in NAMES:
                self.show(name)
        speak: Any = protocol_for(self.plane)
        self._speak = speak
        self._server = ClientServer(speak, self.application, keep_alive_seconds=5)

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.loop.time())

    def show(
        self,
        name: str = "flan-t5",
        status: Status = Status.RUNNING,
        address: str | None = None,
        *,
        minutes: float = 600,
    ) -> None:
        """Show the gate a view: a serving one by default."""
        self._version += 1
        close = self.now() + timedelta(minutes=minutes)
        if address is None and status is Status.RUNNING:
            address = f"http://127.0.0.1:{9000 + NAMES.index(name)}"
        self.gate.show(View(name, self._version, close, close, status, "so it is", address))

    def play(self, deed: Deed) -> Seen:
        """Have something happen, and all that follows from it at once."""
        LOGGED.lines = self.log
        with running(self.loop):
            _DEEDS[deed.what](self, deed)
            self.loop.settle()
            return self._seen()

    def end(self) -> tuple[Any, ...]:
        """Have all clients leave; return what was counted and logged since the gateway started,
        and the requests that reached the application."""
        LOGGED.lines = self.log
        with running(self.loop):
            for wire in self.clients.values():
                wire.reset()
            self.loop.settle()
            last = self._seen()
            self.plane.close()
            self.loop.settle()
        traffic = {
            name: {field: _plain(getattr(of, field)) for field in of.__slots__}
            for name, of in self.plane.traffic.items()
        }
        edge = self.plane.edge
        return (
            last,
            len(self._server.tasks),
            traffic,
            edge.refused_tokens.total,
            (len(edge.connections), edge.connections.strangers),
            self.log,
            self.application.calls,
            self.loop.faults,
            [self.gate.last_prompt(name) for name in NAMES],
        )

    # ── Within ──────────────────────────────────────────────────────────────────────────────────

    def _connect(self, _host: str, port: int) -> Wire:
        if self.refusing:
            raise ConnectionRefusedError
        self._opened += 1
        wire = self.servers[self._opened] = Wire(self.loop, ("127.0.0.1", port))
        return wire

    def client(self, number: int) -> Wire:
        """Return the wire of a client, a new one if its connection has ended."""
        wire = self.clients.get(number)
        if wire is not None and wire.closing:
            wire.reset()  # else it waits for its client to take what is left
            self.loop.settle()
            wire = None
        if wire is None:
            wire = self.clients[number] = Wire(self.loop, ("127.0.0.1", 50000 + number))
            wire.attach(self._speak(self._server))
        return wire

    def server(self) -> Wire | None:
        """Return the model server's connection that was written to last."""
        return self._asked

    def _seen(self) -> Seen:
        clients, servers = [], []
        for number, wire in tuple(self.clients.items()):
            limit = wire.protocol.ends_at - self.loop.time()
            clients.append((number, _written(wire), wire.state(), limit))
            if wire.lost:
                del self.clients[number]
        for number, wire in tuple(self.servers.items()):
            if wire.written:
                self._asked = wire
            servers.append((number, _written(wire), wire.state()))
            if wire.lost:
                del self.servers[number]
        gate = self.gate
        counts = tuple((gate.in_flight(name), gate.waiting(name)) for name in NAMES)
        return Seen(tuple(clients), tuple(servers), counts)


def _written(wire: Wire) -> bytes:
    data = b"".join(wire.written)
    wire.written.clear()
    return _GIVEN.sub(b"req_", data) if b"req_" in data else data


def _plain(value: Any) -> Any:
    """Return a count as what compares by its numbers."""
    if hasattr(value, "__slots__"):
        return [_plain(getattr(value, name)) for name in value.__slots__]
    return {name: _plain(one) for name, one in value.items()} if type(value) is dict else value


class _Protocols:
    """The gateway's ends of the clients' connections, as they are now."""

    def __init__(self, clients: Mapping[int, Wire]) -> None:
        self._clients = clients

    def __iter__(self) -> Any:
        return iter([wire.protocol for wire in self._clients.values() if not wire.lost])

    def __len__(self) -> int:
        return len(self._clients)

    def __contains__(self, protocol: object) -> bool:
        return protocol in iter(self)


class _Application:
    """The application beside a data plane: reads a request to its end and answers 404."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        call = [scope["method"], scope["raw_path"], list(scope["headers"])]
        self.calls.append(call)
        more = True
        while more:
            message = await receive()
            call.append(message.get("body", message["type"]))
            more = message.get("more_body", False)
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": b"none"})


class LogTo(logging.Handler):
    """What is logged while it is attached, in the list that it has at that time."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else ""
        self.lines.append(f"{record.getMessage()} {cause!r}" if cause else record.getMessage())


LOGGED = LogTo()


# ── What happens ────────────────────────────────────────────────────────────────────────────────


def _to_client(act: Callable[[Wire], None]) -> Callable[[MemoryPlane, Deed], None]:
    def run(plane: MemoryPlane, deed: Deed) -> None:
        wire = plane.clients.get(deed.client)
        if wire is not None and not wire.closing:
            act(wire)

    return run


def _to_server(act: Callable[[Wire, Any], None]) -> Callable[[MemoryPlane, Deed], None]:
    def run(plane: MemoryPlane, deed: Deed) -> None:
        wire = plane.server()
        if wire is not None and not wire.lost:
            act(wire, deed.value)

    return run


def _renew(plane: MemoryPlane, deed: Deed) -> None:
    wire = plane.clients.get(deed.client)
    if wire is not None and not wire.closing:
        wire.reset()
        plane.loop.settle()
    plane.client(deed.client)


_DEEDS: dict[What, Callable[[MemoryPlane, Deed], None]] = {
    What.SEND: lambda plane, deed: plane.client(deed.client).send(deed.value),
    What.FINISH: _to_client(Wire.send_end),
    What.RESET: _to_client(Wire.reset),
    What.STALL: _to_client(lambda wire: wire.take(taking=False)),
    What.TAKE: _to_client(lambda wire: wire.take(taking=True)),
    What.ANSWER: _to_server(lambda wire, data: wire.send(data)),
    What.SERVER_FINISH: _to_server(lambda wire, _: wire.send_end()),
    What.SERVER_RESET: _to_server(lambda wire, _: wire.reset()),
    What.SERVER_STALL: _to_server(lambda wire, _: wire.take(taking=False)),
    What.SERVER_TAKE: _to_server(lambda wire, _: wire.take(taking=True)),
    What.PASS: lambda plane, deed: plane.loop.advance(deed.value),
    What.CHANGE: lambda plane, deed: CHANGES[deed.value](plane),
    What.RENEW: _renew,
}


def _route(**fields: Any) -> Callable[[MemoryPlane], None]:
    def change(plane: MemoryPlane) -> None:
        plane.plane.routes = Routes([replace(PLAIN, **fields), OTHER])
        plane.gate.recheck()

    return change


def _edge(**fields: Any) -> Callable[[MemoryPlane], None]:
    def change(plane: MemoryPlane) -> None:
        for name, value in fields.items():
            setattr(plane.plane.edge, name, value)

    return change


def _view(*arguments: Any, **named: Any) -> Callable[[MemoryPlane], None]:
    return lambda plane: plane.show(*arguments, **named)


def _without(token_id: str) -> Callable[[MemoryPlane], None]:
    """Return the revocation of a token, as the gateway carries it out."""

    def change(plane: MemoryPlane) -> None:
        plane.book.replace([token for token in tokens() if token.id != token_id])
        plane.plane.cut(token_id)
        plane.gate.recheck()

    return change


def _tokens(**fields: Any) -> Callable[[MemoryPlane], None]:
    """Return a change of the token `t-invoke`; without fields all tokens are as at first."""

    def change(plane: MemoryPlane) -> None:
        plane.book.replace(
            [replace(token, **fields) if token.id == "invoke" else token for token in tokens()]
        )

    return change


def _expiring(plane: MemoryPlane) -> None:
    _tokens(expires_at=plane.now() + timedelta(seconds=2))(plane)


def _new_token(plane: MemoryPlane) -> None:
    fresh = Token("fresh", digest_of("t-fresh"), "fresh", NOON, frozenset({Scope.INVOKE}), None)
    plane.book.replace([*tokens(), fresh])


CHANGES: dict[str, Callable[[MemoryPlane], None]] = {
    "invoke is revoked": _without("invoke"),
    "bob is revoked": _without("bob"),
    "tokens are as at first": _tokens(),
    "invoke may no longer prompt": _tokens(scopes=frozenset({Scope.TOP_UP})),
    "invoke may prompt the other only": _tokens(endpoints=frozenset({"other"})),
    "invoke is renamed": _tokens(name="renamed"),
    "invoke may do all": _tokens(scopes=frozenset(Scope)),
    "invoke expires in two seconds": _expiring,
    "a new token": _new_token,
    "the same routes again": _route(),
    "a route with cookies": _route(cookies=True),
    "a route with headers of its own": _route(
        own_headers=OwnHeaders.of({"X-Own": "1"}, ["X-Shown"])
    ),
    "a route with another path": _route(invocations_path="/v2/invocations"),
    "a route for small bodies": _route(limits=Limits(max_body_bytes=40)),
    "a route for one request at a time": _route(limits=Limits(max_in_flight=1)),
    "a route that waits": _route(limits=Limits(wait_seconds=5)),
    "a route with paths closed": _route(paths=("/v1/chat/completions",)),
    "a route with short limits": _route(
        timeouts=Timeouts(first_byte_seconds=3, idle_seconds=2, upload_seconds=1)
    ),
    "a route under another resource": _route(api_resource="plan"),
    "a route with another model": _route(models=("q2",), aliases=("q3",)),
    "no routes": lambda plane: setattr(plane.plane, "routes", Routes([OTHER])),
    "a public address": _edge(public=PublicAddress("https://elsewhere.test/gw")),
    "no public address": _edge(public=PublicAddress()),
    "a page may read": _edge(cross_origin=CrossOrigin(["https://app.test"])),
    "no page may read": _edge(cross_origin=None),
    "hosts are known": _edge(hosts=KnownHosts(["gateway.test"])),
    "any host": _edge(hosts=None),
    "peers are trusted": _edge(
        proxies=TrustedProxies(["127.0.0.1"]),
        public=PublicAddress(None, TrustedProxies(["127.0.0.1"])),
    ),
    "no peers are trusted": _edge(proxies=TrustedProxies(), public=PublicAddress()),
    "it serves": _view(),
    "it serves elsewhere": _view(address="http://user@127.0.0.1:9100"),
    "it starts": _view(status=Status.STARTING),
    "it is closed": _view(status=Status.STOPPED, minutes=0),
    "it closes in two seconds": _view(minutes=1 / 30),
    "the other is closed": _view("other", Status.STOPPED, minutes=0),
    "the other serves": _view("other"),
    "connections are refused": lambda plane: setattr(plane, "refusing", True),
    "connections are taken": lambda plane: setattr(plane, "refusing", False),
}
"""What people and the gateway's own core change while requests come, by name."""
