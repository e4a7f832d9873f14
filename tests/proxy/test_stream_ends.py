"""Streams of events that end before their model is done: the last event says why."""

import asyncio
import json
from typing import Any

import pytest

from parkmeter.core.meter import Status
from parkmeter.web.routes import Timeouts
from tests.support.gateway_at_work import Client, Gateway, gateway, on_both_loops
from tests.support.scripted_upstream import Script, ServerEnd, upstream

CHAT = "/flan/v1/chat/completions"
MESSAGES = "/flan/v1/messages"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n"
)
EVENT = b'data: {"choices": []}\n\n'


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def streaming(go_on: asyncio.Event, *pieces: bytes, head: bytes = HEAD) -> Script:
    """Return a script that begins a stream, and breaks it off once the test says so."""

    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(head + b"\r\n" + b"".join(map(framed, pieces)))
        await go_on.wait()

    return script


async def begun(meter: Gateway, path: str, pieces: int = 1, **asked: Any) -> Client:
    """Return a client that has read the head of a stream and its first pieces."""
    client = await meter.client()
    await client.ask(path, **asked)
    status, fields = await client.head()
    assert (status, fields["x-accel-buffering"]) == (200, "no")
    read = 0
    while read < pieces:
        read += (await client.chunk()).count(b"\n\n") or pieces
    return client


async def rest(client: Client) -> bytes:
    """Return the rest of a chunked answer that has to end properly."""
    body = b""
    while piece := await client.chunk():
        body += piece
    return body


def error_of(event: bytes) -> dict[str, Any]:
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    return json.loads(event.removeprefix(b"data: "))["error"]


@on_both_loops
async def test_a_stream_that_the_close_cuts_off_says_that_the_meter_closed():
    go_on = asyncio.Event()
    async with (
        upstream(streaming(go_on, EVENT)) as model,
        gateway(model.address) as meter,
    ):
        client = await begun(meter, CHAT)
        meter.show(Status.STOPPING, minutes=0)
        go_on.set()
        error = error_of(await rest(client))
        await meter.at_rest()
        assert (error["code"], error["type"]) == ("meter_closed", "billing_error")
        assert error["top_up"]["url"].endswith("/endpoints/flan-t5/top-ups")
        again = await client.exchange(CHAT)
        assert again.status == 402, "the stream has ended properly: its connection goes on"


@on_both_loops
async def test_a_stream_that_the_server_breaks_off_says_so():
    go_on = asyncio.Event()
    async with (
        upstream(streaming(go_on, EVENT)) as model,
        gateway(model.address) as meter,
    ):
        client = await begun(meter, "/flan")
        go_on.set()
        assert error_of(await rest(client))["code"] == "upstream_unreachable"
        await meter.at_rest()
        assert meter.plane.traffic["flan-t5"].broken == 1


@on_both_loops
async def test_an_event_of_anthropics_form_ends_its_messages():
    go_on = asyncio.Event()
    async with (
        upstream(streaming(go_on, b'event: ping\ndata: {"type": "ping"}\n\n')) as model,
        gateway(model.address) as meter,
    ):
        client = await begun(meter, MESSAGES)
        meter.show(Status.STOPPING, minutes=0)
        go_on.set()
        name, data, _ = (await rest(client)).split(b"\n", 2)
        members = json.loads(data.removeprefix(b"data: "))
    assert name == b"event: error"
    assert (members["type"], members["error"]["type"]) == ("error", "billing_error")
    assert members["code"] == "meter_closed"


@pytest.mark.parametrize(
    ("last", "status", "error"),
    [
        (EVENT, Status.STOPPING, "meter_closed"),
        (EVENT, Status.RUNNING, None),
        (EVENT + b"data: [DONE]\n\n", Status.STOPPING, None),
    ],
)
@on_both_loops
async def test_a_stream_that_ends_with_its_connection_is_whole_unless_the_meter_closed(
    last, status, error
):
    go_on = asyncio.Event()

    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + last)
        await go_on.wait()

    async with upstream(script) as model, gateway(model.address) as meter:
        client = await begun(meter, CHAT, last.count(b"\n\n"))
        if status is Status.STOPPING:
            meter.show(status, minutes=0)
        go_on.set()
        ended = await rest(client)
        await meter.at_rest()
    assert (error_of(ended)["code"] if ended else None) == error


@on_both_loops
async def test_a_stream_of_a_revoked_token_says_so_and_its_connection_ends():
    go_on = asyncio.Event()
    async with (
        upstream(streaming(go_on, EVENT)) as model,
        gateway(model.address) as meter,
    ):
        client = await begun(meter, CHAT)
        meter.revoke("invoke")
        meter.plane.cut("invoke")
        assert error_of(await rest(client))["code"] == "token_refused"
        assert await client.reader.read() == b""
        await meter.at_rest()


