"""Clients without a valid token: what they may hold, and for how long."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.edge import Edge
from parkmeter.proxy.gate import LocalGate
from parkmeter.web.auth import TokenBook
from parkmeter.web.hosts import KnownHosts
from parkmeter.web.peers import TrustedProxies
from parkmeter.web.routes import Routes
from tests.support.gateway_at_work import Client, gateway, on_both_loops, served, until
from tests.support.scripted_upstream import OK, answering, upstream
from tests.support.world import NOON, World, spec

CONNECTION = "parkmeter.proxy.client_connection.ClientConnection"
TOKEN = "a-token-of-ada"


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch):
    monkeypatch.setattr(f"{CONNECTION}.LINGER_SECONDS", 0.3)


@asynccontextmanager
async def control(edge: Edge | None = None, *, keep_alive: int = 5) -> AsyncIterator["House"]:
    """Yield all control routes behind an edge, on a wound clock."""
    world, edge = World(spec()), edge or Edge()
    token = Token("ada", digest_of(TOKEN), "ada", NOON, frozenset(Scope))
    context = ApiContext(
        world.service,
        TokenBook([token]),
        lambda name: name,
        lambda: world.now,
        token_refused=edge.refuse_token,
    )
    plane = DataPlane(Routes(), context.book, LocalGate(context.now), context.now, edge=edge)
    made = House(edge)
    async with served(
        control_app(context), http=protocol_for(plane), part=made.part, keep_alive=keep_alive
    ) as made.port:
        yield made


class House:
    """Control routes that listen on `port`, and their clients."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.port = 0
        self._clients: list[Client] = []

    async def client(self) -> Client:
        self._clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self._clients[-1]

    def part(self) -> None:
        for client in self._clients:
            client.leave()


