"""A prompt to a closed meter that wakes it: what each request waits for, and its answer."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from parkmeter.core.meter import Status
from parkmeter.core.tokens import Token
from parkmeter.errors import DeviceBusyError
from parkmeter.web.peers import TrustedProxies
from parkmeter.web.persons import Persons
from parkmeter.web.routes import Limits
from tests.support.gateway_at_work import NOON, Gateway, gateway, on_both_loops, until, waiting
from tests.support.scripted_upstream import OK, answering, upstream

ASK: dict[str, Any] = {"token": "t-ada"}
WAIT: dict[str, Any] = {**ASK, "fields": "Prefer: wait=60\r\n"}


class Core:
    """A core that tops up when the test lets it, on any thread."""

    def __init__(self, outcome: Callable[[], None] = lambda: None) -> None:
        self.may = threading.Event()
        self.asked: list[str] = []
        self.outcome = outcome

    def wake(self, name: str, token: Token) -> None:
        self.asked.append(f"{name} by {token.name}")
        assert self.may.wait(10)
        self.outcome()


def closed(meter: Gateway) -> None:
    meter.show(Status.STOPPED, minutes=0)


@on_both_loops
async def test_all_that_wait_are_held_through_the_waking_and_the_start():
    core = Core()
    async with upstream(answering(OK)) as model, gateway(wake=core.wake) as meter:
        closed(meter)
        core.outcome = lambda: meter.show(Status.STARTING)
        clients = [await meter.client() for _ in range(5)]
        for client in clients:
            await client.ask(**WAIT)
        await until(lambda: waiting(meter.gate) == 5)
        core.may.set()
        await until(lambda: meter.gate.view("flan-t5").status is Status.STARTING)
        await asyncio.sleep(0.05)
        assert waiting(meter.gate) == 5
        meter.show(address=model.address)
        assert [(await client.reply()).status for client in clients] == [200] * 5
    assert core.asked == ["flan-t5 by ada"]


@on_both_loops
async def test_an_unchanged_prompt_is_held_through_the_waking_and_the_start():
    core = Core()
    core.may.set()
    limits = Limits(wait_seconds=50)
    async with (
        upstream(answering(OK)) as model,
        gateway(wake=core.wake, limits=limits) as meter,
    ):
        closed(meter)
        core.outcome = lambda: meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(**ASK)
        await until(lambda: meter.gate.view("flan-t5").status is Status.STARTING)
        meter.show(address=model.address)
        assert (await client.reply()).status == 200
        closed(meter)
        assert (await meter.exchange(token="t-invoke")).status == 402, "it may not wake it"


@on_both_loops
async def test_a_request_that_does_not_wait_is_a_503_as_soon_as_it_is_woken():
    core = Core()
    async with gateway(wake=core.wake) as meter:
        closed(meter)
        core.outcome = lambda: meter.show(Status.STARTING, reason="about to start")
        client = await meter.client()
        await client.ask(**ASK)
        await until(lambda: core.asked)
        core.may.set()
        reply = await client.reply()
        assert (reply.status, reply.fields["retry-after"]) == (503, "5")
        again = await client.exchange(**ASK)
    assert again.status == 503
    assert core.asked == ["flan-t5 by ada"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@on_both_loops
async def test_a_request_that_only_reads_wakes_nothing(method):
    core = Core()
    core.may.set()
    async with gateway(wake=core.wake) as meter:
        closed(meter)
        client = await meter.client()
        await client.ask("/flan/v1/files", None, method=method, token="t-ada")
        assert (await client.head())[0] == 402
    assert core.asked == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@on_both_loops
async def test_a_request_that_only_reads_does_not_count_as_use(method):
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        since = meter.gate.last_prompt("flan-t5")
        meter.clock.at += timedelta(minutes=5)
        client = await meter.client()
        await client.ask("/flan/v1/models", None, method=method)
        assert (await client.head())[0] == 200
        await meter.at_rest()
        assert meter.gate.last_prompt("flan-t5") == since
        await meter.exchange()
        assert meter.gate.last_prompt("flan-t5") == meter.clock.at


@on_both_loops
async def test_a_gateway_that_ends_wakes_nothing():
    core = Core()
    core.may.set()
    async with gateway(wake=core.wake) as meter:
        closed(meter)
        meter.plane.close()
        assert (await meter.exchange(**ASK)).status == 402
    assert core.asked == []


@on_both_loops
async def test_with_all_places_taken_nothing_is_bought():
    core = Core()
    core.may.set()
    async with gateway(wake=core.wake, limits=Limits(max_waiting=0)) as meter:
        closed(meter)
        assert (await meter.exchange(**ASK)).status == 503
    assert core.asked == []


@on_both_loops
async def test_other_prompts_go_on_while_the_core_takes_its_time():
    core = Core()
    async with upstream(answering(OK)) as model, gateway(wake=core.wake) as meter:
        closed(meter)
        meter.show(address=model.address, name="other")
        client = await meter.client()
        await client.ask(**WAIT)
        await until(lambda: core.asked)
        assert (await meter.exchange("/other")).status == 200
        client.leave()
        await meter.at_rest()
        core.may.set()


@on_both_loops
async def test_the_reason_for_not_waking_is_the_answer():
    def refuse() -> None:
        later = NOON + timedelta(hours=1)
        raise DeviceBusyError(device="gpu0", endpoint="falcon", expires_at=later, closes_at=later)

    core = Core(refuse)
    core.may.set()
    async with gateway(wake=core.wake) as meter:
        closed(meter)
        waited, not_waited = await meter.exchange(**WAIT), await meter.exchange(**ASK)
    assert [waited.status, not_waited.status] == [409, 409]
    assert waited.json["code"] == "device_busy"


@on_both_loops
async def test_an_internal_error_is_a_500():
    def break_down() -> None:
        raise RuntimeError("the store is on fire")

    core = Core(break_down)
    core.may.set()
    async with gateway(wake=core.wake) as meter:
        closed(meter)
        reply = await meter.exchange(**WAIT)
    assert (reply.status, "fire" in reply.body.decode()) == (500, False)


@on_both_loops
async def test_a_meter_that_was_ejected_again_meanwhile_is_a_402():
    core = Core()
    core.may.set()
    async with gateway(wake=core.wake) as meter:
        closed(meter)
        assert (await meter.exchange(**WAIT)).status == 402


@on_both_loops
async def test_the_limit_of_held_requests_holds_while_waking():
    core = Core()
    async with gateway(limits=Limits(max_waiting=1), wake=core.wake) as meter:
        closed(meter)
        client = await meter.client()
        await client.ask(**WAIT)
        await until(lambda: core.asked)
        assert (await meter.exchange(**ASK)).status == 503
        core.may.set()
        assert (await client.reply()).status == 402


@on_both_loops
async def test_a_token_without_top_up_and_a_prompt_to_a_running_one_wake_nothing():
    core = Core()
    async with upstream(answering(OK)) as model, gateway(wake=core.wake) as meter:
        closed(meter)
        assert (await meter.exchange(token="t-invoke")).status == 402
        meter.show(address=model.address)
        assert (await meter.exchange(**ASK)).status == 200
    assert core.asked == []


@on_both_loops
async def test_a_prompt_through_a_proxy_wakes_it_in_the_name_of_the_person():
    core = Core()
    core.may.set()
    async with gateway(wake=core.wake) as meter:
        meter.plane.edge.persons = Persons(TrustedProxies(["127.0.0.1"]), "s" * 16, "X-Person")
        closed(meter)
        person = "X-Person: ada@example.org\r\n"
        shown = "Parkmeter-Proxy-Secret: " + "s" * 16 + "\r\n" + person
        assert (await meter.exchange("/flan", **ASK, fields=person)).status == 402
        assert (await meter.exchange("/flan", **ASK, fields=shown)).status == 402
        twice = await meter.exchange(**ASK, fields=shown + "X-Person: bob\r\n")
        assert (twice.status, twice.json["field"]) == (400, "x-person")
        assert waiting(meter.gate) == 0
    assert core.asked == ["flan-t5 by ada", "flan-t5 by ada@example.org by ada"]
