"""Held requests for a stream whose answer begins while their endpoint starts (`loading`)."""

import asyncio
import json
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from parkmeter.core.meter import Status
from parkmeter.proxy import loading
from parkmeter.web.routes import Limits, Loading
from tests.support.gateway_at_work import (
    NOON,
    Client,
    Gateway,
    gateway,
    on_both_loops,
    until,
    waiting,
)
from tests.support.scripted_upstream import OK, ServerEnd, answering, upstream

CHAT = "/flan/v1/chat/completions"
ASKED = b'{"model": "qwen", "messages": [], "stream": true}'
HELD = Limits(wait_seconds=50)
COMMENTS: dict[str, Any] = {"limits": HELD, "loading": Loading.COMMENTS}
MESSAGES: dict[str, Any] = {"limits": HELD, "loading": Loading.MESSAGES}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = b'data: {"choices": []}\n\ndata: [DONE]\n\n'
STREAM = b"%b%x\r\n%b\r\n0\r\n\r\n" % (HEAD, len(EVENTS), EVENTS)


def starting(meter: Gateway, seconds: float = 34) -> None:
    meter.plane.usual_starts = {"flan-t5": timedelta(seconds=70)}
    meter.show(Status.STARTING, started_at=NOON - timedelta(seconds=seconds))


