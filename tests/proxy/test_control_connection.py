"""The control routes on a client's connection: what is refused at once, HEAD, and old clients."""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from parkmeter.api import event_routes
from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.api.event_routes import add_event_routes, feed_of
from parkmeter.api.request_body import LARGEST
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.gate import LocalGate
from parkmeter.web.auth import TokenBook
from parkmeter.web.routes import Routes
from tests.support.gateway_at_work import Client, gateway, on_both_loops, served
from tests.support.scripted_upstream import OK, answering, upstream
from tests.support.world import NOON, World, spec

TOKEN = "a-token-of-ada"
HOST = "Host: gateway.test\r\n"
PASSWORD = "Basic " + b64encode(f"anyone:{TOKEN}".encode()).decode()
TOP_UP = f"POST /endpoints/flan-t5/top-ups HTTP/1.1\r\n{HOST}Authorization: {TOKEN}\r\n"


@asynccontextmanager
async def house() -> AsyncIterator[Client]:
    """Yield a client of all control routes, on a wound clock."""
    world = World(spec())
    token = Token("ada", digest_of(TOKEN), "ada", NOON, frozenset(Scope))
    control = ApiContext(world.service, TokenBook([token]), lambda name: name, lambda: world.now)
    app, feed = control_app(control), feed_of(control)
    add_event_routes(app, control, feed)
    plane = DataPlane(Routes(), control.book, LocalGate(control.now), control.now)
    made: list[Client] = []

    def part() -> None:
        feed.close()
        for client in made:
            client.leave()

    async with served(app, http=protocol_for(plane), part=part) as port:
        made.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        yield made[0]


async def asked(client: Client, text: str) -> None:
    await client.send(text.encode())


# ── Bodies that are too large ────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_a_body_that_is_too_large_is_refused_before_it_is_sent():
    async with house() as client:
        await asked(client, f"{TOP_UP}Content-Length: {LARGEST + 1}\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.json["code"]) == (413, "too_large")
        assert reply.fields["connection"] == "close"
        assert await client.reader.read() == b""


@pytest.mark.parametrize("framing", ["Content-Length: 20000000", "Transfer-Encoding: chunked"])
@on_both_loops
async def test_a_client_that_sends_a_body_too_large_to_its_end_still_reads_the_answer(framing):
    async with house() as client:
        await asked(client, f"{TOP_UP}{framing}\r\n\r\n")
        whole = b"%x\r\n" % 20_000_000 if "chunked" in framing else b""
        await client.send(whole + b"x" * 20_000_000)
        reply = await client.reply()
        assert (reply.status, reply.fields["connection"]) == (413, "close")
        assert await client.reader.read() == b""


@on_both_loops
async def test_a_prompt_that_is_too_large_ends_its_connection_and_its_client_reads_why():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=b"x" * 20_000_000)
        reply = await client.reply()
        assert (reply.status, reply.json["code"]) == (413, "too_large")
        assert reply.fields["connection"] == "close"
        assert await client.reader.read() == b""
        assert model.connections == 0


@on_both_loops
async def test_a_client_that_goes_on_sending_after_the_end_is_dropped_in_time(monkeypatch):
    monkeypatch.setattr("parkmeter.proxy.client_connection.ClientConnection.LINGER_SECONDS", 0.2)
    async with house() as client:
        await asked(client, f"{TOP_UP}Content-Length: {LARGEST + 1}\r\n\r\n")
        assert (await client.reply()).status == 413
        with contextlib.suppress(ConnectionError):
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.01)


# ── Heads ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "head",
    ["GET /health HTTP/1.1\r\n", f"GET /health HTTP/1.1\r\n{HOST}{HOST}"],
    ids=["without a host", "with two"],
)
@on_both_loops
async def test_a_request_without_exactly_one_host_is_a_400(head):
    async with house() as client:
        await asked(client, f"{head}\r\n")
        reply = await client.reply()
        assert (reply.status, reply.json["field"]) == (400, "Host")
        assert await client.reader.read() == b""


