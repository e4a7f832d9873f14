"""Answers of the data plane, state by state, and the order of its checks."""

import asyncio
import re
from datetime import timedelta

import pytest

from parkmeter.core.meter import Meter, Status
from parkmeter.core.status import View
from parkmeter.web.routes import Limits
from tests.support.gateway_at_work import NOON, gateway, on_both_loops
from tests.support.scripted_upstream import OK, ServerEnd, answering, upstream


@on_both_loops
async def test_an_open_and_serving_endpoint_answers_for_itself():
    answer = (
        b"HTTP/1.1 418 Short and stout\r\nX-Model: teapot\r\nDate: Mon, 01 Mar 2027\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nno \x00\xff"
    )
    async with upstream(answering(answer)) as model, gateway(model.address) as meter:
        reply = await meter.exchange()
    assert (reply.status, reply.body) == (418, b"no \x00\xff")
    assert reply.fields == {
        "x-model": "teapot",
        "date": "Mon, 01 Mar 2027",
        "content-type": "text/plain",
        "content-length": "5",
        "parkmeter-seconds-left": "3600",
        "parkmeter-expires-at": "2027-03-01T13:00:00Z",
    }


@on_both_loops
async def test_a_closed_meter_is_a_402_with_the_price_and_the_exact_call():
    async with gateway() as meter:
        meter.show(Status.STOPPED, minutes=0)
        reply = await meter.exchange()
    assert reply.status == 402
    assert reply.fields["content-type"] == "application/problem+json"
    assert reply.fields["parkmeter-seconds-left"] == "0"
    assert reply.json["code"] == "meter_closed"
    assert reply.json["price_per_hour"] == 1.10
    url = "http://gateway.test:8080/endpoints/flan-t5/top-ups"
    assert reply.json["top_up"] == {
        "method": "POST",
        "url": url,
        "body": {"minutes": 30},
        "curl": f"curl '{url}' -H 'Authorization: '$TOKEN -d minutes=30",
    }
    assert "$0.55 at $1.10 an hour" in reply.json["detail"]
    assert b"t-invoke" not in reply.body


@on_both_loops
async def test_an_unknown_price_is_not_a_price_of_zero():
    async with gateway() as meter:
        meter.show(Status.STOPPED, minutes=0, name="other")
        reply = await meter.exchange("/other")
    assert reply.json["price_per_hour"] is None
    assert re.search(r"\$\d", reply.json["detail"]) is None


@on_both_loops
async def test_a_host_header_that_is_no_host_is_not_repeated():
    async with gateway() as meter:
        meter.show(Status.STOPPED, minutes=0)
        client = await meter.client()
        await client.send(
            b"POST /flan HTTP/1.1\r\nHost: x'; rm -rf /\r\nAuthorization: t-invoke\r\n\r\n"
        )
        reply = await client.reply()
    assert reply.json["top_up"]["url"].startswith(f"http://127.0.0.1:{meter.port}/")


@on_both_loops
async def test_at_the_close_itself_the_meter_is_closed_while_others_drain():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await closed.wait()
        await line.send(b"done")

    closed = asyncio.Event()
    async with upstream(script) as model, gateway(model.address) as meter:
        early = await meter.client()
        await early.ask()
        await early.head()
        meter.clock.at = NOON + timedelta(minutes=60) - timedelta(microseconds=1)
        assert meter.gate.standing("flan-t5").name == "SERVING"
        meter.clock.at = NOON + timedelta(minutes=60)
        assert (await meter.exchange()).status == 402
        assert (meter.gate.in_flight("flan-t5"), meter.idle) == (1, [])
        closed.set()
        assert await early.reader.readexactly(4) == b"done"
        await meter.at_rest()
        assert meter.idle == ["flan-t5"]


@pytest.mark.parametrize(
    ("status", "reason", "retry_in", "retry_after"),
    [
        (Status.STARTING, "loading weights", None, "5"),
        (Status.STOPPING, "the one before is stopping", None, "5"),
        (Status.FAILED, "CUDA out of memory", 17.2, "18"),
        (Status.FAILED, "CUDA out of memory", -3, "1"),
        (Status.FAILED, "no such model", None, None),
        (Status.RUNNING, "its address is not known yet", None, "5"),
    ],
)
@on_both_loops
async def test_an_open_meter_that_does_not_serve_is_a_503_with_the_reason(
    status, reason, retry_in, retry_after
):
    async with gateway() as meter:
        retry_at = None if retry_in is None else NOON + timedelta(seconds=retry_in)
        meter.show(status, reason=reason, retry_at=retry_at)
        reply = await meter.exchange()
    assert reply.status == 503
    assert reply.fields.get("retry-after") == retry_after
    assert reason in reply.json["detail"]
    assert ("Prefer: wait" in reply.json["detail"]) == (status is not Status.FAILED)
    assert reply.json["status_shown"] == status.value
    assert reply.fields["parkmeter-seconds-left"] == "3600"


@on_both_loops
async def test_a_meter_that_never_held_time_shows_no_expiry():
    async with gateway() as meter:
        meter.gate.show(View.of(Meter("flan-t5"), NOON))
        reply = await meter.exchange()
    assert reply.status == 402
    assert reply.json["expires_at"] is None
    assert not [name for name in reply.fields if name.startswith("parkmeter-")]


