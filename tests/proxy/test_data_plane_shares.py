"""`max_in_flight`: how many requests are answered at once, and whose; the places to wait in."""

import asyncio

from parkmeter.core.meter import Status
from parkmeter.web.routes import Limits, Route, Routes
from tests.support.gateway_at_work import Client, Gateway, gateway, on_both_loops, until, waiting
from tests.support.scripted_upstream import OK, ServerEnd, answering, upstream

WAIT = "Prefer: wait=60\r\n"
WAIT_ONE = "Prefer: wait=1\r\n"
TWO = Limits(max_in_flight=2)


class SlowModel:
    """A model that answers a request only when a test lets it; bodies are the tests' own marks."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._open: list[asyncio.Event] = []

    async def __call__(self, line: ServerEnd) -> None:
        while True:
            _, body = await line.request()
            answer = asyncio.Event()
            self.asked.append(body)
            self._open.append(answer)
            await answer.wait()
            await line.send(OK)

    def answer_oldest(self) -> None:
        self._open.pop(0).set()

    async def has(self, number: int) -> None:
        """Return when this number of requests has arrived in all."""
        await until(lambda: len(self.asked) == number)


async def asking(
    meter: Gateway, number: int, token: str = "t-ada", fields: str = ""
) -> list[Client]:
    """Return clients of which each has sent a request, in order."""
    clients = [await meter.client() for _ in range(number)]
    for client in clients:
        await client.ask(body=token[2:].encode(), token=token, fields=fields)
    return clients


@on_both_loops
async def test_one_request_too_many_is_a_429_and_the_place_is_free_again_afterwards():
    model = SlowModel()
    async with upstream(model) as served, gateway(served.address, limits=TWO) as meter:
        await asking(meter, 2)
        await model.has(2)
        reply = await meter.exchange(token="t-ada")
        assert (reply.status, reply.json["code"]) == (429, "too_many_in_flight")
        assert reply.fields["retry-after"] == "1"
        assert meter.plane.traffic["flan-t5"].limited == 1
        model.answer_oldest()
        await until(lambda: meter.gate.in_flight("flan-t5") == 1)
        await asking(meter, 1)
        await model.has(3)


@on_both_loops
async def test_without_a_limit_every_request_is_forwarded():
    model = SlowModel()
    async with upstream(model) as served, gateway(served.address) as meter:
        await asking(meter, 100)
        await model.has(100)
        assert meter.gate.in_flight("flan-t5") == 100


@on_both_loops
async def test_a_token_over_its_share_gives_way_to_the_next_one_that_asks():
    model = SlowModel()
    limits = Limits(max_in_flight=4)
    async with upstream(model) as served, gateway(served.address, limits=limits) as meter:
        await asking(meter, 4)
        await model.has(4)
        for number in (1, 2):
            assert (await meter.exchange(token="t-bob")).status == 429
            model.answer_oldest()
            await until(lambda number=number: meter.gate.in_flight("flan-t5") == 3)
            assert (await meter.exchange(token="t-ada")).status == 429
            await asking(meter, 1, "t-bob")
            await model.has(4 + number)
        assert model.asked[4:] == [b"bob", b"bob"]


@on_both_loops
async def test_requests_that_wait_for_a_place_go_on_token_by_token():
    model = SlowModel()
    limits = Limits(max_in_flight=1)
    async with upstream(model) as served, gateway(served.address, limits=limits) as meter:
        await asking(meter, 1)
        await model.has(1)
        clients = await asking(meter, 3, "t-ada", WAIT)
        await until(lambda: waiting(meter.gate) == 3)
        clients += await asking(meter, 2, "t-bob", WAIT)
        await until(lambda: waiting(meter.gate) == 5)
        for number in range(2, 7):
            model.answer_oldest()
            await model.has(number)
            assert meter.gate.in_flight("flan-t5") == 1
        model.answer_oldest()
        assert [(await client.reply()).status for client in clients] == [200] * 5
    assert model.asked[1:] in (
        [b"ada", b"bob", b"ada", b"bob", b"ada"],
        [b"bob", b"ada", b"bob", b"ada", b"ada"],
    )


@on_both_loops
async def test_a_wait_for_a_place_that_is_over_is_a_429():
    model = SlowModel()
    async with upstream(model) as served, gateway(served.address, limits=TWO) as meter:
        await asking(meter, 2)
        await model.has(2)
        reply = await meter.exchange(fields=WAIT_ONE)
    assert (reply.status, reply.fields["retry-after"]) == (429, "1")
    assert reply.fields["preference-applied"] == "wait=1"


@on_both_loops
async def test_a_place_kept_for_a_token_that_does_not_come_back_goes_to_the_next_that_waits():
    model = SlowModel()
    async with upstream(model) as served, gateway(served.address, limits=TWO) as meter:
        await asking(meter, 2)
        await model.has(2)
        assert (await meter.exchange(token="t-bob")).status == 429
        await asking(meter, 1, "t-ada", WAIT)
        await until(lambda: waiting(meter.gate) == 1)
        model.answer_oldest()
        await until(lambda: meter.gate.in_flight("flan-t5") == 1)
        assert waiting(meter.gate) == 1  # it is kept
        await model.has(3)


@on_both_loops
async def test_a_request_that_leaves_or_closes_while_it_waits_takes_no_place():
    model = SlowModel()
    async with upstream(model) as served, gateway(served.address, limits=TWO) as meter:
        await asking(meter, 2)
        await model.has(2)
        gone, closed = await asking(meter, 2, "t-bob", WAIT)
        await until(lambda: waiting(meter.gate) == 2)
        gone.leave()
        await until(lambda: waiting(meter.gate) == 1)
        meter.show(Status.STOPPING, minutes=0)
        assert (await closed.reply()).status == 402
        model.answer_oldest()
        await until(lambda: meter.gate.in_flight("flan-t5") == 1)
    assert len(model.asked) == 2


@on_both_loops
async def test_an_endpoint_that_begins_to_serve_takes_as_many_held_requests_as_it_may():
    model = SlowModel()
    async with upstream(model) as served, gateway(limits=TWO) as meter:
        meter.show(Status.STARTING)
        clients = await asking(meter, 5, "t-ada", WAIT)
        await until(lambda: waiting(meter.gate) == 5)
        meter.show(address=served.address)
        await model.has(2)
        assert (meter.gate.in_flight("flan-t5"), waiting(meter.gate)) == (2, 3)
        for number in (3, 4, 5, 5, 5):
            model.answer_oldest()
            await model.has(number)
        assert [(await client.reply()).status for client in clients] == [200] * 5


@on_both_loops
async def test_hundreds_that_fail_as_soon_as_they_get_a_place_all_fail():
    """Each gives its place to the next before it has ended; none may run inside the other."""
    model = SlowModel()
    limits = Limits(max_in_flight=1, max_waiting=400)
    async with upstream(model) as served, gateway(served.address, limits=limits) as meter:
        await asking(meter, 1)
        await model.has(1)
        clients = await asking(meter, 400, "t-ada", WAIT)
        await until(lambda: waiting(meter.gate) == 400)
        meter.show(address="ftp://nowhere")
        model.answer_oldest()
        assert {(await client.reply()).status for client in clients} == {502}
        meter.show(address=served.address)
        await asking(meter, 1)
        await model.has(2)


@on_both_loops
async def test_a_limit_that_is_taken_away_holds_for_no_new_request():
    model = SlowModel()
    async with upstream(model) as served, gateway(served.address, limits=TWO) as meter:
        await asking(meter, 2)
        await model.has(2)
        meter.plane.routes = Routes([Route("flan-t5", "flan")])
        await asking(meter, 3)
        await model.has(5)
        model.answer_oldest()
        await until(lambda: meter.gate.in_flight("flan-t5") == 4)


# ── Places to wait in ───────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_one_token_cannot_keep_all_waiting_places():
    async with gateway(limits=Limits(max_waiting=4)) as meter:
        meter.show(Status.STARTING)
        greedy = await asking(meter, 4, "t-ada", WAIT)
        await until(lambda: waiting(meter.gate) == 4)
        assert (await meter.exchange(token="t-ada", fields=WAIT)).status == 503
        await asking(meter, 2, "t-bob", WAIT)
        for client in reversed(greedy[2:]):  # the newest make room
            reply = await client.reply()
            assert (reply.status, reply.json["code"]) == (429, "too_many_in_flight")
        assert waiting(meter.gate) == 4
        assert (await meter.exchange(token="t-bob", fields=WAIT)).status == 503


@on_both_loops
async def test_a_full_line_for_places_in_flight_is_a_429():
    model = SlowModel()
    limits = Limits(max_in_flight=1, max_waiting=1)
    async with upstream(model) as served, gateway(served.address, limits=limits) as meter:
        await asking(meter, 1)
        await model.has(1)
        await asking(meter, 1, "t-ada", WAIT)
        await until(lambda: waiting(meter.gate) == 1)
        assert (await meter.exchange(token="t-ada", fields=WAIT)).status == 429


# ── Revoked meanwhile ───────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_a_held_prompt_of_a_token_revoked_meanwhile_is_not_forwarded():
    async with upstream(answering(OK)) as model, gateway() as meter:
        meter.show(Status.STARTING)
        (held,) = await asking(meter, 1, "t-ada", WAIT)
        await until(lambda: waiting(meter.gate) == 1)
        (other,) = await asking(meter, 1, "t-bob", WAIT)
        await until(lambda: waiting(meter.gate) == 2)
        meter.book.replace(token for token in meter.tokens if token.id != "ada")
        meter.show(address=model.address)
        reply = await held.reply()
        assert (reply.status, reply.json["code"]) == (403, "token_refused")
        assert "parkmeter-expires-at" not in reply.fields
        assert (await other.reply()).status == 200
        assert model.connections == 1


@on_both_loops
async def test_a_prompt_that_waits_for_a_place_is_refused_once_its_token_is_revoked():
    model = SlowModel()
    async with upstream(model) as served, gateway(served.address, limits=TWO) as meter:
        await asking(meter, 2, "t-bob")
        await model.has(2)
        (held,) = await asking(meter, 1, "t-ada", WAIT)
        await until(lambda: waiting(meter.gate) == 1)
        meter.book.replace(token for token in meter.tokens if token.id != "ada")
        model.answer_oldest()
        assert (await held.reply()).status == 403
        await until(lambda: meter.gate.in_flight("flan-t5") == 1)
    assert len(model.asked) == 2


# ── Cut off ─────────────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_requests_of_a_token_can_be_cut_off_and_those_of_others_go_on():
    model = SlowModel()
    async with upstream(model) as served, gateway(served.address, limits=TWO) as meter:
        cut, *_ = await asking(meter, 1)
        await model.has(1)
        (kept,) = await asking(meter, 1, "t-bob")
        await model.has(2)
        (held,) = await asking(meter, 1, "t-ada", WAIT)
        await until(lambda: waiting(meter.gate) == 1)
        for connection in meter.connections:
            connection.cut("ada")
        for client in (held, cut):
            assert (await client.reply()).status == 403
        await until(lambda: meter.gate.in_flight("flan-t5") == 1)
        model.answer_oldest()
        model.answer_oldest()
        assert (await kept.reply()).status == 200


@on_both_loops
async def test_a_stream_that_is_cut_off_breaks_off_visibly():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n")
        await line.gone()

    async with upstream(script) as served, gateway(served.address) as meter:
        (client,) = await asking(meter, 1)
        await client.head()
        assert await client.chunk() == b"he"
        for connection in meter.connections:
            connection.cut("ada")
        assert await client.reader.read() == b""  # without the chunk that ends it
        await meter.at_rest()
