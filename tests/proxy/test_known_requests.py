"""Requests that go past the parser because their head is known: what still holds for each."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import openai
import pytest

from parkmeter.core.meter import Status
from parkmeter.proxy.turns import Turns
from parkmeter.web.headers import OwnHeaders
from parkmeter.web.public_address import PublicAddress
from parkmeter.web.routes import Limits, Routes, Timeouts
from tests.support.gateway_at_work import (
    NOON,
    Client,
    Gateway,
    gateway,
    on_both_loops,
    tokens,
    until,
)
from tests.support.scripted_upstream import OK, Received, ServerEnd, answering, upstream

BODY = b'{"text_inputs": "hi"}'
HEAD = (
    b"POST /flan HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: t-invoke\r\n"
    b"Content-Length: %d\r\n\r\n"
)
PROMPT = HEAD % len(BODY) + BODY


class CountedParser:
    """A connection's parser, and the bytes it was fed."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self.fed = b""

    def feed_data(self, data: bytes) -> None:
        self.fed += data
        self._parser.feed_data(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


class RecordingModel:
    """A model server's script that keeps the requests it got."""

    def __init__(self, answer: bytes = OK) -> None:
        self.got: list[tuple[Received, bytes]] = []
        self._answer = answer

    async def __call__(self, end: ServerEnd) -> None:
        try:
            while True:
                self.got.append(await end.request())
                await end.send(self._answer)
        except asyncio.IncompleteReadError:
            return


async def known(meter: Gateway, prompt: bytes = PROMPT) -> tuple[Client, CountedParser]:
    """Return a client whose connection knows the head of this prompt, and its counted parser."""
    client = await meter.client()
    await client.send(prompt)
    await client.reply()
    connection = meter.connections[-1]
    connection.parser = parser = CountedParser(connection.parser)
    return client, parser


@on_both_loops
async def test_a_repeated_prompt_is_not_parsed_and_arrives_as_the_first():
    model_script = RecordingModel()
    async with upstream(model_script) as model, gateway(model.address) as meter:
        client, parser = await known(meter)
        longer = BODY + b" " * 1000
        for body in (BODY, longer):
            await client.send(HEAD % len(body) + body)
            assert (await client.reply()).status == 200
        assert parser.fed == b""
        (first, _), (second, body), (third, more) = model_script.got
        assert first.raw == second.raw
        assert (body, more) == (BODY, longer)
        assert third["Content-Length"] == str(len(longer))
        traffic = meter.plane.traffic["flan-t5"]
        assert (traffic.admitted, traffic.statuses[2]) == (3, 3)


class NoTurnAtOnce(Turns):
    """Turns that each request has to wait for, as in a crowd."""

    def take(self) -> bool:
        self._schedule()
        return False


@on_both_loops
async def test_a_head_is_known_although_its_request_had_to_wait_for_its_turn():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        await until(lambda: meter.connections)
        connection: Any = meter.connections[-1]
        connection._server.turns = NoTurnAtOnce()
        await client.send(PROMPT)
        assert (await client.reply()).status == 200
        connection.parser = parser = CountedParser(connection.parser)
        await client.send(PROMPT)
        assert (await client.reply()).status == 200
        assert parser.fed == b""
        assert not connection._waiting


@on_both_loops
async def test_a_stranger_who_had_to_wait_for_a_turn_fills_no_memo():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        await until(lambda: meter.connections)
        connection: Any = meter.connections[-1]
        connection._server.turns = NoTurnAtOnce()
        for token in (b"t-unknown", b"t-purse"):
            await client.send(PROMPT.replace(b"t-invoke", token))
            assert (await client.reply()).status in {401, 403}
        assert not len(connection._memo)
        assert not connection._waiting


@on_both_loops
async def test_without_a_memo_every_byte_is_parsed():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        meter.plane.memo = False
        client, parser = await known(meter)
        await client.send(PROMPT)
        assert (await client.reply()).status == 200
        assert parser.fed == PROMPT


@on_both_loops
async def test_a_known_prompt_whose_head_is_in_two_reads_or_has_another_behind_it_is_parsed():
    model_script = RecordingModel()
    async with upstream(model_script) as model, gateway(model.address) as meter:
        client, parser = await known(meter)
        for cut in (1, 20, 30, len(PROMPT) - len(BODY) - 3, len(PROMPT) - len(BODY) - 1):
            await client.send(PROMPT[:cut])
            await asyncio.sleep(0.005)
            await client.send(PROMPT[cut:])
            assert (await client.reply()).status == 200
        await client.send(PROMPT * 3)
        assert [(await client.reply()).status for _ in range(3)] == [200] * 3
        assert parser.fed == PROMPT * 8
        await client.send(PROMPT)
        assert (await client.reply()).status == 200
        assert parser.fed == PROMPT * 8
        assert {body for _, body in model_script.got} == {BODY}


@on_both_loops
async def test_the_body_of_a_known_prompt_is_counted_as_it_comes():
    model_script = RecordingModel()
    async with upstream(model_script) as model, gateway(model.address) as meter:
        client, parser = await known(meter)
        begin = len(PROMPT) - len(BODY)
        for cuts in ((begin,), (begin + 1,), (begin, begin + 5, len(PROMPT) - 1)):
            for left, right in pairwise((0, *cuts, len(PROMPT))):
                await client.send(PROMPT[left:right])
                await asyncio.sleep(0.005)
            assert (await client.reply()).status == 200
        assert parser.fed == b""
        await client.send(PROMPT[:begin])
        await asyncio.sleep(0.005)
        await client.send(BODY + PROMPT[:20])
        assert (await client.reply()).status == 200
        await client.send(PROMPT[20:])
        assert (await client.reply()).status == 200
        assert parser.fed == PROMPT
        assert {body for _, body in model_script.got} == {BODY}


@on_both_loops
async def test_a_known_prompt_whose_body_does_not_come_is_a_408():
    hurry = Timeouts(upload_seconds=0.1)
    async with upstream(answering(OK)) as model, gateway(model.address, timeouts=hurry) as meter:
        for sent in (PROMPT[: -len(BODY)], PROMPT[:-1]):
            client, _ = await known(meter)
            await client.send(sent)
            reply = await client.reply()
            assert (reply.status, reply.fields["connection"]) == (408, "close")
            await client.send(b"x" * 100)  # read and dropped
            assert await client.reader.read() == b""


@on_both_loops
async def test_a_known_prompt_that_is_refused_before_its_body_ends_its_connection():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client, parser = await known(meter)
        meter.show(Status.RUNNING, model.address, minutes=-1)
        await client.send(PROMPT[: -len(BODY)])
        reply = await client.reply()
        assert (reply.status, reply.fields["connection"]) == (402, "close")
        await client.send(BODY)
        assert await client.reader.read() == b""
        assert parser.fed == b""


@on_both_loops
async def test_what_comes_while_a_known_prompt_is_answered_waits_for_its_turn():
    go_on = asyncio.Event()

    async def slow(end: ServerEnd) -> None:
        while True:
            await end.request()
            await go_on.wait()
            await end.send(OK)

    async with upstream(slow) as model, gateway(model.address) as meter:
        go_on.set()
        client, _ = await known(meter)
        go_on.clear()
        await client.send(PROMPT)
        await asyncio.sleep(0.01)
        await client.send(PROMPT + b"nonsense\r\n\r\n")
        await asyncio.sleep(0.01)
        go_on.set()
        assert [(await client.reply()).status for _ in range(3)] == [200, 200, 400]
        assert await client.reader.read() == b""


@on_both_loops
async def test_nonsense_behind_a_known_prompt_is_answered_in_the_dialect_of_its_path():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        chat = PROMPT.replace(b"/flan", b"/flan/v1/chat/completions")
        client, parser = await known(meter, chat)
        await client.send(PROMPT)
        assert (await client.reply()).status == 200
        await client.send(chat)
        assert (await client.reply()).status == 200
        assert parser.fed == PROMPT
        await client.send(b"nonsense\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, "error" in reply.json) == (400, True)


@on_both_loops
async def test_the_client_of_openai_is_parsed_once():
    chat = b'{"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}'
    answer = OK.replace(b"Length: 2\r\n\r\n{}", b"Length: %d\r\n\r\n%b" % (len(chat), chat))
    models = {"models": ("flan-t5",)}
    async with upstream(answering(answer)) as model, gateway(model.address, **models) as meter:
        base = f"http://127.0.0.1:{meter.port}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="t-invoke") as client:
            for number in range(3):
                said: Any = [{"role": "user", "content": "x" * number}]
                await client.chat.completions.create(model="flan-t5", messages=said)
                (connection,) = meter.connections
                if not number:
                    connection.parser = parser = CountedParser(connection.parser)
        assert parser.fed == b""


# ── What may change ──────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_a_known_prompt_of_a_revoked_token_is_refused_and_its_head_forgotten():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client, parser = await known(meter)
        meter.revoke("invoke")
        await client.send(PROMPT)
        assert (await client.reply()).status == 403
        assert parser.fed == PROMPT
        assert len(meter.connections[-1]._memo) == 0


@on_both_loops
async def test_a_known_prompt_of_a_token_that_lost_its_endpoint_is_refused():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client, _ = await known(meter)
        meter.book.replace([replace(tokens()[0], endpoints=frozenset({"other"}))])
        await client.send(PROMPT)
        assert (await client.reply()).status == 403


@on_both_loops
async def test_a_known_prompt_of_a_token_that_has_expired_is_refused():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        meter.book.replace([replace(tokens()[0], expires_at=NOON + timedelta(minutes=1))])
        client, parser = await known(meter)
        meter.clock.at += timedelta(minutes=1)
        await client.send(PROMPT)
        assert (await client.reply()).status == 403
        assert parser.fed == b""


CHANGES = {
    "own headers": {"own_headers": OwnHeaders.of({"X-Own": "1"}, ["accept"])},
    "cookies": {"cookies": True},
    "the path": {"invocations_path": "/other"},
    "paths": {"paths": ("/none",)},
    "a limit": {"limits": Limits(max_body_bytes=5)},
    "one place": {"limits": Limits(max_in_flight=1)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@on_both_loops
async def test_after_a_reload_a_known_prompt_is_treated_as_any_other(change):
    model_script = RecordingModel()
    prompt = PROMPT.replace(b"Host", b"Accept: */*\r\nCookie: a=b\r\nHost", 1)
    async with upstream(model_script) as model, gateway(model.address) as meter:
        client, _ = await known(meter, prompt)
        first, *others = meter.plane.routes.all
        meter.plane.routes = Routes([replace(first, **change), *others])
        await client.send(prompt)
        again = await client.reply()
        fresh = await meter.client()
        await fresh.send(prompt)
        unknown = await fresh.reply()
        assert (again.status, again.body) == (unknown.status, unknown.body)
        if again.status == 200:
            (_, _), (mine, _), (other, _) = model_script.got
            assert mine.raw == other.raw


@on_both_loops
async def test_an_endpoint_that_was_removed_is_unknown_to_a_known_prompt():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client, _ = await known(meter)
        meter.plane.routes = Routes(meter.plane.routes.all[1:])
        await client.send(PROMPT)
        assert (await client.reply()).status == 404


@on_both_loops
async def test_a_known_prompt_to_a_closed_meter_names_the_public_address_in_force():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client, parser = await known(meter)
        meter.show(Status.RUNNING, model.address, minutes=-1)
        await client.send(PROMPT)
        before = await client.reply()
        meter.plane.edge.public = PublicAddress("https://models.example")
        await client.send(PROMPT)
        after = await client.reply()
        assert (before.status, after.status) == (402, 402)
        assert b"https://models.example" in after.body
        assert b"https://models.example" not in before.body
        assert parser.fed == b""


@on_both_loops
async def test_a_known_prompt_moves_with_its_endpoint():
    script, moved = RecordingModel(), RecordingModel()
    async with upstream(script) as one, upstream(moved) as other, gateway(one.address) as meter:
        client, _ = await known(meter)
        meter.show(address=other.address)
        await client.send(PROMPT)
        assert (await client.reply()).status == 200
        (got,) = moved.got
        assert got[0]["Host"] == other.address.removeprefix("http://")


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("token", [b"t-unknown", b"t-purse", b"t-late", b""])
@on_both_loops
async def test_a_stranger_fills_no_memo(token):
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        for _ in range(3):
            await client.send(PROMPT.replace(b"t-invoke", token))
            assert (await client.reply()).status in {401, 403}
        assert len(meter.connections[-1]._memo) == 0


@on_both_loops
async def test_a_connection_that_has_ended_knows_no_head():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client, _ = await known(meter)
        connection = meter.connections[-1]
        assert len(connection._memo) == 1
        client.leave()
        await until(lambda: not len(connection._memo))


@on_both_loops
async def test_a_known_request_below_v1_goes_where_its_body_says():
    head = HEAD.replace(b"/flan", b"/v1/chat/completions")
    bodies = [b'{"model": "%b"}' % name for name in (b"flan-t5", b"other", b"none", b"flan-t5")]
    script = RecordingModel()
    async with upstream(script) as model, gateway(model.address, models=("flan-t5",)) as meter:
        meter.show(name="other", minutes=-1)
        client, parser = await known(meter, head % len(bodies[0]) + bodies[0])
        for in_two in (False, True):
            seen = []
            for body in bodies:
                await client.send(head % len(body) + (b"" if in_two else body))
                if in_two:
                    await asyncio.sleep(0.005)
                    await client.send(body)
                seen.append((await client.reply()).status)
            assert seen == [200, 402, 404, 200]
        assert parser.fed == b""
        assert {body for _, body in script.got} == {bodies[0]}
