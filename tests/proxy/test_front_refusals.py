"""Requests below `/v1` that are refused, before anything is bought or forwarded."""

import asyncio

import pytest

from parkmeter.core.meter import Status
from parkmeter.proxy import front_relay
from parkmeter.web.routes import Limits, Route, Routes, Timeouts
from tests.support.gateway_at_work import gateway, on_both_loops, on_uvloop, until
from tests.support.listing_server import CHAT, ListingServer, chat
from tests.support.scripted_upstream import upstream

FORM = "Content-Type: multipart/form-data; boundary=b\r\n"


def form(model: str) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n'
    return head + model.encode() + b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (None, 401, "token_missing"),
        ("nonsense", 403, "token_refused"),
        ("t-late", 403, "token_refused"),
        ("t-purse", 403, "scope_missing"),
    ],
)
@on_both_loops
async def test_before_a_byte_of_the_body_the_token_is_checked(token, status, code):
    async with gateway() as meter:
        client = await meter.client()
        await client.ask(
            CHAT, None, token=token, fields="Content-Length: 5000\r\nExpect: 100-continue\r\n"
        )
        reply = await client.reply()
        assert meter.plane.held_bytes.held == 0
    assert (reply.status, reply.json["code"]) == (status, code)
    assert reply.fields["connection"] == "close"
    assert "parkmeter-seconds-left" not in reply.fields


