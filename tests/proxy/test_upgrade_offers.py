"""Offers of another protocol: HTTP/2 is declined by ignoring it, anything else by a 501."""

import asyncio

import pytest

from tests.support.gateway_at_work import Client, gateway, on_both_loops
from tests.support.scripted_upstream import ServerEnd, upstream

OFFER = (
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAABgAGAAA\r\n"
)
HEAD = f"POST /flan HTTP/1.1\r\nHost: x\r\nAuthorization: t-invoke\r\n{OFFER}"
SIZED = f"{HEAD}Content-Length: 5\r\n\r\nhello".encode()
CHUNKED = f"{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n".encode()
NO_BODY = f"{HEAD.replace('POST /flan', 'GET /flan/v1/models')}\r\n".encode()
PLAIN = (
    b"POST /flan HTTP/1.1\r\nHost: x\r\nAuthorization: t-invoke\r\nContent-Length: 5\r\n\r\nagain"
)


def echoing(heads: list[bytes]):
    """Answer each request with its body."""

    async def script(line: ServerEnd) -> None:
        while True:
            head, body = await line.request()
            heads.append(head.raw.lower())
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return script


async def bodies(client: Client, count: int) -> list[bytes]:
    replies = [await client.reply() for _ in range(count)]
    assert {reply.status for reply in replies} == {200}
    return [reply.body for reply in replies]


@pytest.mark.parametrize("request_", [SIZED, CHUNKED, NO_BODY], ids=["sized", "chunked", "none"])
@on_both_loops
async def test_an_offer_of_http2_is_ignored_and_its_request_read_like_any_other(request_):
    heads: list[bytes] = []
    body = b"" if request_ is NO_BODY else b"hello"
    async with upstream(echoing(heads)) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.send(request_)
        assert await bodies(client, 1) == [body]
        await client.send(request_ + request_ + PLAIN)  # behind one another in one read
        assert await bodies(client, 3) == [body, body, b"again"]
        await client.send(PLAIN)
        assert await bodies(client, 1) == [b"again"]
    assert len(heads) == 5
    assert not any(word in head for head in heads for word in (b"upgrade", b"h2c", b"http2"))


@pytest.mark.parametrize("request_", [SIZED, CHUNKED], ids=["sized", "chunked"])
@on_both_loops
async def test_wherever_such_a_request_is_cut_its_body_is_whole(request_):
    async with upstream(echoing([])) as model, gateway(model.address) as meter:
        client = await meter.client()
        end = request_.index(b"\r\n\r\n") + 4
        for cut in (20, end - 1, end, end + 1, end + 4, len(request_) - 1):
            await client.send(request_[:cut])
            await asyncio.sleep(0.005)
            await client.send(request_[cut:])
            assert await bodies(client, 1) == [b"hello"]


@on_both_loops
async def test_many_offers_in_one_read_are_answered_in_their_order():
    async with upstream(echoing([])) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.send(b"".join(SIZED.replace(b"hello", b"%05d" % n) for n in range(100)))
        assert await bodies(client, 100) == [b"%05d" % n for n in range(100)]


@on_both_loops
async def test_a_body_behind_an_offer_is_no_request_of_its_own():
    heads: list[bytes] = []
    inner = b"GET /flan/smuggled HTTP/1.1\r\nHost: x\r\nAuthorization: t-invoke\r\n\r\n"
    request = SIZED.replace(b"Length: 5", b"Length: %d" % len(inner)).replace(b"hello", inner)
    async with upstream(echoing(heads)) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.send(request)
        assert await bodies(client, 1) == [inner]
        await client.send(request.replace(b"t-invoke\r\nConn", b"t-unknown\r\nConn"))
        reply = await client.reply()
        assert reply.status == 403
        await client.send(PLAIN)
        assert await bodies(client, 1) == [b"again"]
    assert len(heads) == 2
    assert not any(b"smuggled" in head for head in heads)


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5x\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
    ],
)
@on_both_loops
async def test_an_ambiguous_body_behind_an_offer_is_refused(framing):
    async with upstream(echoing([])) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.send(f"{HEAD}{framing}\r\nhello".encode())
        assert (await client.reply()).status in {400, 501}
        assert await client.reader.read() == b""
    assert model.connections == 0


@pytest.mark.parametrize("offered", ["websocket", "h2c, websocket", "WebSocket", "TLS/1.3"])
@on_both_loops
async def test_any_other_protocol_is_a_501_and_what_follows_is_not_read(offered):
    async with upstream(echoing([])) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.send(SIZED.replace(b"Upgrade: h2c", b"Upgrade: " + offered.encode()) + PLAIN)
        reply = await client.reply()
        assert (reply.status, reply.json["code"]) == (501, "upgrade_not_supported")
        assert reply.fields["connection"] == "close"
        assert await client.reader.read() == b""
    assert model.connections == 0


@on_both_loops
async def test_an_offer_with_connection_close_ends_the_connection():
    async with upstream(echoing([])) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.send(SIZED.replace(b"Connection: ", b"Connection: close, "))
        reply = await client.reply()
        assert (reply.body, reply.fields["connection"]) == (b"hello", "close")
        assert await client.reader.read() == b""


@on_both_loops
async def test_an_offer_that_is_held_gets_its_answer():
    async with upstream(echoing([])) as model, gateway() as meter:
        meter.show(minutes=60)
        client = await meter.client()
        await client.send(SIZED.replace(b"Host: x", b"Host: x\r\nPrefer: wait=9") + SIZED)
        await asyncio.sleep(0.01)
        meter.show(address=model.address)
        assert await bodies(client, 2) == [b"hello", b"hello"]