async def begun(meter: Gateway, path: str = CHAT, body: bytes = ASKED, **asked: Any) -> Client:
    """Return a client that has read the head of an answer which began early."""
    client = await meter.client()
    await client.ask(path, body, **asked)
    status, fields = await client.head()
    assert (status, fields["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (fields["x-accel-buffering"], fields["cache-control"]) == ("no", "no-cache")
    assert fields["parkmeter-seconds-left"] == "3600"
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
async def test_comments_come_while_it_starts_and_then_the_models_own_events(monkeypatch):
    monkeypatch.setattr(loading, "EVERY_SECONDS", 0.01)
    async with upstream(answering(STREAM)) as model, gateway(**COMMENTS) as meter:
        starting(meter)
        client = await begun(meter)
        for _ in range(3):
            assert await client.chunk() == b": flan-t5 is starting: 0:34 of usually 1:10\n\n"
        meter.show(address=model.address)
        whole = await rest(client)
        assert whole.endswith(EVENTS)
        assert set(whole.removesuffix(EVENTS).split(b"\n\n")) <= {
            b"",
            b": flan-t5 is starting: 0:34 of usually 1:10",
        }
        await meter.at_rest()
        assert (await client.exchange(CHAT)).status == 200, "the connection goes on"


@on_both_loops
async def test_a_chat_shows_a_person_how_far_the_start_is():
    async with upstream(answering(STREAM)) as model, gateway(**MESSAGES) as meter:
        starting(meter)
        client = await begun(meter)
        first = json.loads((await client.chunk()).removeprefix(b"data: "))
        (choice,) = first["choices"]
        assert choice["delta"] == {
            "role": "assistant",
            "reasoning_content": "flan-t5 is starting: 0:34 of usually 1:10\n",
        }
        assert first["model"] == "qwen"
        meter.show(address=model.address)
        assert await rest(client) == EVENTS


@on_both_loops
async def test_messages_of_anthropics_are_pinged():
    async with upstream(answering(STREAM)) as model, gateway(**MESSAGES) as meter:
        starting(meter)
        client = await begun(meter, "/flan/v1/messages")
        assert await client.chunk() == b'event: ping\ndata: {"type": "ping"}\n\n'
        meter.show(address=model.address)
        assert await rest(client) == EVENTS


@on_both_loops
async def test_a_start_whose_begin_is_unknown_shows_its_reason():
    async with gateway(**COMMENTS) as meter:
        meter.show(Status.STARTING, reason="waiting for gpu0")
        client = await begun(meter)
        assert await client.chunk() == b": flan-t5: waiting for gpu0\n\n"
        client.leave()
        await meter.at_rest()


@on_both_loops
async def test_a_request_for_no_stream_waits_for_its_own_head():
    async with upstream(answering(OK)) as model, gateway(**COMMENTS) as meter:
        starting(meter)
        client = await meter.client()
        await client.ask(CHAT, b'{"messages": []}')
        await until(lambda: waiting(meter.gate) == 1)
        meter.show(address=model.address)
        reply = await client.reply()
        assert (reply.status, reply.body) == (200, b"{}")


@pytest.mark.parametrize(
    ("path", "fields"), [(CHAT, "Content-Encoding: gzip\r\n"), (CHAT, "Prefer: wait=0\r\n")]
)
@on_both_loops
async def test_a_body_that_cannot_be_read_and_one_that_does_not_wait_get_a_status(path, fields):
    async with gateway(limits=Limits(wait_seconds=1), loading=Loading.COMMENTS) as meter:
        starting(meter)
        reply = await meter.exchange(path, ASKED, fields=fields)
        assert (reply.status, reply.json["code"]) == (503, "not_serving")


@on_both_loops
async def test_a_large_body_is_read_whole_for_its_last_member():
    asked = b'{"messages": "' + b"x" * 900_000 + b'", "stream": true}'
    got = []

    async def script(line: ServerEnd) -> None:
        got.append((await line.request())[1])
        await line.send(STREAM)

    async with upstream(script) as model, gateway(**COMMENTS) as meter:
        starting(meter)
        client = await begun(meter, body=asked)
        meter.show(address=model.address)
        assert (await rest(client)).endswith(EVENTS)
    assert got == [asked]


@pytest.mark.parametrize("path", [CHAT, "/v1/chat/completions"])
@on_both_loops
async def test_a_body_that_is_too_large_to_be_read_ahead_waits_for_its_own_head(path):
    asked = b'{"stream": true, "model": "flan-t5", "messages": "' + b"x" * 3_000_000 + b'"}'

    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(OK)

    async with upstream(script) as model, gateway(**COMMENTS) as meter:
        starting(meter)
        client = await meter.client()
        asking = asyncio.create_task(client.ask(path, asked))
        await until(lambda: waiting(meter.gate) == 1)
        meter.show(address=model.address)
        assert (await client.reply()).body == b"{}"
        await asking


@on_both_loops
async def test_the_model_is_asked_for_an_answer_that_is_not_compressed():
    seen = []

    async def script(line: ServerEnd) -> None:
        seen.append((await line.request())[0]["Accept-Encoding"])
        await line.send(STREAM)

    async with upstream(script) as model, gateway(**COMMENTS) as meter:
        starting(meter)
        client = await begun(meter, fields="Accept-Encoding: gzip, br\r\n")
        meter.show(address=model.address)
        await rest(client)
        ordinary = await meter.exchange(CHAT, ASKED, fields="Accept-Encoding: gzip, br\r\n")
        assert ordinary.status == 200
    assert seen == [None, "gzip, br"]


# ── What comes instead of a stream ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            b'400 Bad\r\nContent-Length: 45\r\n\r\n{"error": {"message": "too long", "code": 4}}',
            {"message": "too long", "code": 4, "status": 400},
        ),
        (
            b"500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n4\r\noops\r\n0\r\n\r\n",
            {"message": "oops", "code": "model_refused", "type": "api_error"},
        ),
        (
            b"200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            {"code": "no_stream"},
        ),
        (
            HEAD.removeprefix(b"HTTP/1.1 ")[:-2] + b"Content-Encoding: gzip\r\n\r\n0\r\n\r\n",
            {"code": "no_stream"},
        ),
        (b"204 No Content\r\n\r\n", {"code": "no_stream"}),
        (b"", {"code": "upstream_unreachable"}),
    ],
)
@on_both_loops
async def test_whatever_the_model_answers_instead_is_the_streams_own_error(answer, expected):
    async def script(line: ServerEnd) -> None:
        await line.request()
        if answer:
            await line.send(b"HTTP/1.1 " + answer)
            await line.gone()

    async with upstream(script) as model, gateway(**COMMENTS) as meter:
        starting(meter)
        client = await begun(meter)
        await client.chunk()
        meter.show(address=model.address)
        error = error_of(await rest(client))
        await meter.at_rest()
    assert expected.items() <= error.items()


@on_both_loops
async def test_a_close_while_it_starts_is_the_streams_own_error():
    async with gateway(**COMMENTS) as meter:
        starting(meter)
        client = await begun(meter)
        await client.chunk()
        meter.show(Status.STOPPING, minutes=0)
        error = error_of(await rest(client))
        assert (error["code"], error["type"]) == ("meter_closed", "billing_error")
        assert (await client.exchange(CHAT, ASKED)).status == 402


@on_both_loops
async def test_a_start_that_fails_is_the_streams_own_error_at_once():
    async with gateway(**COMMENTS) as meter:
        starting(meter)
        client = await begun(meter)
        await client.chunk()
        meter.show(Status.FAILED, reason="out of memory", retry_at=NOON + timedelta(seconds=20))
        error = error_of(await rest(client))
    assert error["code"] == "not_serving"
    assert "out of memory" in error["message"]


@on_both_loops
async def test_a_start_that_has_failed_before_is_answered_with_a_status():
    async with gateway(limits=Limits(wait_seconds=1), loading=Loading.COMMENTS) as meter:
        meter.show(Status.FAILED, reason="no memory", retry_at=NOON + timedelta(seconds=20))
        assert (await meter.exchange(CHAT, ASKED)).status == 503