@on_both_loops
async def test_an_event_that_was_cut_in_its_middle_says_so_itself():
    go_on = asyncio.Event()
    half = b'data: {"choices": [{"delta": {"content": "On'
    async with upstream(streaming(go_on, EVENT, half)) as model, gateway(model.address) as meter:
        client = await begun(meter, CHAT, 0)
        go_on.set()
        _, broken, last, _ = (await rest(client)).split(b"\n\n")
        await meter.at_rest()
    read = json.loads(broken.removeprefix(b"data: "))
    assert read["choices"] == [{"delta": {"content": "On"}}]
    assert read["error"] == json.loads(last.removeprefix(b"data: "))["error"]
    assert read["error"]["code"] == "upstream_unreachable"


@pytest.mark.parametrize(
    ("half", "end"),
    [(b'event: content\ndata: {"type', b"\nevent: cut\n\n"), (b'data: {"a": 1}\n', b"\n\n")],
)
@on_both_loops
async def test_an_event_that_was_cut_gets_a_name_that_anthropics_clients_do_not_read(half, end):
    go_on = asyncio.Event()
    async with upstream(streaming(go_on, half)) as model, gateway(model.address) as meter:
        client = await begun(meter, MESSAGES, 0)
        go_on.set()
        whole = await rest(client)
        await meter.at_rest()
    assert whole.startswith(half + end + b"event: error\ndata: ")


@pytest.mark.parametrize("half", [b'data: {"choices": []}', EVENT[:-1]])
@on_both_loops
async def test_an_event_that_lacks_its_end_only_is_ended_before_the_error(half):
    go_on = asyncio.Event()
    async with (
        upstream(streaming(go_on, EVENT, half)) as model,
        gateway(model.address) as meter,
    ):
        client = await begun(meter, CHAT, 0)
        go_on.set()
        whole = await rest(client)
        await meter.at_rest()
    assert whole.startswith(EVENT + half + b"\n\n")
    error = error_of(whole.removeprefix(EVENT + half + b"\n\n"))
    assert error["code"] == "upstream_unreachable"


@on_both_loops
async def test_an_event_that_ended_in_a_piece_of_its_own_is_not_spoiled():
    go_on = asyncio.Event()
    pieces = [EVENT[:-1], b"\n"]

    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(HEAD + b"\r\n" + framed(pieces[0]))
        await first_seen.wait()
        await line.send(framed(pieces[1]))
        await go_on.wait()

    first_seen = asyncio.Event()
    async with upstream(script) as model, gateway(model.address) as meter:
        client = await begun(meter, CHAT, 0)
        assert await client.chunk() == pieces[0]
        first_seen.set()
        assert await client.chunk() == pieces[1]
        go_on.set()
        assert error_of((await rest(client)).lstrip(b"\n"))["code"] == "upstream_unreachable"


@on_both_loops
async def test_a_compressed_stream_is_broken_off():
    go_on = asyncio.Event()
    head = HEAD + b"Content-Encoding: gzip\r\n"
    async with (
        upstream(streaming(go_on, b"\x1f\x8b..", head=head)) as model,
        gateway(model.address) as meter,
    ):
        client = await begun(meter, CHAT)
        meter.show(Status.STOPPING, minutes=0)
        go_on.set()
        assert await client.reader.read() == b"", "without the last chunk"
        await meter.at_rest()


@on_both_loops
async def test_a_stream_that_stalls_is_ended_by_an_event():
    go_on = asyncio.Event()
    timeouts = Timeouts(idle_seconds=0.1)
    async with (
        upstream(streaming(go_on, EVENT)) as model,
        gateway(model.address, timeouts=timeouts) as meter,
    ):
        client = await begun(meter, CHAT, 1)
        assert error_of(await rest(client))["code"] == "upstream_timeout"
        go_on.set()


@on_both_loops
async def test_a_client_of_http_1_0_gets_the_last_event_too():
    go_on = asyncio.Event()
    async with (
        upstream(streaming(go_on, EVENT)) as model,
        gateway(model.address) as meter,
    ):
        client = await meter.client()
        await client.send(
            b"POST /flan/v1/chat/completions HTTP/1.0\r\nAuthorization: t-invoke\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
        status, fields = await client.head()
        assert (status, fields["x-accel-buffering"]) == (200, "no")
        assert await client.reader.readexactly(len(EVENT)) == EVENT
        go_on.set()
        assert error_of(await client.reader.read())["code"] == "upstream_unreachable"


@on_both_loops
async def test_a_stream_keeps_what_its_server_says_of_buffering():
    go_on = asyncio.Event()
    go_on.set()

    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(HEAD + b"X-Accel-Buffering: yes\r\n\r\n0\r\n\r\n")

    async with upstream(script) as model, gateway(model.address) as meter:
        reply = await meter.exchange(CHAT)
    assert (reply.fields["x-accel-buffering"], reply.body) == ("yes", b"")


@on_both_loops
async def test_an_answer_that_is_no_stream_says_nothing_of_buffering():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"

    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(head + b"\r\n2\r\n{}\r\n0\r\n\r\n")

    async with upstream(script) as model, gateway(model.address) as meter:
        assert "x-accel-buffering" not in (await meter.exchange(CHAT)).fields
