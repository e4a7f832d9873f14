"""What an endpoint gave an id: requests for it go to that endpoint."""

import asyncio
import json

import pytest

from parkmeter.core.meter import Status
from parkmeter.proxy import held_stage
from parkmeter.proxy.given_ids import GivenIds
from tests.support.gateway_at_work import gateway, on_both_loops, on_uvloop, until, waiting
from tests.support.listing_server import CHAT, ListingServer, chat
from tests.support.scripted_upstream import OK, ServerEnd, upstream


def answer(body: bytes, kind: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (kind, len(body)) + body


def test_ids_are_bounded_by_endpoint_and_its_oldest_goes():
    ids = GivenIds(most=3)
    ids.remember("x1", "two")
    for id_ in ("a1", "b1", "a1", "c1", "d1"):
        ids.remember(id_, "one")
    found = [ids.endpoint_of(id_) for id_ in ("a1", "b1", "c1", "d1", "x1")]
    assert found == ["one", None, "one", "one", "two"]


@pytest.mark.parametrize("id_", [None, "", "1" * 129, "a1/b", "a1 b", "é1", "a1\n", "\udc80"])
def test_what_is_no_id_is_not_kept(id_):
    ids = GivenIds()
    ids.remember(id_, "one")
    assert not ids._endpoints
    assert ids.endpoint_of(id_ or "") is None


def test_an_endpoint_cannot_take_an_id_from_another():
    ids = GivenIds()
    ids.remember("resp_1", "one")
    ids.remember("resp_1", "two")
    assert ids.endpoint_of("resp_1") == "one"


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        (b"/v1/responses/resp_1", "one"),
        (b"/v1/responses/resp_1/cancel", "one"),
        (b"/v1/vector_stores/x/files/resp_1", "one"),
        (b"/v1/responses", None),
        (b"/v1/resp_1", None),
        (b"/v1/responses/resp%5f1", None),
        (b"/v1/responses/x-resp_1", None),
        (b"/v1/chat/resp_1", None),
        (b"/v1/chat/completions/resp_1", None),
    ],
)
def test_an_id_is_a_whole_segment_of_a_path(path, endpoint):
    ids = GivenIds()
    ids.remember("resp_1", "one")
    assert ids.endpoint_in(path) == endpoint


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions", "/v1/responses/compact", "/v1/responses/input_tokens", "/v1/messages"],
)
@on_uvloop
async def test_no_server_gets_the_prompts_of_another_by_an_id_it_gives(path):
    taking, meant = ListingServer(), ListingServer()
    word = path.rpartition("/")[2].encode()
    taking.answer = answer(b'{"id":"%b"}' % word)
    async with (
        upstream(taking) as taken,
        upstream(meant) as served,
        gateway(taken.address) as meter,
    ):
        meter.show(address=served.address, name="other")
        assert (await meter.exchange("/flan/v1/responses", b"{}", token="t-admin")).status == 200
        reply = await meter.exchange(path, chat("other"), token="t-admin")
        assert reply.status == 200
    assert [line for line, _ in meant.got] == [f"POST {path} HTTP/1.1"]


@on_both_loops
async def test_a_response_is_found_again_by_its_id_streamed_or_not():
    created = b'event: response.created\ndata: {"type":"response.created","response":%b}\n\n'
    answers = {
        "resp_1": answer(b'{"id":"resp_1","object":"response"}'),
        "resp_2": answer(created % b'{"id":"resp_2"}', b"text/event-stream"),
    }
    server = ListingServer()
    async with upstream(server) as served, gateway(served.address, models=("q",)) as meter:
        for id_, server.answer in answers.items():
            assert (await meter.exchange("/v1/responses", chat("q"))).status == 200
            assert (await meter.exchange(f"/v1/responses/{id_}", None, method="GET")).status == 200
            cancel = await meter.exchange(f"/v1/responses/{id_}/cancel", None)
            assert cancel.status == 200
            follow = json.dumps({"previous_response_id": id_, "input": "go on"}).encode()
            assert (await meter.exchange("/v1/responses", follow)).status == 200
            assert server.got[-1][1] == follow
        looked = [line for line, _ in server.got if line.startswith("GET")]
        assert looked == [f"GET /v1/responses/{id_} HTTP/1.1" for id_ in answers]


@on_both_loops
async def test_a_file_of_the_endpoints_own_path_is_found_by_a_batch_below_v1():
    server = ListingServer(answer=answer(b'{"id":"file-1","purpose":"batch"}'))
    async with upstream(server) as served, gateway(served.address) as meter:
        assert (await meter.exchange("/flan/v1/files", b"--b--")).status == 200
        server.answer = answer(b'{"id":"batch_1"}')
        batch = b'{"input_file_id":"file-1","endpoint":"/v1/chat/completions"}'
        assert (await meter.exchange("/v1/batches", batch)).status == 200
        assert (await meter.exchange("/v1/batches/batch_1", None, method="GET")).status == 200
        assert (await meter.exchange("/v1/files/file-1", None, method="DELETE")).status == 200
    assert [line.split()[0] for line, _ in server.got] == ["POST", "POST", "GET", "DELETE"]


@on_both_loops
async def test_the_ids_of_chats_are_not_kept():
    server = ListingServer(answer=answer(b'{"id":"chatcmpl-1"}'))
    async with upstream(server) as served, gateway(served.address, models=("q",)) as meter:
        assert (await meter.exchange(CHAT, chat("q"))).status == 200
        assert meter.plane.given_ids.endpoint_of("chatcmpl-1") is None


@on_both_loops
async def test_a_body_behind_a_known_id_is_not_held():
    server = ListingServer(answer=answer(b"{}"))
    body = b"x" * 300_000
    async with upstream(server) as served, gateway(served.address) as meter:
        meter.plane.given_ids.remember("upload_1", "flan-t5")
        meter.plane.held_bytes.per_token = 10
        for framing in (f"Content-Length: {len(body)}\r\n", "Transfer-Encoding: chunked\r\n"):
            client = await meter.client()
            await client.ask("/v1/uploads/upload_1/parts", None, fields=framing)
            chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            await client.send(chunked if "chunked" in framing else body)
            assert (await client.reply()).status == 200
    assert [got for _, got in server.got] == [body, body]


@on_both_loops
async def test_a_large_body_behind_an_id_is_not_sent_again_without_its_rest(monkeypatch):
    monkeypatch.setattr(held_stage, "_AHEAD_LIMIT", 200_000)  # all of it, in however many reads
    closing = asyncio.Event()

    async def script(end: ServerEnd) -> None:
        await end.request()
        await end.send(OK)
        if end.number == 1:
            await closing.wait()
            await end.head()
            end.reset()

    path = "/v1/responses/resp_1"
    async with upstream(script) as served, gateway(served.address) as meter:
        meter.plane.given_ids.remember("resp_1", "flan-t5")
        assert (await meter.exchange(path, None, method="GET")).status == 200
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(path, b"x" * 100_000, method="GET", fields="Prefer: wait=5\r\n")
        await until(lambda: waiting(meter.gate) == 1)
        relay = meter.connections[-1]._active
        await until(lambda: relay._body.complete)
        closing.set()
        meter.show(address=served.address)
        assert (await client.reply()).status == 502
        assert served.connections == 1