@on_both_loops
async def test_a_revoked_token_ends_a_stream_that_waits():
    async with gateway(**COMMENTS) as meter:
        starting(meter)
        client = await begun(meter)
        await client.chunk()
        meter.revoke("invoke")
        assert error_of(await rest(client))["code"] == "token_refused"
        await meter.at_rest()


@on_both_loops
async def test_a_wait_that_was_asked_for_ends_in_the_streams_own_error():
    async with gateway(**COMMENTS) as meter:
        starting(meter)
        client = await begun(meter, fields="Prefer: wait=1\r\n")
        await client.chunk()
        assert error_of(await rest(client))["code"] == "not_serving"


@on_both_loops
async def test_a_stream_that_waits_is_held_as_long_as_any_request_may_be():
    limits = Limits(wait_seconds=0.05, max_wait_seconds=60)
    async with (
        upstream(answering(STREAM)) as model,
        gateway(limits=limits, loading=Loading.COMMENTS) as meter,
    ):
        starting(meter)
        client = await begun(meter)
        await client.chunk()
        await asyncio.sleep(0.1)
        meter.show(address=model.address)
        assert await rest(client) == EVENTS


@on_both_loops
async def test_a_client_that_leaves_while_it_starts_is_forgotten(monkeypatch):
    monkeypatch.setattr(loading, "EVERY_SECONDS", 0.01)
    async with gateway(**COMMENTS) as meter:
        starting(meter)
        client = await begun(meter)
        await client.chunk()
        client.leave()
        await meter.at_rest()


@on_both_loops
async def test_a_gateway_that_ends_ends_the_streams_that_wait():
    async with gateway(**COMMENTS) as meter:
        starting(meter)
        client = await begun(meter)
        await client.chunk()
        meter.plane.close()
        assert error_of(await rest(client))["code"] == "not_serving"


@on_both_loops
async def test_the_answer_begins_only_after_the_waking():
    async with (
        upstream(answering(STREAM)) as model,
        gateway(wake=lambda _name, _token: woken(), **COMMENTS) as meter,
    ):

        def woken() -> None:
            starting(meter)

        meter.show(Status.STOPPED, minutes=0)
        assert (await meter.exchange(CHAT, ASKED)).status == 402, "it may not wake it"
        client = await begun(meter, token="t-ada")
        await client.chunk()
        meter.show(address=model.address)
        assert await rest(client) == EVENTS


@on_both_loops
async def test_a_prompt_that_wakes_and_does_not_wait_is_answered_with_a_status():
    def woken() -> None:
        starting(meter)  # shown, while the attempt itself is not over
        time.sleep(0.1)

    async with gateway(wake=lambda *_: woken(), **COMMENTS) as meter:
        meter.show(Status.STOPPED, minutes=0)
        reply = await meter.exchange(CHAT, ASKED, token="t-ada", fields="Prefer: wait=0\r\n")
        assert (reply.status, reply.json["code"]) == (503, "not_serving")


@on_both_loops
async def test_the_end_of_the_waking_does_not_shorten_the_wait_of_a_stream_that_has_begun():
    begun_early = threading.Event()
    limits = Limits(wait_seconds=0.05, max_wait_seconds=60)

    def woken() -> None:
        starting(meter)  # committed and shown, while the attempt itself is not over
        begun_early.wait(5)

    async with (
        upstream(answering(STREAM)) as model,
        gateway(wake=lambda *_: woken(), limits=limits, loading=Loading.COMMENTS) as meter,
    ):
        meter.show(Status.STOPPED, minutes=0)
        client = await begun(meter, token="t-ada")
        await client.chunk()
        begun_early.set()
        await until(lambda: not meter.plane._waker._attempts)
        await asyncio.sleep(0.1)
        meter.show(address=model.address)
        assert await rest(client) == EVENTS


@on_both_loops
async def test_a_request_at_the_one_address_for_all_endpoints_is_shown_the_start_too():
    asked = ASKED.replace(b'"qwen"', b'"flan-t5"')
    async with upstream(answering(STREAM)) as model, gateway(**MESSAGES) as meter:
        starting(meter)
        client = await begun(meter, "/v1/chat/completions", asked)
        assert b"0:34 of usually 1:10" in await client.chunk()
        meter.show(address=model.address)
        assert (await rest(client)).endswith(EVENTS)
        meter.show(Status.STARTING)
        client = await begun(meter, "/v1/chat/completions", asked)
        await client.chunk()
        meter.show(Status.STOPPING, minutes=0)
        assert error_of(await rest(client))["code"] == "meter_closed"
        assert meter.plane.held_bytes.held == 0
