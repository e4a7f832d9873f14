"""ASGI on a client's connection: what an application may do, and what its client reads then."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.client_server import ClientServer
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.gate import LocalGate
from parkmeter.web.asgi import ABORT
from parkmeter.web.routes import Routes
from tests.support.gateway_at_work import LONGEST, NOON, Client, book, on_both_loops, served

GET = b"GET /caf%C3%A9?a=b HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: gateway.test\r\n"


def protocol() -> Any:
    """Return the protocol of a data plane without an endpoint."""
    return protocol_for(DataPlane(Routes(), book(), LocalGate(lambda: NOON), lambda: NOON))


@asynccontextmanager
async def client_of(application: Any) -> AsyncIterator[Client]:
    made: list[Client] = []

    def part() -> None:
        for client in made:
            client.leave()

    async with served(application, http=protocol(), part=part) as port:
        made.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        yield made[0]


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def answering(*messages: dict[str, Any]) -> Callable[..., Awaitable[None]]:
    """Return an application that reads its body, then sends these messages."""

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        for message in messages:
            await send(message)

    return application


@on_both_loops
async def test_an_application_sees_the_request():
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, await receive()))
        await send(start(status=204))
        await send(piece(b""))

    async with client_of(application) as client:
        body = b"Content-Length: 2\r\nX-One:  1\r\n\r\nok"
        await client.send(b"PUT /caf%C3%A9?a=b HTTP/1.1\r\nHost: gateway.test\r\n" + body)
        assert (await client.reply()).status == 204
        own = client.writer.get_extra_info("sockname")[:2]
    scope, message = seen[0]
    assert (scope["type"], scope["method"], scope["http_version"]) == ("http", "PUT", "1.1")
    assert (scope["path"], scope["raw_path"]) == ("/café", b"/caf%C3%A9")
    assert (scope["query_string"], scope["root_path"]) == (b"a=b", "")
    assert (scope["scheme"], scope["client"], scope["server"][0]) == ("http", own, "127.0.0.1")
    assert (b"x-one", b"1") in scope["headers"]
    assert (b"content-length", b"2") in scope["headers"]
    assert message == {"type": "http.request", "body": b"ok", "more_body": False}


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_an_answer_of_unknown_length_comes_in_chunks_and_its_connection_is_kept():
    pieces = answering(start(), piece(b"one", more=True), piece(b"", more=True), piece(b"two"))
    async with client_of(pieces) as client:
        for _ in range(2):
            await client.send(GET)
            status, fields = await client.head()
            assert (status, fields) == (200, {"transfer-encoding": "chunked"})
            assert [await client.chunk() for _ in range(3)] == [b"one", b"two", b""]


@on_both_loops
async def test_an_answer_of_unknown_length_ends_with_the_connection_of_an_old_client():
    async with client_of(answering(start(), piece(b"one", more=True), piece(b"two"))) as client:
        await client.send(OLD)
        assert await client.reader.read() == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nonetwo"


@pytest.mark.parametrize(
    ("request_", "status", "length"),
    [(b"HEAD", 200, b"7"), (b"GET", 304, b"7"), (b"GET", 204, None)],
)
@on_both_loops
async def test_an_answer_without_a_body_ends_with_its_head(request_, status, length):
    headers = [] if length is None else [(b"content-length", length)]
    async with client_of(answering(start(*headers, status=status), piece(b"a body!"))) as client:
        for _ in range(2):
            await client.send(GET.replace(b"GET", request_))
            assert (await client.head())[0] == status
        await client.send(GET.replace(b"GET", b"DELETE").replace(b"1.1", b"1.0"))
        await client.head()


@on_both_loops
async def test_a_head_goes_out_though_nothing_of_the_body_follows():
    go_on = asyncio.Event()

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start())
        await go_on.wait()
        await send(piece(b"late"))

    async with client_of(application) as client:
        await client.send(GET)
        assert (await client.head())[0] == 200
        go_on.set()
        assert await client.chunk() == b"late"


@on_both_loops
async def test_an_application_may_end_the_connection_with_its_answer():
    closing = start((b"Connection", b"Close"), (b"content-length", b"0"))
    async with client_of(answering(closing, piece(b""))) as client:
        await client.send(GET)
        assert (await client.reply()).fields == {"content-length": "0", "connection": "close"}
        assert await client.reader.read() == b""


# ── Faults ───────────────────────────────────────────────────────────────────────────────────────


async def _broken(_scope: Any, _receive: Any, _send: Any) -> None:
    raise LookupError("a secret")


@pytest.mark.parametrize(
    "application",
    [
        _broken,
        answering(),
        answering(start()),
        answering(piece(b"x")),
        answering(start(), start()),
        answering(start((b"x", b"1\r\ny: 2"))),
        answering(start((b"x y", b"1"))),
        answering(start((b"content-length", b"1")), piece(b"xx")),
        answering(start((b"content-length", b"3")), piece(b"xx")),
    ],
    ids=[
        *("raises", "silent", "no body", "no head", "two heads"),
        *("header injected", "bad name", "too long", "too short"),
    ],
)
@on_both_loops
async def test_an_application_that_fails_before_its_answer_is_a_500(application, caplog):
    caplog.set_level(logging.ERROR)
    async with client_of(application) as client:
        await client.send(GET)
        reply = await client.reply()
        assert (reply.status, reply.json["code"]) == (500, "internal")
        assert b"secret" not in reply.body
        assert reply.fields["content-type"] == "application/problem+json"
        assert await client.reader.read() == b""
    assert "/café" in caplog.text


@pytest.mark.parametrize("request_", [GET, OLD])
@on_both_loops
async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(request_):
    async with client_of(answering(start(), piece(b"half", more=True))) as client:
        await client.send(request_)
        await client.head()
        if request_ is GET:
            assert await client.chunk() == b"half"
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.reader.readexactly(100)


@on_both_loops
async def test_what_fails_behind_an_answer_is_logged_and_the_connection_kept(caplog):
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start())
        await send(piece(b"done"))
        raise LookupError

    async with client_of(application) as client:
        for _ in range(2):
            await client.send(GET)
            assert (await client.reply()).body == b"done"
    assert "LookupError" in caplog.text


# ── Bodies ───────────────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_a_body_is_invited_once_it_is_read_and_its_connection_kept():
    async with client_of(answering(start(), piece(b"thanks"))) as client:
        for _ in range(2):
            await client.send(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            assert (await client.head())[0] == 100
            await client.send(b"ok")
            assert (await client.reply()).body == b"thanks"


@on_both_loops
async def test_a_body_that_is_refused_is_not_invited():
    async def refusing(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start((b"content-length", b"0"), status=413))
        await send(piece(b""))

    async with client_of(refusing) as client:
        await client.send(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.fields["connection"]) == (413, "close")


@on_both_loops
async def test_a_body_is_not_invited_in_the_middle_of_an_answer():
    async def listening(_scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(piece(b"one", more=True))
        gone = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await send(piece(b"two"))
        assert (await gone)["type"] == "http.disconnect"

    async with client_of(listening) as client:
        await client.send(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await client.reply()).body == b"onetwo"


@on_both_loops
async def test_of_a_body_that_is_not_read_little_is_kept():
    go_on = asyncio.Event()
    sizes: list[int] = []

    async def slow(_scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        while (message := await receive()).get("more_body") or message.get("body"):
            sizes.append(len(message["body"]))
            if not message["more_body"]:
                break
        await send(start())
        await send(piece(b""))

    async with client_of(slow) as client:
        sending = asyncio.create_task(
            client.send(POST + b"Content-Length: 5000000\r\n\r\n" + b"x" * 5_000_000)
        )
        await asyncio.sleep(0.1)
        go_on.set()
        assert (await client.reply()).status == 200
        await sending
    assert sum(sizes) == 5_000_000
    assert max(sizes) < 1_000_000


@pytest.mark.parametrize("written", [b"", b"ZZ\r\n"], ids=["left", "malformed"])
@on_both_loops
async def test_an_application_learns_that_its_client_is_gone(written):
    received: list[str] = []
    gone = asyncio.Event()

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            received.append(message["type"])
        await send(start())  # harmless
        await send(piece(b""))
        gone.set()

    async with client_of(application) as client:
        await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n" + written)
        if written:
            assert (await client.reply()).status == 400
        else:
            client.leave()
        await gone.wait()


@on_both_loops
async def test_an_application_may_break_off_an_answer_that_is_not_taken():
    aborted = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        async def flood() -> None:
            while True:
                await send(piece(b"x" * 100_000, more=True))

        await send(start())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flood(), 0.2)
        scope["extensions"][ABORT]()
        while (await receive())["type"] != "http.disconnect":
            pass
        aborted.set()

    async with client_of(application) as client:
        client.writer.transport.pause_reading()
        await client.send(GET)
        await aborted.wait()


# ── The end ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hurried", [False, True])
@on_both_loops
async def test_at_the_end_requests_are_given_their_time_and_no_more(hurried):
    listener = socket.create_server(("127.0.0.1", 0))
    begun, cancelled, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def application(scope: Any, _receive: Any, send: Any) -> None:
        begun.set()
        try:
            await (go_on if scope["path"] == "/short" else asyncio.Event()).wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        await send(start((b"content-length", b"0")))
        await send(piece(b""))

    server = ClientServer(protocol(), application)
    await server.listen(listener)
    port = listener.getsockname()[1]
    idle, short, long = [
        Client(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(3)
    ]
    for client, path in ((short, b"/short"), (long, b"/long")):
        begun.clear()
        await client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        await begun.wait()
    ending = asyncio.create_task(server.close(LONGEST if hurried else 0.3))
    assert await idle.reader.read() == b""
    go_on.set()
    assert (await short.reply()).status == 200
    assert await short.reader.read() == b""
    if hurried:
        server.hurry()
    await ending
    await cancelled.wait()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await long.reader.readexactly(10_000)
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)
    for client in (idle, short, long):
        client.leave()
