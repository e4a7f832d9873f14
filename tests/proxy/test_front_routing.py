"""Requests below `/v1`: which endpoint they reach, and what its server gets of them."""

import pytest

from parkmeter.core.meter import Status
from parkmeter.web.routes import Route, Routes
from tests.support.gateway_at_work import gateway, on_both_loops, on_uvloop, until
from tests.support.listing_server import CHAT, ListingServer, chat
from tests.support.scripted_upstream import OK, ServerEnd, upstream


@pytest.mark.parametrize("stage", ["", "/prod"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens?beta=true",
        "/v1/rerank",
        "/v1/score",
        "/v1/moderations",
        "/v1/images/generations",
        "/v1/audio/speech",
        "/v1/what/comes%20next",
    ],
)
@on_uvloop
async def test_a_body_that_names_an_endpoint_reaches_it(stage, path):
    server = ListingServer("qwen/qwen3")
    async with upstream(server) as served, gateway(served.address) as meter:
        reply = await meter.exchange(stage + path, chat(), fields="X-Seen: yes\r\n")
    assert (reply.status, reply.body) == (200, b"{}")
    assert reply.fields["parkmeter-seconds-left"] == "3600"
    assert server.got == [(f"POST {path} HTTP/1.1", chat("qwen/qwen3"))]
    assert b"x-seen: yes" in server.heads[0]
    assert b"uthorization" not in server.heads[0]


@on_both_loops
async def test_an_id_the_server_knows_leaves_the_body_as_it_is_byte_for_byte():
    body = b'{ "x":"\xc3\xa9\\u00e9",\n"mod\\u0065l" :\t"qwen\\u002f3", "model ":1}'
    server = ListingServer()
    async with upstream(server) as served, gateway(served.address, models=("qwen/3",)) as meter:
        assert (await meter.exchange(CHAT, body)).status == 200
    assert server.got[0][1] == body
    assert server.lists == 0, "its ids are configured"


@on_both_loops
async def test_a_name_or_an_alias_is_replaced_by_the_served_id_and_nothing_else_is():
    server = ListingServer()
    async with (
        upstream(server) as served,
        gateway(served.address, aliases=("gpt-4o-mini",), models=('q"é', "adapter")) as meter,
    ):
        for model in ("flan-t5", "gpt-4o-mini", "adapter"):
            body = b'{"a": 1.0, "model" : "%b"  , "b":"\xc3\xa9"}' % model.encode()
            assert (await meter.exchange(CHAT, body)).status == 200
    assert [body for _, body in server.got] == [
        b'{"a": 1.0, "model" : "q\\"\\u00e9"  , "b":"\xc3\xa9"}',
        b'{"a": 1.0, "model" : "q\\"\\u00e9"  , "b":"\xc3\xa9"}',
        b'{"a": 1.0, "model" : "adapter"  , "b":"\xc3\xa9"}',
    ]


@on_both_loops
async def test_a_name_that_the_server_lists_is_not_replaced():
    server = ListingServer("first", "flan-t5")
    async with upstream(server) as served, gateway(served.address) as meter:
        await meter.exchange(CHAT, chat())  # the one by which it is asked
        await meter.exchange(CHAT, chat())
    assert [body for _, body in server.got][-1] == chat()


