"""The gateway's front with its data plane: pages of other origins, and the addresses given."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.config.gateway import GatewaySettings
from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.gateway.edge_settings import configure_edge
from parkmeter.gateway.front import Front
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.edge import Edge
from parkmeter.proxy.gate import LocalGate
from parkmeter.web.auth import TokenBook
from parkmeter.web.public_address import public_base
from parkmeter.web.routes import Route, Routes
from tests.support.gateway_at_work import Client, Reply, on_both_loops, on_uvloop, served
from tests.support.world import NOON, World, spec

TOKEN = "a-token-of-ada"
PAGE = "https://chat.example.org"
TO_READ, MAY_READ = "access-control-expose-headers", "access-control-allow-origin"
ALLOWED = {"allow_origins": [PAGE]}


class House:
    """A whole gateway on a wound clock, whose meter is closed."""

    def __init__(self, **settings: object) -> None:
        world, edge = World(spec()), Edge()
        self.edge = edge
        self.reload(**settings)
        token = Token("ada", digest_of(TOKEN), "ada", NOON, frozenset(Scope))
        book = TokenBook([token])
        context = ApiContext(
            world.service,
            book,
            str,
            lambda: world.now,
            base=lambda one: public_base(one, edge.public),
        )
        gate = LocalGate(context.now)
        gate.show(View("flan-t5", 1, NOON, NOON, Status.STOPPED, "closed", None))
        routes = Routes([Route("flan-t5", "flan")])
        self.plane = DataPlane(routes, book, gate, context.now, edge=edge)
        self.app = Front(control_app(context), edge)
        self.clients: list[Client] = []
        self.port = 0

    def reload(self, **settings: object) -> None:
        configure_edge(self.edge, GatewaySettings(**settings))

    async def client(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.clients[-1]

    async def ask(self, call: str, *fields: str, body: str = "") -> Reply:
        client = await self.client()
        lines = [f"{call} HTTP/1.1", *fields, f"Content-Length: {len(body)}"]
        if not any(line.startswith("Host:") for line in fields):
            lines.insert(1, "Host: localhost:8080")
        await client.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        return await client.reply()


@asynccontextmanager
async def house(**settings: object) -> AsyncIterator[House]:
    made = House(**settings)

    def part() -> None:
        for client in made.clients:
            client.leave()

    async with served(made.app, http=protocol_for(made.plane), part=part) as made.port:
        yield made


# ── Pages of other origins ──────────────────────────────────────────────────────────────────────

PATHS = [
    "/v1/messages",
    "/flan",
    "/flan/v1/chat/completions",
    "/prod/flan",
    "/endpoints",
    "/prod/whoami",
    "/none",
]
WITH_TOKEN = f"Authorization: Bearer {TOKEN}"
PREFLIGHT = (
    "Access-Control-Request-Method: POST",
    "Access-Control-Request-Headers: authorization,content-type",
)


@pytest.mark.parametrize("path", PATHS)
@on_both_loops
async def test_a_preflight_of_an_allowed_page_needs_no_token(path):
    async with house(**ALLOWED) as gateway:
        reply = await gateway.ask(f"OPTIONS {path}", f"Origin: {PAGE}", *PREFLIGHT)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.fields[MAY_READ] == PAGE
    assert reply.fields["access-control-allow-headers"] == "authorization,content-type"
    assert "access-control-allow-credentials" not in reply.fields
    assert "origin" in reply.fields["vary"].lower()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
@on_uvloop
async def test_a_preflight_of_any_other_page_is_refused_with_the_setting_that_allows_it(
    path, origin
):
    async with house(**ALLOWED) as gateway:
        reply = await gateway.ask(f"OPTIONS {path}", f"Origin: {origin}", *PREFLIGHT)
    assert (reply.status, reply.json["code"]) == (403, "origin_not_allowed")
    assert "allow_origins" in reply.json["detail"]
    assert not any(name.startswith("access-control") for name in reply.fields)
    assert reply.fields["vary"] == "Origin"


@on_uvloop
async def test_a_request_with_a_token_is_no_preflight_of_a_browser():
    async with house(**ALLOWED) as gateway:
        origin = "Origin: https://evil.example"
        reply = await gateway.ask("OPTIONS /flan/x", WITH_TOKEN, origin, *PREFLIGHT)
    assert reply.status == 402


@pytest.mark.parametrize(
    ("call", "fields", "status"),
    [
        ("POST /flan", ["Host: elsewhere.example"], 421),
        ("POST /flan", [WITH_TOKEN, "X-Api-Key: another"], 400),
        ("GET /whoami", ["Host: elsewhere.example"], 421),
        ("GET /whoami", [WITH_TOKEN, "X-Api-Key: another"], 400),
        ("POST /flan", [WITH_TOKEN, "Transfer-Encoding: odd"], 400),
        ("GET /whoami", [WITH_TOKEN, "X: " + "x" * 70_000], 431),
    ],
)
@on_both_loops
async def test_a_page_can_read_what_is_refused_by_its_head_alone(call, fields, status):
    async with house(**ALLOWED) as gateway:
        reply = await gateway.ask(call, f"Origin: {PAGE}", *fields)
        other = await gateway.ask(call, "Origin: https://evil.example", *fields)
    assert (reply.status, other.status) == (status, status)
    assert reply.fields[MAY_READ] == PAGE
    assert (other.fields.get(MAY_READ), other.fields["vary"]) == (None, "Origin")


@pytest.mark.parametrize(
    ("call", "token", "status"),
    [
        ("GET /whoami", True, 200),
        ("GET /prod/whoami", False, 401),
        ("GET /none", True, 404),
        ("POST /flan", True, 402),
        ("POST /flan", False, 401),
        ("POST /endpoints/none/invocations", True, 404),
    ],
)
@on_both_loops
async def test_each_answer_can_be_read_by_an_allowed_page_and_by_no_other(call, token, status):
    fields = [WITH_TOKEN] if token else []
    async with house(**ALLOWED) as gateway:
        allowed = await gateway.ask(call, *fields, f"Origin: {PAGE}")
        other = await gateway.ask(call, *fields, "Origin: https://evil.example")
        none = await gateway.ask(call, *fields)
    assert {allowed.status, other.status, none.status} == {status}
    assert allowed.fields[MAY_READ] == PAGE
    assert "Retry-After" in allowed.fields[TO_READ]
    assert "access-control-allow-credentials" not in allowed.fields
    assert MAY_READ not in other.fields.keys() | none.fields.keys()
    assert {reply.fields["vary"] for reply in (allowed, other, none)} == {"Origin"}


@on_both_loops
async def test_without_allowed_origins_nothing_is_said_and_a_reload_changes_that_at_once():
    async with house() as gateway:
        asked = ("POST /flan", WITH_TOKEN, f"Origin: {PAGE}")
        assert not {"vary", MAY_READ} & set((await gateway.ask(*asked)).fields)
        preflight = ("OPTIONS /flan/x", f"Origin: {PAGE}", *PREFLIGHT)
        assert (await gateway.ask(*preflight)).status == 403
        gateway.reload(**ALLOWED)
        assert (await gateway.ask(*asked)).fields[MAY_READ] == PAGE
        assert (await gateway.ask(*preflight)).status == 204


@on_both_loops
async def test_preflight_and_request_may_follow_on_one_connection():
    async with house(**ALLOWED) as gateway:
        client = await gateway.client()
        lines = ["Host: localhost", f"Origin: {PAGE}", *PREFLIGHT, "", ""]
        ask = f"POST /flan HTTP/1.1\r\nHost: localhost\r\nOrigin: {PAGE}\r\n{WITH_TOKEN}\r\n"
        head = "OPTIONS /flan HTTP/1.1\r\n" + "\r\n".join(lines)
        await client.send((head + ask + "Content-Length: 2\r\n\r\n{}" + head).encode())
        assert [(await client.reply()).status for _ in range(3)] == [204, 402, 204]


# ── Addresses ───────────────────────────────────────────────────────────────────────────────────

BY_PROXY = (
    "Host: inner:9000",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: meter.example.org",
    "X-Forwarded-Prefix: /gpu",
)
TRUSTED = {"trusted_proxies": ["127.0.0.1"], "allowed_hosts": ["inner"]}
PUBLIC = {"public_url": "https://meter.example.org/gpu/prod", "allowed_hosts": ["inner"]}


async def addresses(gateway: House, *fields: str) -> list[str]:
    """Return the base of each address that the gateway gives."""
    refused = await gateway.ask("POST /prod/flan", WITH_TOKEN, *fields)
    document = json.loads((await gateway.ask("GET /prod/openapi.json", *fields)).body)
    page = (await gateway.ask("GET /prod/docs", *fields)).body.decode()
    moved = await gateway.ask("GET /prod/endpoints/", WITH_TOKEN, *fields)
    assert (refused.status, moved.status) == (402, 307)
    url = refused.json["top_up"]["url"]
    assert url in refused.json["top_up"]["curl"]
    return [
        url.removesuffix("/endpoints/flan-t5/top-ups"),
        document["servers"][0]["url"],
        page.partition("<pre>curl ")[2].partition("/endpoints")[0],
        moved.fields["location"].removesuffix("/endpoints"),
    ]


@pytest.mark.parametrize("settings", [TRUSTED, PUBLIC])
@on_both_loops
async def test_every_address_is_the_public_one(settings):
    async with house(**settings) as gateway:
        assert await addresses(gateway, *BY_PROXY) == ["https://meter.example.org/gpu/prod"] * 4


@on_both_loops
async def test_any_client_that_says_the_same_gets_the_address_it_called():
    called = "http://inner:9000/prod"
    async with house(trusted_proxies=["10.0.0.0/8"], allowed_hosts=["inner"]) as gateway:
        forged = (*BY_PROXY, "X-Forwarded-For: 10.0.0.1")
        assert await addresses(gateway, *forged) == [called, "/prod", called, called]


@on_both_loops
async def test_a_reload_changes_the_address_on_a_connection_that_is_open():
    async with house() as gateway:
        client = await gateway.client()
        urls = []
        for settings in ({}, PUBLIC):
            gateway.reload(**settings)
            await client.ask(token=TOKEN)
            urls.append((await client.reply()).json["top_up"]["url"].partition("/endp")[0])
    assert urls == ["http://gateway.test:8080", "https://meter.example.org/gpu/prod"]
