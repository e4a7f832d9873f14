"""Bodies that come slowly: a least rate after a grace, and never for what the server delays."""

import asyncio

import pytest

from parkmeter.proxy.request_body import GRACE_SECONDS, LEAST_RATE, RequestBody
from tests.support.gateway_at_work import gateway, on_both_loops, until
from tests.support.scripted_upstream import OK, ServerEnd, answering, upstream


def left(received: int, elapsed: float) -> float:
    body = RequestBody(b"1000000", awaits_continue=False)
    if received:
        body.add(b"x" * received)
    return body.time_left(elapsed)


def test_a_body_has_its_grace_whatever_comes():
    assert left(0, 0) == GRACE_SECONDS
    assert left(1, GRACE_SECONDS - 1) > 0


def test_after_the_grace_it_has_the_time_that_its_bytes_bought():
    assert left(1, GRACE_SECONDS + 1) < 0
    assert left(int(100 * LEAST_RATE), GRACE_SECONDS + 99) > 0
    assert left(int(100 * LEAST_RATE), GRACE_SECONDS + 101) < 0


@pytest.fixture
def _little_grace(monkeypatch):
    monkeypatch.setattr("parkmeter.proxy.request_body.GRACE_SECONDS", 0.5)


@pytest.mark.usefixtures("_little_grace")
@on_both_loops
async def test_a_prompt_that_drips_is_a_408_and_its_permit_is_given_back():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=None, fields="Content-Length: 1000\r\n")

        async def drip() -> None:
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        reply = await client.reply()
        dripping.cancel()
        assert (reply.status, reply.json["code"]) == (408, "upload_stalled")
        assert "1,000 bytes a second" in reply.json["detail"]
        await until(lambda: not meter.gate.in_flight("flan-t5"))


@pytest.mark.usefixtures("_little_grace")
@on_both_loops
async def test_a_prompt_that_comes_slowly_but_steadily_is_answered():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=None, fields="Content-Length: 10000\r\n")
        for _ in range(10):
            await client.send(b"x" * 1000)
            await asyncio.sleep(0.1)
        assert (await client.reply()).status == 200


@pytest.mark.usefixtures("_little_grace")
@on_both_loops
async def test_a_model_server_that_reads_slowly_is_not_held_against_the_client():
    size = 8_000_000

    async def script(end: ServerEnd) -> None:
        head = await end.head()
        await asyncio.sleep(1.5)
        await end.body(head)
        await end.send(OK)

    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=None, fields=f"Content-Length: {size}\r\n")
        await client.send(b"x" * (size - 1))
        await asyncio.sleep(0.1)
        await client.send(b"x")
        assert (await client.reply()).status == 200