@on_both_loops
async def test_a_request_without_a_host_is_answered_after_those_before_it():
    async with house() as client:
        await asked(client, f"GET /health HTTP/1.1\r\n{HOST}\r\nGET /health HTTP/1.1\r\n\r\n")
        assert [(await client.reply()).status for _ in range(2)] == [200, 400]
        assert await client.reader.read() == b""


@pytest.mark.parametrize("path", ["/health", "/", "/docs", "/openapi.json"])
@on_both_loops
async def test_head_is_answered_as_get_is_without_its_body(path):
    async with house() as client:
        await asked(client, f"HEAD {path} HTTP/1.1\r\n{HOST}\r\n")
        status, fields = await client.head()
        await asked(client, f"GET {path} HTTP/1.1\r\n{HOST}\r\n")
        reply = await client.reply()
        assert (status, fields) == (200, reply.fields)
        assert len(reply.body) == int(fields["content-length"])


@on_both_loops
async def test_head_of_a_stream_ends_with_its_head():
    async with house() as client:
        for _ in range(event_routes.MAX_PER_TOKEN + 2):
            await asked(client, f"HEAD /events HTTP/1.1\r\n{HOST}Authorization: {TOKEN}\r\n\r\n")
            status, fields = await client.head()
            assert (status, fields["content-type"]) == (200, "text/event-stream; charset=utf-8")
        await asked(client, f"HEAD /endpoints/flan-t5/eject HTTP/1.1\r\n{HOST}\r\n")
        status, fields = await client.head()
        assert (status, fields["allow"]) == (405, "POST")


# ── Old clients ──────────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_an_old_client_reads_events_without_chunks():
    async with house() as client:
        await asked(client, f"GET /events HTTP/1.0\r\nAuthorization: {TOKEN}\r\n\r\n")
        status, fields = await client.head()
        assert (status, fields["connection"]) == (200, "close")
        assert "transfer-encoding" not in fields
        assert await client.reader.readline() == b"event: endpoints\n"
        assert (await client.reader.readline()).startswith(b'data: {"endpoints":[')


@on_both_loops
async def test_an_old_client_gets_an_answer_with_its_length_and_needs_no_host():
    async with house() as client:
        await asked(client, "GET /health HTTP/1.0\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.json["status"]) == (200, "ok")
        assert await client.reader.read() == b""


# ── Credentials ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (f"X-Api-Key: {TOKEN}\r\n", 200),
        (f"api-key: {TOKEN}\r\n", 200),
        (f"Authorization: {PASSWORD}\r\n", 200),
        (f"Authorization: {PASSWORD}\r\nSec-Fetch-Site: cross-site\r\n", 403),
        (f"Authorization: {PASSWORD}\r\nOrigin: null\r\n", 403),
        (f"Authorization: {TOKEN}\r\nX-Api-Key: another\r\n", 400),
        ("X-Api-Key: another\r\n", 403),
        ("X-Api-Key:\r\n", 401),
    ],
)
@on_both_loops
async def test_control_routes_take_a_token_in_each_form(fields, status):
    async with house() as client:
        await asked(client, f"GET /whoami HTTP/1.1\r\n{HOST}{fields}\r\n")
        assert (await client.reply()).status == status


# ── Offers of another protocol ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
@pytest.mark.parametrize("cut", [0, 5])
@on_both_loops
async def test_an_offer_of_another_protocol_costs_no_top_up_its_body(protocol, cut):
    fields = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AA\r\n"
    body = '{"minutes": 5}'
    async with house() as client:
        for _ in range(2):  # and the connection is kept
            head = f"{TOP_UP}{fields}Content-Length: {len(body)}\r\n\r\n"
            await asked(client, head + body[:cut])
            await asyncio.sleep(0.005)
            await asked(client, body[cut:])
            reply = await client.reply()
            assert (reply.status, reply.json["minutes"]) == (201, 5)
        await asked(client, f"GET /health HTTP/1.1\r\n{HOST}{fields}\r\n" * 2)
        assert [(await client.reply()).status for _ in range(2)] == [200, 200]