@on_both_loops
async def test_a_server_without_a_list_gets_the_body_as_it_came():
    async def only_posts(end: ServerEnd) -> None:
        while True:
            head, _ = await end.request()
            lists = head.line.startswith("GET")
            await end.send(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n" if lists else OK)
            got.append(head.line)

    got: list[str] = []
    async with upstream(only_posts) as served, gateway(served.address) as meter:
        for _ in range(3):
            assert (await meter.exchange(CHAT, chat())).status == 200
    assert got == ["GET /v1/models HTTP/1.1"] + [f"POST {CHAT} HTTP/1.1"] * 3


@on_both_loops
async def test_each_run_is_asked_for_its_ids_before_a_held_request_goes_on():
    server = ListingServer("one")
    async with upstream(server) as served, gateway() as meter:
        for ids in (("one",), ("two",)):
            server.ids = ids
            meter.show(Status.STARTING)
            client = await meter.client()
            await client.ask(CHAT, chat(), fields="Prefer: wait=9\r\n")
            await until(lambda: meter.gate.waiting("flan-t5") == 1)
            meter.show(address=served.address)
            assert (await client.reply()).status == 200
    assert [body for _, body in server.got] == [chat("one"), chat("two")]
    assert server.lists == 2


@on_both_loops
async def test_what_a_server_lists_is_an_id_too_and_stays_one_when_it_is_closed():
    server = ListingServer("meta/llama")
    async with upstream(server) as served, gateway(served.address) as meter:
        assert (await meter.exchange(CHAT, chat("meta/llama"))).status == 404
        meter.plane.view_changed("flan-t5")
        await until(lambda: server.lists == 1)
        await until(lambda: meter.plane.model_ids().served_id("flan-t5") is not None)
        assert (await meter.exchange(CHAT, chat("meta/llama"))).status == 200
        meter.show(Status.STOPPED, minutes=0)
        assert (await meter.exchange(CHAT, chat("meta/llama"))).status == 402
    assert [body for _, body in server.got] == [chat("meta/llama")]


@on_both_loops
async def test_a_model_in_a_form_is_read_and_replaced():
    def form(model: str) -> bytes:
        return (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            b"\0\xff\r\n--\r\nmodel\r\n"
            b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n--b--\r\n'
            % model.encode()
        )

    server = ListingServer()
    typed = "Content-Type: multipart/form-data; boundary=b\r\n"
    async with upstream(server) as served, gateway(served.address, models=("whisper",)) as meter:
        for model in ("flan-t5", "whisper"):
            reply = await meter.exchange("/v1/audio/transcriptions", form(model), fields=typed)
            assert reply.status == 200
        unknown = await meter.exchange("/v1/audio/transcriptions", form("x"), fields=typed)
    assert unknown.json["code"] == "model_not_found"
    assert [body for _, body in server.got] == [form("whisper")] * 2


@on_both_loops
async def test_a_large_body_is_renamed_without_losing_a_byte():
    server = ListingServer()
    body = chat("flan-t5", padding="x" * 5_000_000, after=[1, 2])
    async with upstream(server) as served, gateway(served.address, models=("q",)) as meter:
        assert (await meter.exchange(CHAT, body)).status == 200
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        client = await meter.client()
        await client.ask(CHAT, None, fields="Transfer-Encoding: chunked\r\n")
        await client.send(chunked)
        assert (await client.reply()).status == 200
        assert meter.plane.held_bytes.held == 0
    expected = chat("q", padding="x" * 5_000_000, after=[1, 2])
    assert [got == expected for _, got in server.got] == [True, True]
    assert b"transfer-encoding" not in server.heads[1].lower()


@on_both_loops
async def test_a_closed_meter_is_woken_by_a_request_below_v1_and_its_path_is_not_changed():
    server = ListingServer()

    def wake(_name, _token) -> None:
        meter.show(address=served.address)

    async with (
        upstream(server) as served,
        gateway(wake=wake, models=("q",)) as meter,
    ):
        meter.show(Status.STOPPED, minutes=0)
        looked = await meter.exchange("/v1/responses/resp_1", None, method="GET", token="t-ada")
        assert looked.status == 404
        reply = await meter.exchange(CHAT, chat(), token="t-ada", fields="Prefer: wait=5\r\n")
    assert reply.status == 200
    assert server.got == [(f"POST {CHAT} HTTP/1.1", chat("q"))]


def test_a_second_v1_is_no_path_of_a_server_but_a_wrong_base_url():
    routes = Routes([Route("flan-t5", "flan")])
    assert routes.match(b"/v1/v1/messages") is None
    assert routes.match(b"/v1/v10/messages").front
