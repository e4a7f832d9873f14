"""Credentials, keys of servers and offers of HTTP/2 on requests below `/v1`."""

import pytest

from parkmeter.web.headers import OwnHeaders
from tests.support.gateway_at_work import gateway, on_both_loops
from tests.support.listing_server import CHAT, chat
from tests.support.scripted_upstream import ServerEnd, upstream

OWN = OwnHeaders.of({"Authorization": "Bearer of-the-server"})
MODELS = b'{"data": [{"id": "qwen/3"}]}'


class LockedServer:
    """A server that answers those who show its key only."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.heads: list[bytes] = []

    async def __call__(self, end: ServerEnd) -> None:
        while True:
            head, body = await end.request()
            self.heads.append(head.raw)
            self.got.append((head.line, body))
            known = head["Authorization"] == "Bearer of-the-server"
            answer = MODELS if head.line.startswith("GET") else b"{}"
            line = b"200 OK" if known else b"401 No"
            await end.send(
                b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (line, len(answer), answer)
            )


@pytest.mark.parametrize("header", ["x-api-key", "api-key", "Authorization"])
@on_both_loops
async def test_a_server_is_asked_for_its_ids_and_prompted_with_its_own_key(header):
    server = LockedServer()
    async with upstream(server) as served, gateway(served.address, own_headers=OWN) as meter:
        client = await meter.client()
        for _ in range(2):
            fields = f"{header}: t-invoke\r\n"
            reply = await client.exchange(CHAT, chat(), fields=fields, token=None)
            assert reply.status == 200
    assert [line for line, _ in server.got] == [
        "GET /v1/models HTTP/1.1",
        f"POST {CHAT} HTTP/1.1",
        f"POST {CHAT} HTTP/1.1",
    ]
    assert server.got[-1][1] == chat("qwen/3")
    assert not any(b"t-invoke" in head for head in server.heads)


@on_both_loops
async def test_two_credentials_are_a_400_before_a_body_is_read():
    async with gateway() as meter:
        client = await meter.client()
        for _ in range(2):
            reply = await client.exchange(CHAT, chat(), fields="x-api-key: t-admin\r\n")
            assert (reply.status, reply.json["code"]) == (400, "invalid_request")


@on_both_loops
async def test_an_offer_of_http2_keeps_the_body_by_which_it_is_routed():
    server = LockedServer()
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    async with upstream(server) as served, gateway(served.address, own_headers=OWN) as meter:
        client = await meter.client()
        for _ in range(3):
            assert (await client.exchange(CHAT, chat(), fields=offer)).status == 200
    assert server.got[-1][1] == chat("qwen/3")