@on_both_loops
async def test_a_body_is_invited_once_the_token_is_known():
    server = ListingServer()
    async with upstream(server) as served, gateway(served.address, models=("q",)) as meter:
        client = await meter.client()
        await client.ask(CHAT, None, fields="Content-Length: 13\r\nExpect: 100-continue\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b'{"model":"q"}')
        assert (await client.reply()).status == 200


@on_both_loops
async def test_two_tokens_cannot_reach_each_others_endpoints_by_any_id_in_any_form():
    """`elsewhere` is for `other` only: all else it is answered as if it did not exist."""
    server = ListingServer()
    async with (
        upstream(server) as served,
        gateway(served.address, aliases=("gpt",), models=("served/id",)) as meter,
    ):
        meter.show(address=served.address, name="other")
        meter.plane.model_lister._learned("flan-t5", ("listed",))
        meter.plane.given_ids.remember("resp_1", "flan-t5")
        refused = []
        for model in ("flan-t5", "gpt", "served/id", "listed", "no-such-model"):
            for body, fields in ((chat(model), ""), (form(model), FORM)):
                reply = await meter.exchange(CHAT, body, token="t-elsewhere", fields=fields)
                assert "parkmeter-seconds-left" not in reply.fields
                refused.append((reply.status, reply.body.replace(model.encode(), b"X")))
        assert all(one == refused[0] for one in refused)
        assert (refused[0][0], b"model_not_found" in refused[0][1]) == (404, True)
        assert b"flan-t5" not in refused[0][1]
        by_id = [
            await meter.exchange(f"/v1/responses/{id_}", None, method=method, token="t-elsewhere")
            for id_ in ("resp_1", "resp_2")
            for method in ("GET", "DELETE", "POST")
        ]
        assert {reply.status for reply in by_id} == {404}
        assert len({reply.body.replace(b"resp_1", b"resp_2") for reply in by_id}) == 1
        carried = chat(None, previous_response_id="resp_1").replace(b'"model": null, ', b"")
        reply = await meter.exchange("/v1/responses", carried, token="t-elsewhere")
        assert reply.json["code"] == "model_not_named"
        assert server.got == []
        assert (await meter.exchange(CHAT, chat("other"), token="t-elsewhere")).status == 200
        assert (await meter.exchange(CHAT, chat("gpt"))).status == 200


@pytest.mark.parametrize(
    ("body", "fields", "status", "code"),
    [
        (b'{"model":"q","model":"q"}', "", 400, "invalid_request"),
        (b'{"model":"q","mod\\u0065l":"q"}', "", 400, "invalid_request"),
        (b'{"model":["q"]}', "", 400, "invalid_request"),
        (b'{"model":null}', "", 400, "invalid_request"),
        (b'{"model":1e999}', "", 400, "invalid_request"),
        (b'{"model":"q"', "", 400, "invalid_request"),
        (b'"q"', "", 400, "invalid_request"),
        (b"model=q", "Content-Type: application/x-www-form-urlencoded\r\n", 400, "invalid_request"),
        (b'{"model":"q","x":"\xff"}', "", 400, "invalid_request"),
        (b'{"model":"q"}', "Content-Encoding: gzip\r\n", 415, "media_type_not_supported"),
        (
            b'{"model":"q"}',
            "Content-Encoding: gzip\r\nContent-Encoding: identity\r\n",
            400,
            "invalid_request",
        ),
        (b'{"model":"q"}', "Content-Type: a/b\r\nContent-Type: c/d\r\n", 400, "invalid_request"),
        (
            b'{"model":"q"}',
            "Content-Type: a/json;charset=utf-16\r\n",
            415,
            "media_type_not_supported",
        ),
        (form("q"), "Content-Type: multipart/form-data\r\n", 400, "invalid_request"),
        (
            form("q") + b"x",
            "Content-Type: multipart/form-data; boundary=c\r\n",
            400,
            "invalid_request",
        ),
        (b"", "", 404, "model_not_named"),
        (b"{}", "", 404, "model_not_named"),
        (b'{"input_file_id":"file-1"}', "", 404, "model_not_named"),
        (form("q").replace(b'"model"', b'"file"'), FORM, 404, "model_not_named"),
    ],
)
@on_uvloop
async def test_a_body_that_says_it_in_two_ways_or_not_at_all_is_refused(body, fields, status, code):
    server = ListingServer()
    async with upstream(server) as served, gateway(served.address, models=("q",)) as meter:
        reply = await meter.exchange("/v1/batches", body, fields=fields)
        assert (reply.status, reply.json["code"]) == (status, code), reply.body
        if code == "model_not_named":
            assert reply.json["paths"] == ["/flan/v1/batches", "/other/v1/batches"]
        assert meter.plane.held_bytes.held == 0
    assert server.got == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"])
@on_uvloop
async def test_what_has_no_body_and_no_known_id_is_for_no_endpoint(method):
    async with gateway() as meter:
        reply = await meter.exchange("/v1/files/file-1", None, method=method)
    assert reply.status == 404


@on_both_loops
async def test_engine_control_needs_admin_below_v1_too():
    server = ListingServer()
    path, body = "/v1/load_lora_adapter", chat("q", lora_name="x")
    async with upstream(server) as served, gateway(served.address, models=("q",)) as meter:
        for way in (path, "/v1//%6Coad_lora_adapter;x"):
            assert (await meter.exchange(way, body)).json["code"] == "scope_missing"
        assert (await meter.exchange("/v1/x/../sleep", body)).status == 400
        assert server.got == []
        assert (await meter.exchange(path, body, token="t-admin")).status == 200
    async with upstream(server) as served:
        paths = ("/v1/chat/*",)
        async with gateway(served.address, models=("q",), paths=paths) as meter:
            assert (await meter.exchange("/v1/embeddings", body)).status == 403
            assert (await meter.exchange(CHAT, body)).status == 200


@on_both_loops
async def test_a_body_too_large_for_its_endpoint_is_refused():
    limits = Limits(max_body_bytes=1000)
    async with gateway(limits=limits, models=("q",)) as meter:
        big = chat("q", padding="x" * 2000)
        assert (await meter.exchange(CHAT, big)).status == 413
        one, _ = meter.plane.routes.all
        roomy = Route("other", "other", limits=Limits(max_body_bytes=5000))
        meter.plane.routes = Routes([one, roomy])
        assert (await meter.exchange(CHAT, big)).json["limit_bytes"] == 1000
        assert (await meter.exchange(CHAT, chat("other", padding="x" * 2000))).status == 503
        assert (await meter.exchange(CHAT, chat("other", padding="x" * 6000))).status == 413


@on_both_loops
async def test_bodies_that_are_held_are_bounded_by_token_and_in_all():
    async with gateway(models=("q",)) as meter:
        held = meter.plane.held_bytes
        held.per_token, held.in_all = 3000, 5000
        meter.show(Status.STARTING)
        body = chat("q", padding="x" * 1900)
        size = len(body)

        async def hold(token: str) -> None:
            client = await meter.client()
            await client.ask(CHAT, body, token=token, fields="Prefer: wait=100\r\n")
            clients.append(client)

        clients: list = []
        await hold("t-ada")
        await until(lambda: held.held == size)
        own = await meter.exchange(CHAT, body, token="t-ada")
        assert (own.status, own.json["code"], own.fields["retry-after"]) == (
            429,
            "too_many_bodies",
            "1",
        )
        await hold("t-bob")
        await until(lambda: held.held == 2 * size)
        third = await meter.exchange(CHAT, body, token="t-invoke")
        assert (third.status, third.json["limit_bytes"]) == (429, 5000)
        small = await meter.exchange(CHAT, chat("q"), token="t-ada")
        assert small.status == 503, "a small one finds room"
        assert (await meter.exchange(CHAT, chat("q", p="x" * 4000))).status == 413, "never held"
        clients[0].leave()
        await until(lambda: held.held == size)
        meter.show(Status.STOPPED, minutes=0)
        assert (await clients[1].reply()).status == 402
        assert held.held == 0


@on_both_loops
async def test_a_body_without_a_length_is_counted_as_it_comes():
    async with gateway(models=("q",)) as meter:
        meter.plane.held_bytes.per_token = 3000
        client = await meter.client()
        await client.ask(CHAT, None, fields="Transfer-Encoding: chunked\r\n")
        await client.send(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        await until(lambda: meter.plane.held_bytes.held == 1000)
        await client.send(b"fa0\r\n" + b" " * 4000 + b"\r\n")
        assert (await client.reply()).status == 413
        assert meter.plane.held_bytes.held == 0


@on_both_loops
async def test_the_room_is_given_back_once_the_server_has_taken_the_body():
    server = ListingServer(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    async with upstream(server) as served, gateway(served.address, models=("q",)) as meter:
        client = await meter.client()
        await client.ask(CHAT, chat("q", padding="x" * 3_000_000))
        await client.head()
        await until(lambda: meter.plane.held_bytes.held == 0)
        assert meter.gate.in_flight("flan-t5") == 1
        client.leave()
        await meter.at_rest()


@on_both_loops
async def test_a_token_revoked_while_its_body_comes_is_refused():
    async with gateway(models=("q",)) as meter:
        client = await meter.client()
        await client.ask(CHAT, None, fields="Content-Length: 13\r\n")
        await client.send(b'{"model"')
        await until(lambda: meter.plane.held_bytes.held == 13)
        meter.revoke("invoke")
        await client.send(b':"q"}')
        assert (await client.reply()).json["code"] == "token_refused"
        assert meter.plane.held_bytes.held == 0


@on_both_loops
async def test_a_body_that_stops_coming_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(front_relay, "_TIMEOUTS", Timeouts(upload_seconds=0.05))
    async with gateway(models=("q",)) as meter:
        client = await meter.client()
        await client.ask(CHAT, None, fields="Content-Length: 13\r\n")
        await client.send(b'{"model"')
        assert (await client.reply()).json["code"] == "upload_stalled"
        assert meter.plane.held_bytes.held == 0


@on_both_loops
async def test_a_client_that_leaves_in_the_midst_of_its_body_leaves_nothing():
    async with gateway(models=("q",)) as meter:
        client = await meter.client()
        await client.ask(CHAT, None, fields="Content-Length: 130000\r\n")
        await client.send(b" " * 100_000)
        await until(lambda: meter.plane.held_bytes.held == 130_000)
        client.leave()
        await until(lambda: meter.plane.held_bytes.held == 0)


@on_both_loops
async def test_requests_of_one_connection_go_each_where_its_model_is():
    one, two = ListingServer(), ListingServer()
    async with (
        upstream(one) as first,
        upstream(two) as second,
        gateway(first.address, models=("q",)) as meter,
    ):
        meter.show(address=second.address, name="other")
        client = await meter.client()
        models = ["q", "other", "nothing", "other", "q"]
        await asyncio.gather(*(client.ask(CHAT, chat(model)) for model in models))
        assert [(await client.reply()).status for _ in models] == [200, 200, 404, 200, 200]
    assert [len(server.got) for server in (one, two)] == [2, 2]


@on_both_loops
async def test_no_upgrade_is_taken_below_v1():
    async with gateway() as meter:
        reply = await meter.exchange(
            "/v1/realtime?model=q",
            None,
            method="GET",
            fields="Connection: upgrade\r\nUpgrade: websocket\r\n",
        )
    assert reply.status == 501


@on_both_loops
async def test_an_endpoint_that_a_reload_removes_is_found_no_more():
    async with gateway(models=("q",)) as meter:
        meter.plane.given_ids.remember("resp_1", "flan-t5")
        meter.plane.routes = Routes([Route("other", "other")])
        assert (await meter.exchange(CHAT, chat("q"))).json["endpoints"] == ["other"]
        assert (await meter.exchange("/v1/responses/resp_1", None, method="GET")).status == 404
