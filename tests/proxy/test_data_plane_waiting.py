"""`Prefer: wait=N`: a request is held until its endpoint serves, its meter closes, or N is over."""

import asyncio
import threading
from datetime import timedelta

import pytest

from parkmeter.core.meter import Status
from parkmeter.web.routes import Limits
from tests.support.gateway_at_work import NOON, Gateway, gateway, on_both_loops, until, waiting
from tests.support.scripted_upstream import OK, ServerEnd, answering, upstream

WAIT = "Prefer: wait=60\r\n"


async def held(meter: Gateway, number: int = 1) -> None:
    await until(lambda: waiting(meter.gate) == number)


@on_both_loops
async def test_a_held_request_is_forwarded_when_the_endpoint_serves():
    async with upstream(answering(OK)) as model, gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(fields=WAIT)
        await held(meter)
        assert meter.gate.in_flight("flan-t5") == 0
        meter.show(Status.STARTING, reason="still loading")
        shower = threading.Thread(target=meter.show, kwargs={"address": model.address})
        shower.start()
        reply = await client.reply()
        shower.join()
    assert (reply.status, reply.body) == (200, b"{}")
    assert reply.fields["preference-applied"] == "wait=60"


@on_both_loops
async def test_an_unchanged_prompt_is_held_while_its_endpoint_starts():
    async with upstream(answering(OK)) as model, gateway(limits=Limits(wait_seconds=50)) as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask()
        await held(meter)
        meter.show(address=model.address)
        reply = await client.reply()
    assert reply.status == 200
    assert "preference-applied" not in reply.fields, "it preferred nothing"


@on_both_loops
async def test_an_unchanged_prompt_is_a_503_once_its_time_is_over():
    async with gateway(limits=Limits(wait_seconds=1)) as meter:
        meter.show(Status.STARTING)
        assert (await meter.exchange()).status == 503


@on_both_loops
async def test_what_is_not_held_unasked_is_answered_at_once():
    async with gateway(limits=Limits(wait_seconds=50, max_waiting=9)) as meter:
        meter.show(Status.STARTING)
        assert (await meter.exchange(fields="Prefer: wait=0\r\n")).status == 503
        reading = await meter.exchange("/flan/version", None, method="GET")
        assert reading.status == 503, "it only reads"
        meter.show(Status.FAILED, reason="no such model")
        assert (await meter.exchange()).status == 503, "a start that is not tried again"
        meter.show(Status.STOPPED, minutes=0)
        assert (await meter.exchange()).status == 402, "closed"


@on_both_loops
async def test_an_unchanged_prompt_waits_for_the_next_try_of_a_start():
    async with upstream(answering(OK)) as model, gateway(limits=Limits(wait_seconds=50)) as meter:
        meter.show(Status.FAILED, reason="out of memory", retry_at=NOON + timedelta(seconds=20))
        client = await meter.client()
        await client.ask()
        await held(meter)
        meter.show(address=model.address)
        assert (await client.reply()).status == 200


@on_both_loops
async def test_an_unchanged_prompt_does_not_wait_for_a_place():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.gone()

    limits = Limits(wait_seconds=50, max_in_flight=1)
    async with upstream(script) as model, gateway(model.address, limits=limits) as meter:
        first = await meter.client()
        await first.ask()
        await until(lambda: meter.gate.in_flight("flan-t5") == 1)
        assert (await meter.exchange()).status == 429
        first.leave()
        await meter.at_rest()


@on_both_loops
async def test_no_endpoint_holds_unchanged_prompts_longer_than_its_limit():
    async with gateway(limits=Limits(wait_seconds=50, max_wait_seconds=1)) as meter:
        meter.show(Status.STARTING)
        assert (await meter.exchange()).status == 503


@pytest.mark.parametrize(
    ("usual", "begun", "seconds"),
    [(None, 10, "5"), (70, 40, "30"), (70, 70, "5"), (70, 90, "5"), (600, 0, "60")],
)
@on_both_loops
async def test_retry_after_is_what_is_left_of_the_usual_start(usual, begun, seconds):
    async with gateway() as meter:
        if usual is not None:
            meter.plane.usual_starts = {"flan-t5": timedelta(seconds=usual)}
        meter.show(Status.STARTING, started_at=NOON - timedelta(seconds=begun))
        assert (await meter.exchange()).fields["retry-after"] == seconds


@on_both_loops
async def test_a_far_next_try_is_retried_as_late_as_clients_heed():
    async with gateway() as meter:
        meter.show(Status.FAILED, retry_at=NOON + timedelta(minutes=5))
        assert (await meter.exchange()).fields["retry-after"] == "60"


@on_both_loops
async def test_a_hold_that_is_over_is_a_503():
    async with gateway() as meter:
        meter.show(Status.STARTING, reason="loading weights")
        reply = await meter.exchange(fields="Prefer: wait=1\r\n")
    assert (reply.status, reply.fields["retry-after"]) == (503, "5")
    assert reply.fields["preference-applied"] == "wait=1"


@on_both_loops
async def test_no_request_waits_longer_than_the_limit():
    async with gateway(limits=Limits(max_wait_seconds=0)) as meter:
        meter.show(Status.STARTING)
        reply = await meter.exchange(fields=WAIT)
    assert (reply.status, reply.fields["preference-applied"]) == (503, "wait=0")