@on_both_loops
async def test_a_gateway_that_knows_no_meter_yet_asks_to_retry_at_once():
    async with gateway() as meter:
        reply = await meter.exchange()
    assert (reply.status, reply.fields["retry-after"]) == (503, "1")
    assert "parkmeter-expires-at" not in reply.fields


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (None, 401, "token_missing"),
        ("t-unknown", 403, "token_refused"),
        ("t-late", 403, "token_refused"),
        ("sha256:00", 403, "token_refused"),
        ("t-purse", 403, "scope_missing"),
        ("t-elsewhere", 403, "scope_missing"),
    ],
)
@on_both_loops
async def test_the_token_is_checked_before_anything_else(token, status, code):
    async with gateway() as meter:
        meter.show(Status.STOPPED, minutes=0)
        reply = await meter.exchange(method="DELETE", body=b"x" * 20_000_000, token=token)
    assert (reply.status, reply.json["code"]) == (status, code)
    assert "parkmeter-expires-at" not in reply.fields
    if code == "scope_missing":
        assert reply.json["scope"] == "invoke"
    if status == 401:
        assert reply.fields["www-authenticate"] == "Bearer"


@on_both_loops
async def test_two_tokens_are_refused():
    async with gateway() as meter:
        reply = await meter.exchange(fields="Authorization: t-late\r\n")
    assert (reply.status, reply.json["field"]) == (400, "Authorization")


@on_both_loops
async def test_a_declared_length_over_the_limit_is_refused_before_the_meter_is_read():
    async with gateway(limits=Limits(max_body_bytes=10)) as meter:
        meter.show(Status.STOPPED, minutes=0)
        refused = await meter.exchange(body=b"x" * 11)
        passed = await meter.exchange(body=b"x" * 10)
    assert (refused.status, refused.json["limit_bytes"], passed.status) == (413, 10, 402)
    assert refused.fields["parkmeter-seconds-left"] == "0"


@on_both_loops
async def test_prompts_are_posted():
    async with gateway() as meter:
        for target in ("/flan", "/endpoints/flan-t5/invocations"):
            reply = await meter.exchange(target, None, method="GET")
            assert (reply.status, reply.fields["allow"]) == (405, "POST")


@on_both_loops
async def test_an_unknown_endpoint_is_a_404_that_names_the_others():
    async with gateway() as meter:
        reply = await meter.exchange("/endpoints/bert/invocations")
        hidden = await meter.exchange("/endpoints/bert/invocations", token=None)
        partly = await meter.exchange("/endpoints/bert/invocations", token="t-elsewhere")
    assert (reply.status, reply.json["endpoints"]) == (404, ["flan-t5", "other"])
    assert hidden.status == 401
    assert (partly.status, partly.json["endpoints"]) == (404, ["other"])


@on_both_loops
async def test_paths_of_others_are_not_served():
    async with gateway() as meter:
        for target in ("/", "/flank", "/endpoints", "/endpoints/flan-t5", "//flan", "/fl%61n"):
            assert (await meter.exchange(target)).status == 404


@pytest.mark.parametrize("path", ["..", "../x", "a/../b", ".", "%2e%2E/x", "a/.%2e"])
@on_both_loops
async def test_a_path_that_climbs_is_refused(path):
    async with gateway() as meter:
        assert (await meter.exchange(f"/flan/{path}")).status == 400


@pytest.mark.parametrize("protocol", ["websocket", "IRC/6.9"])
@on_both_loops
async def test_an_upgrade_is_refused_politely(protocol):
    async with gateway() as meter:
        fields = f"Connection: keep-alive, Upgrade\r\nUpgrade: {protocol}\r\n"
        reply = await meter.exchange("/flan/v1", None, method="GET", fields=fields)
    assert (reply.status, reply.json["code"]) == (501, "upgrade_not_supported")


@on_both_loops
async def test_an_unknown_transfer_coding_is_refused():
    async with gateway() as meter:
        fields = "Transfer-Encoding: gzip, chunked\r\n"
        reply = await meter.exchange(body=None, fields=fields)
    assert reply.status == 501


@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "X: a\r\n folded: line\r\n",
        "X: nul\x00\r\n",
        "X: bare\rreturn\r\n",
        "X : y\r\n",
    ],
)
@on_both_loops
async def test_an_ambiguous_request_never_reaches_a_model(fields):
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=None, fields=fields)
        status, _ = await client.head()
    assert (status, model.connections) == (400, 0)


@on_both_loops
async def test_headers_larger_than_model_servers_read_are_refused():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        reply = await meter.exchange(fields=f"X-Large: {'x' * 70_000}\r\n")
    assert (reply.status, model.connections) == (431, 0)


@on_both_loops
async def test_the_expiry_sent_with_an_answer_is_the_one_at_that_moment():
    async def script(line: ServerEnd) -> None:
        await line.request()
        meter.clock.at += timedelta(minutes=5)
        meter.show(address=model.address, minutes=90)
        await line.send(OK)

    async with upstream(script) as model, gateway(model.address) as meter:
        reply = await meter.exchange()
    assert reply.fields["parkmeter-seconds-left"] == "5400"
