"""The gateway's own question to a model server: best effort, and never waited for by readiness."""

import asyncio
import json

import pytest

from parkmeter.core.meter import Status
from parkmeter.proxy import model_lister
from tests.support.gateway_at_work import gateway, on_both_loops, until
from tests.support.listing_server import CHAT, ListingServer, chat
from tests.support.scripted_upstream import OK, ServerEnd, upstream

LIST = json.dumps({"object": "list", "data": [{"id": "q"}]}).encode()


def answered(*pieces: bytes):
    """Return a server that answers a list with these pieces, and all else with OK."""

    async def script(end: ServerEnd) -> None:
        while True:
            head, body = await end.request()
            if head.line.startswith("POST"):
                script.got.append(body)
                await end.send(OK)
                continue
            script.asked.append(head.raw)
            for piece in pieces:
                await end.send(piece)
                await asyncio.sleep(0)
            if not pieces or b"close" in pieces[0]:
                return

    script.got, script.asked = [], []
    return script


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LIST), LIST),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"%x\r\n" % len(LIST),
            LIST,
            b"\r\n0\r\n\r\n",
        ),
        (b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n", LIST),
    ],
)
@on_both_loops
async def test_a_list_is_read_however_it_is_framed(pieces):
    server = answered(*pieces)
    async with upstream(server) as served, gateway(served.address) as meter:
        assert (await meter.exchange(CHAT, chat())).status == 200
        assert meter.plane.model_ids().served_id("flan-t5") == "q"
    assert server.got == [chat("q")]
    assert server.asked[0].startswith(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % len(LIST), LIST),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", b" " * 2_000_000),
        (b"nonsense, and then close\r\n\r\n",),
    ],
)
@on_both_loops
async def test_without_a_list_a_request_goes_on_as_it_came(pieces):
    server = answered(*pieces)
    async with upstream(server) as served, gateway(served.address) as meter:
        for _ in range(2):
            assert (await meter.exchange(CHAT, chat())).status == 200
    assert server.got == [chat(), chat()]
    assert len(server.asked) == 1, "a run is asked once"


@on_both_loops
async def test_a_server_that_loads_models_later_is_asked_again_within_its_run(monkeypatch):
    monkeypatch.setattr(model_lister, "AGAIN_SECONDS", (0.01, 0.02))
    lists = [b'{"data": []}', b"nonsense", LIST, b'{"data": []}', LIST.replace(b"q", b"r")]
    asked = 0

    async def script(end: ServerEnd) -> None:
        nonlocal asked
        while True:
            await end.request()
            body = lists[min(asked, len(lists) - 1)]
            asked += 1
            await end.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with upstream(script) as served, gateway(served.address) as meter:
        seen = []

        def id_() -> str | None:
            seen.append(meter.plane.model_ids().served_id("flan-t5"))
            return seen[-1]

        meter.plane.view_changed("flan-t5")
        await until(lambda: id_() == "r")
        assert None not in seen[seen.index("q") :], "an empty list is no news"


@on_both_loops
async def test_a_server_that_does_not_answer_is_waited_for_a_moment_only(monkeypatch):
    monkeypatch.setattr(model_lister, "LISTING_SECONDS", 0.05)
    silent = asyncio.Event()

    async def script(end: ServerEnd) -> None:
        head = await end.head()
        if head.line.startswith("GET"):
            await silent.wait()
        await end.body(head)
        await end.send(OK)

    async with upstream(script) as served, gateway(served.address) as meter:
        assert (await meter.exchange(CHAT, chat())).status == 200


@on_both_loops
async def test_a_client_that_leaves_while_a_server_is_asked_leaves_nothing():
    asked = asyncio.Event()

    async def script(end: ServerEnd) -> None:
        await end.head()
        asked.set()
        await end.gone()

    async with upstream(script) as served, gateway(served.address) as meter:
        client = await meter.client()
        await client.ask(CHAT, chat())
        await asked.wait()
        assert meter.gate.in_flight("flan-t5") == 1
        assert meter.plane.held_bytes.held == len(chat())
        client.leave()
        await meter.at_rest()
        assert meter.plane.held_bytes.held == 0


@on_both_loops
async def test_every_server_that_serves_is_asked_when_views_change_and_none_after_the_end():
    server = ListingServer("q")
    async with upstream(server) as served, gateway(served.address) as meter:
        meter.show(address=served.address, name="other")
        for name in ["flan-t5", "other"] * 3:
            meter.plane.view_changed(name)
        await until(lambda: meter.plane.model_ids().served_id("other") == "q")
        await until(lambda: server.lists == 2)
        meter.plane.model_lister.close()
        meter.show(address=None, name="other")
        meter.show(address=served.address, name="other")
        meter.plane.view_changed("other")
        await asyncio.sleep(0)
    assert server.lists == 2


@on_both_loops
async def test_a_view_that_changes_costs_no_look_at_another_and_one_that_stops_none_at_all():
    server = ListingServer("q")
    async with upstream(server) as served, gateway(served.address) as meter:
        for number in range(50):
            meter.show(address=served.address, name=f"other-{number}")
        looked = []
        look = meter.plane.model_lister.look
        meter.plane.model_lister.look = lambda name: (looked.append(name), look(name))
        meter.plane.view_changed("other-7")
        await until(lambda: server.lists == 1)
        meter.show(Status.STOPPED, address=None, name="other-7")
        meter.plane.view_changed("other-7")
        await asyncio.sleep(0)
        assert looked == ["other-7"]