@on_both_loops
async def test_one_too_many_is_refused_at_once():
    async with gateway(limits=Limits(max_waiting=2)) as meter:
        meter.show(Status.STARTING)
        waiting = [await meter.client() for _ in range(2)]
        for client in waiting:
            await client.ask(fields=WAIT)
        await held(meter, 2)
        reply = await meter.exchange(fields=WAIT)
        assert (reply.status, reply.fields["retry-after"]) == (503, "5")
        assert "2 requests are waiting" in reply.json["detail"]
        waiting[0].leave()
        await held(meter, 1)
        await (await meter.client()).ask(fields=WAIT)
        await held(meter, 2)


@on_both_loops
async def test_a_meter_that_closes_meanwhile_is_a_402():
    async with gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(fields=WAIT)
        await held(meter)
        meter.show(Status.STOPPING, minutes=0)
        assert (await client.reply()).status == 402


@on_both_loops
async def test_a_meter_that_runs_out_closes_also_without_a_new_view():
    async with gateway() as meter:
        meter.show(Status.STARTING, minutes=0.05 / 60)
        client = await meter.client()
        await client.ask(fields=WAIT)
        await held(meter)
        meter.clock.at = NOON + timedelta(minutes=1)
        assert (await client.reply()).status == 402


@pytest.mark.parametrize("fields", ["", "Prefer: wait=50\r\n"])
@pytest.mark.parametrize(("next_try", "retry_after"), [(None, None), (50, "50"), (300, "60")])
@on_both_loops
async def test_a_failure_without_another_try_in_time_is_answered_at_once(
    fields, next_try, retry_after
):
    retry_at = None if next_try is None else NOON + timedelta(seconds=next_try)
    async with gateway(limits=Limits(wait_seconds=50, max_waiting=9)) as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(fields=fields)
        await held(meter)
        meter.show(Status.FAILED, reason="no such model", retry_at=retry_at)
        for reply in (await client.reply(), await meter.exchange(fields=fields)):
            assert (reply.status, reply.fields.get("retry-after")) == (503, retry_after)
            assert "no such model" in reply.json["detail"]


@on_both_loops
async def test_a_client_that_leaves_is_released_and_never_forwarded():
    async with upstream(answering(OK)) as model, gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(fields=WAIT)
        await held(meter)
        client.leave()
        await meter.at_rest()
        meter.show(address=model.address)
        assert (await meter.exchange()).status == 200
        assert model.connections == 1


@on_both_loops
async def test_a_gateway_that_ends_releases_all_held_requests():
    async with gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(fields=WAIT)
        await held(meter)
        meter.plane.close()
        assert (await client.reply()).status == 503
        assert (await meter.exchange(fields=WAIT)).status == 503


@on_both_loops
async def test_the_body_of_a_held_request_arrives_whole():
    sizes = []

    async def script(line):
        _, body = await line.request()
        sizes.append(len(body))
        await line.send(OK)

    body = bytes(range(256)) * 8_000
    async with upstream(script) as model, gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        asking = asyncio.create_task(client.ask(body=body, fields=WAIT))
        await held(meter)
        meter.show(address=model.address)
        reply = await client.reply()
        await asking
    assert (reply.status, sizes) == (200, [len(body)])


@on_both_loops
async def test_a_held_client_that_waits_to_be_invited_is_not_invited_before_its_time():
    async with upstream(answering(OK)) as model, gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.send(
            b"POST /flan HTTP/1.1\r\nHost: x\r\nAuthorization: t-invoke\r\nPrefer: wait=60\r\n"
            b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        await held(meter)
        other = await meter.exchange()  # a whole round trip, and still no invitation
        assert other.status == 503
        assert not client.reader._buffer  # type: ignore[attr-defined]
        meter.show(address=model.address)
        assert await client.head() == (100, {})
        await client.send(b"{}")
        assert (await client.reply()).status == 200


@pytest.mark.parametrize(
    ("lines", "wait"),
    [
        ("Prefer: wait=0\r\n", "0"),
        ('Prefer: respond-async, WAIT="0"\r\n', "0"),
        ("Prefer: a=b\r\nPrefer: wait = 0 ; x=y\r\n", "0"),
        ("Prefer: wait=0, wait=60\r\n", "0"),
        ("Prefer: wait=soon, wait=60\r\n", None),
        ("Prefer: wait=-1\r\n", None),
        ("Prefer: wait=1.5\r\n", None),
        ('Prefer: x="a, wait=60"\r\n', None),
        ("Prefer: waiting=60\r\n", None),
    ],
)
@on_both_loops
async def test_preferences_are_read_as_rfc_7240_has_them(lines, wait):
    async with gateway() as meter:
        meter.show(Status.STARTING)
        reply = await meter.exchange(fields=lines)
    assert reply.status == 503
    assert reply.fields.get("preference-applied") == (wait and f"wait={wait}")


@on_both_loops
async def test_only_the_wait_is_taken_from_what_a_client_prefers():
    seen = []

    async def script(line):
        asked, _ = await line.request()
        seen.append(asked["Prefer"])
        await line.send(OK)

    async with upstream(script) as model, gateway(model.address) as meter:
        for line in ('Prefer: a="x, y";z, wait=1\r\nPrefer: b\r\n', "Prefer: wait=1\r\n"):
            await meter.exchange(fields=line)
    assert seen == ['a="x, y";z, b', None]
