"""Requests under way while their token is revoked: held ones are refused, others can be cut."""

import asyncio

from parkmeter.core.meter import Status
from tests.support.gateway_at_work import gateway, on_both_loops, until, waiting
from tests.support.scripted_upstream import OK, ServerEnd, answering, upstream

WAIT = "Prefer: wait=60\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"


async def silent(end: ServerEnd) -> None:
    """Take a request and answer nothing."""
    await end.request()
    await end.gone()


@on_both_loops
async def test_a_held_prompt_is_refused_as_soon_as_its_token_is_revoked():
    async with upstream(answering(OK)) as model, gateway() as meter:
        meter.show(Status.STARTING)
        revoked, other = await meter.client(), await meter.client()
        await revoked.ask(fields=WAIT)
        await other.ask(fields=WAIT, token="t-ada")
        await until(lambda: waiting(meter.gate) == 2)
        meter.revoke("invoke")
        refused = await revoked.reply()
        assert (refused.status, refused.json["code"]) == (403, "token_refused")
        assert "parkmeter-seconds-left" not in refused.fields
        meter.show(address=model.address)
        assert (await other.reply()).status == 200


@on_both_loops
async def test_a_held_prompt_of_a_revoked_token_is_not_let_through_when_the_endpoint_serves():
    async with upstream(answering(OK)) as model, gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(fields=WAIT)
        await until(lambda: waiting(meter.gate) == 1)
        meter.book.replace([])
        meter.show(address=model.address)
        assert (await client.reply()).status == 403
        assert model.connections == 0


@on_both_loops
async def test_a_stream_goes_on_after_the_revocation_until_it_is_cut():
    async with upstream(answering(STREAM)) as model, gateway(model.address) as meter:
        mine, other = await meter.client(), await meter.client()
        for client, token in ((mine, "t-invoke"), (other, "t-ada")):
            await client.ask(token=token)
            assert (await client.head())[0] == 200
            assert await client.chunk() == b"first"
        meter.revoke("invoke")
        meter.plane.cut("another")
        assert meter.gate.in_flight("flan-t5") == 2
        meter.plane.cut("invoke")
        assert await mine.reader.read() == b"", "broken off, without the last chunk"
        assert meter.gate.in_flight("flan-t5") == 1
        other.leave()


@on_both_loops
async def test_a_prompt_without_an_answer_yet_is_refused_when_it_is_cut():
    async with upstream(silent) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask()
        await until(lambda: meter.gate.in_flight("flan-t5") == 1)
        meter.revoke("invoke")
        meter.plane.cut("invoke")
        reply = await client.reply()
        assert (reply.status, reply.fields["connection"]) == (403, "close")
        await meter.at_rest()


@on_both_loops
async def test_a_request_with_another_token_behind_it_saves_no_stream_from_being_cut():
    async with upstream(answering(STREAM)) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask()
        assert (await client.head())[0] == 200
        assert await client.chunk() == b"first"
        await client.ask("/health", None, method="GET", token="t-ada")
        (connection,) = meter.connections
        await until(lambda: connection.cached_token.token.id == "ada")
        meter.plane.cut("ada")
        meter.plane.cut("another")
        await asyncio.sleep(0)
        assert meter.gate.in_flight("flan-t5") == 1
        meter.plane.cut("invoke")
        assert await client.reader.read() == b"", "broken off, without the last chunk"