async def drip(client: Client, seconds: float = 5) -> float:
    """Send a byte now and then until the connection ends; return for how long it lasted."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with contextlib.suppress(ConnectionError):
        while loop.time() < begun + seconds:
            await client.send(b"x")
            await asyncio.sleep(0.02)
    return loop.time() - begun


# ── A refusal before the end of the body ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
@on_both_loops
async def test_a_refused_prompt_that_goes_on_dripping_ends_in_time(framing):
    async with gateway() as meter:
        client = await meter.client()
        await client.ask(body=None, token="t-nobody", fields=f"{framing}\r\n")
        reply = await client.reply()
        assert (reply.status, reply.fields["connection"]) == (403, "close")
        assert await drip(client) < 2


@pytest.mark.parametrize("target", ["/endpoints/flan-t5/top-ups", "/health", "/nowhere"])
@on_both_loops
async def test_an_answered_control_request_that_goes_on_dripping_ends_in_time(target):
    async with control() as house:
        client = await house.client()
        method = "GET" if target == "/health" else "POST"
        await client.ask(
            target, None, method=method, token="wrong", fields="Content-Length: 1000000\r\n"
        )
        reply = await client.reply()
        assert reply.fields["connection"] == "close"
        assert await drip(client) < 2


@on_both_loops
async def test_a_refused_client_may_send_much_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(f"{CONNECTION}.LINGER_SECONDS", 30)
    monkeypatch.setattr(f"{CONNECTION}.DRAIN_LIMIT", 1_000_000)
    async with gateway() as meter:
        client = await meter.client()
        await client.ask(body=None, token=None, fields="Content-Length: 100000000\r\n")
        assert (await client.reply()).status == 401
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 50_000_000:
                await client.send(b"x" * 65_536)
                sent += 65_536
        assert sent < 50_000_000


@on_both_loops
async def test_a_refused_prompt_whose_body_came_with_its_head_keeps_its_connection():
    async with gateway() as meter:
        client = await meter.client()
        for _ in range(3):
            reply = await client.exchange(token="t-nobody")
            assert (reply.status, reply.fields.get("connection")) == (403, None)


@on_both_loops
async def test_a_closed_meter_is_answered_on_a_kept_connection_too():
    async with gateway("127.0.0.1:1") as meter:
        meter.show(minutes=-1)
        client = await meter.client()
        assert [(await client.exchange()).status for _ in range(3)] == [402] * 3


@on_both_loops
async def test_empty_lines_do_not_keep_a_connection():
    async with control(keep_alive=1) as house:
        client = await house.client()
        await client.exchange("/whoami", None, method="GET", token="wrong")
        begun = asyncio.get_running_loop().time()
        with contextlib.suppress(ConnectionError):
            while asyncio.get_running_loop().time() < begun + 5:
                await client.send(b"\r\n")
                await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() < begun + 4


@on_both_loops
async def test_answers_that_are_not_taken_do_not_hold_a_connection(monkeypatch):
    monkeypatch.setattr("parkmeter.proxy.application_cycle.ApplicationCycle.TAKING_SECONDS", 0.3)
    async with control() as house:
        client = await house.client()
        client.writer.transport.pause_reading()
        head = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for _ in range(200):
            client.writer.write(head)
        await until(lambda: len(house.edge.connections) == 1)
        await until(lambda: len(house.edge.connections) == 0)


# ── Limits of connections ────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_strangers_give_way_to_new_connections_and_known_clients_stay():
    edge = Edge()
    edge.connections.most_per_peer = 3
    async with control(edge) as house:
        ada = await house.client()
        assert (await ada.exchange("/whoami", None, method="GET", token=TOKEN)).status == 200
        strangers = [await house.client() for _ in range(6)]
        await until(lambda: edge.connections.closed == 3)
        assert [await stranger.reader.read() for stranger in strangers[:3]] == [b""] * 3
        assert (await ada.exchange("/whoami", None, method="GET", token=TOKEN)).status == 200
        newest = strangers[-1]
        assert (await newest.exchange("/whoami", None, method="GET", token=TOKEN)).status == 200


@on_both_loops
async def test_where_every_connection_has_a_request_the_next_is_refused_in_plain_words():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        meter.plane.edge.connections.most = 2
        busy = [await meter.client() for _ in range(2)]
        for client in busy:
            await client.ask(body=None, fields="Content-Length: 2\r\n")
        await until(lambda: meter.gate.in_flight("flan-t5") == 2)
        late = await meter.client()
        reply = await late.reply()
        assert (reply.status, reply.json["code"]) == (503, "too_many_connections")
        assert (reply.fields["retry-after"], reply.fields["connection"]) == ("1", "close")
        for client in busy:
            await client.send(b"{}")
            assert (await client.reply()).status == 200
        assert (await meter.exchange()).status == 200


@on_both_loops
async def test_a_connection_that_is_over_is_not_counted():
    async with gateway() as meter:
        for _ in range(3):
            (await meter.client()).leave()
        await until(lambda: not len(meter.plane.edge.connections))


# ── Refused tokens ───────────────────────────────────────────────────────────────────────────────


async def seconds_of(exchange) -> float:
    begun = asyncio.get_running_loop().time()
    reply = await exchange
    assert reply.status == 403
    return asyncio.get_running_loop().time() - begun


@on_both_loops
async def test_a_peer_that_guesses_waits_for_its_answers_and_one_with_a_token_does_not(caplog):
    caplog.set_level(logging.WARNING)
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        quick = [await seconds_of(meter.exchange(token="t-guess")) for _ in range(10)]
        assert max(quick) < 0.5
        slow = asyncio.create_task(seconds_of(meter.exchange(token="t-guess")))
        begun = asyncio.get_running_loop().time()
        assert (await meter.exchange()).status == 200
        assert asyncio.get_running_loop().time() - begun < 0.5
        assert await slow > 0.9
        assert meter.plane.edge.refused_tokens.total == 11
    assert "refused a token from 127.0.0.1" in caplog.messages


@on_both_loops
async def test_guesses_at_a_control_route_are_counted_and_slowed_down_too():
    async with control() as house:
        client = await house.client()

        def guess():
            return seconds_of(client.exchange("/whoami", None, method="GET", token="wrong"))

        assert max([await guess() for _ in range(10)]) < 0.5
        assert await guess() > 0.9
        assert (await client.exchange("/whoami", None, method="GET", token=TOKEN)).status == 200
        assert house.edge.refused_tokens.total == 11


@on_both_loops
async def test_a_request_without_any_token_is_no_guess():
    async with gateway() as meter:
        for _ in range(15):
            assert (await meter.exchange(token=None)).status == 401
        assert meter.plane.edge.refused_tokens.total == 0


@on_both_loops
async def test_behind_a_trusted_proxy_the_client_that_guesses_waits_and_no_other():
    async with gateway() as meter:
        meter.plane.edge.proxies = TrustedProxies(["127.0.0.1"])
        client = await meter.client()

        def guess(peer: str):
            fields = f"X-Forwarded-For: 198.51.100.1, {peer}\r\n"
            return seconds_of(client.exchange(token="t-guess", fields=fields))

        assert max([await guess("203.0.113.9") for _ in range(10)]) < 0.5
        assert await guess("203.0.113.9") > 0.9
        assert await guess("203.0.113.10") < 0.5


@on_both_loops
async def test_a_client_dropped_while_its_refusal_waits_leaves_no_count_of_a_name_it_made_up():
    async with gateway() as meter:
        for _ in range(10):
            assert (await meter.exchange(token="t-guess")).status == 403
        client = await meter.client()
        await client.ask("/endpoints/made-up/invocations", token="t-guess")
        line = meter.connections[-1]
        await until(lambda: line.active)
        line.drop()  # as the limits on connections do
        await until(lambda: line.transport.is_closing() and not line.active)
        assert set(meter.plane.traffic) == {"flan-t5"}


@on_both_loops
async def test_a_trusted_proxy_that_names_no_client_waits_for_nothing():
    async with gateway() as meter:
        meter.plane.edge.proxies = TrustedProxies(["127.0.0.1"])
        client = await meter.client()
        begun = asyncio.get_running_loop().time()
        for _ in range(13):
            assert (await client.exchange(token="t-guess")).status == 403
        assert asyncio.get_running_loop().time() - begun < 4, "the last three would take 1 to 3 s"
        assert meter.plane.edge.refused_tokens.total == 13


# ── Hosts and methods ────────────────────────────────────────────────────────────────────────────


def known_hosts() -> Edge:
    edge = Edge()
    edge.hosts = KnownHosts(["meter.example.org"])
    return edge


async def status_of(house: House, host: str, token: str | None, target: str = "/endpoints") -> int:
    client = await house.client()
    line = f"Authorization: {token}\r\n" if token else ""
    await client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{line}\r\n".encode())
    return (await client.reply()).status


@pytest.mark.parametrize("target", ["/", "/health", "/endpoints", "/docs"])
@on_both_loops
async def test_under_a_name_that_is_not_its_own_a_gateway_answers_nothing_without_a_token(target):
    async with control(known_hosts()) as house:
        assert await status_of(house, "evil.example", None, target) == 421
        assert await status_of(house, "evil.example", "wrong", target) == 421
        assert house.edge.refused_tokens.total == 1, "a guess leaves its trace under any name"


@on_both_loops
async def test_a_valid_token_makes_any_host_good():
    async with control(known_hosts()) as house:
        assert await status_of(house, "whatever.proxies.send", TOKEN) == 200


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:1", "meter.example.org"])
@on_both_loops
async def test_under_its_own_names_a_gateway_answers_without_a_token(host):
    async with control(known_hosts()) as house:
        assert await status_of(house, host, None, "/health") == 200
        assert await status_of(house, host, None) == 401


@on_both_loops
async def test_a_prompt_under_a_foreign_name_needs_its_token_and_nothing_else():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        meter.plane.edge.hosts = KnownHosts()
        assert (await meter.exchange()).status == 200  # its Host is gateway.test
        refused = await meter.exchange(token=None)
        assert (refused.status, refused.json["code"]) == (421, "unknown_host")


@pytest.mark.parametrize("target", ["/flan", "/flan/v1/models"])
@on_both_loops
async def test_trace_does_not_reach_the_model_server(target):
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        reply = await meter.exchange(target, None, method="TRACE")
        assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
        assert "TRACE" not in reply.fields["allow"]
        assert model.connections == 0
