"""Turns of prompts that are ready at once: a crowd of one token, and everything beside it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

from hypothesis import given
from hypothesis import strategies as st

from parkmeter.core.meter import Status
from parkmeter.proxy.turns import Turns
from tests.support.gateway_at_work import Client, Gateway, gateway, on_uvloop, until
from tests.support.scripted_upstream import OK, ServerEnd, answering, upstream

AT_ONCE = 8
CROWD = 40
"""Connections of one token: more than begin in four rounds."""


# ── Turns alone ─────────────────────────────────────────────────────────────────────────────────


class Prompts:
    """Prompts that note the order in which they begin, and the round."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.begun: list[tuple[str, int]] = []
        self.round = 0

    def ready(self, holder: str) -> None:
        if self.turns.take():
            self.begin(holder)
        else:
            self.turns.wait(holder, lambda: self.begin(holder))

    def begin(self, holder: str) -> None:
        self.begun.append((holder, self.round))

    async def rounds(self, number: int) -> None:
        for _ in range(number):
            self.round += 1
            await asyncio.sleep(0)

    def place(self, holder: str) -> int:
        """Return how many began before this holder's first."""
        return [one for one, _ in self.begun].index(holder)


def in_rounds(test: Any) -> Any:
    def run() -> None:
        async def on_loop() -> None:
            await test(Prompts(Turns(10)))

        asyncio.run(on_loop())

    return run


@in_rounds
async def test_no_more_begin_in_one_round_than_the_number_and_all_begin_in_the_end(prompts):
    for _ in range(95):
        prompts.ready("crowd")
    assert len(prompts.begun) == 10
    await prompts.rounds(12)
    assert len(prompts.begun) == 95
    assert max(Counter(number for _, number in prompts.begun).values()) == 10


@in_rounds
async def test_another_holder_begins_in_the_next_round_whatever_waits_of_a_crowd(prompts):
    for _ in range(1000):
        prompts.ready("crowd")
    prompts.ready("other")
    await prompts.rounds(1)
    assert prompts.place("other") <= 11
    prompts.ready("third")
    await prompts.rounds(1)
    assert prompts.place("third") <= 22


@in_rounds
async def test_a_crowd_that_waits_is_not_overtaken_by_its_own_later_prompts(prompts):
    began = []
    for number in range(30):
        if not prompts.turns.take():
            prompts.turns.wait("crowd", lambda number=number: began.append(number))
    for number in range(30, 35):
        assert not prompts.turns.take()
        prompts.turns.wait("crowd", lambda number=number: began.append(number))
    await prompts.rounds(5)
    assert began == list(range(10, 35))


@in_rounds
async def test_prompts_of_many_rounds_never_wait(prompts):
    for _ in range(100):
        for _ in range(5):
            assert prompts.turns.take()
        await prompts.rounds(1)


@in_rounds
async def test_one_that_breaks_does_not_keep_those_behind_it_waiting(prompts):
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, said: failures.append(said))
    while prompts.turns.take():
        pass
    prompts.turns.wait("crowd", lambda: 1 / 0)
    prompts.turns.wait("crowd", lambda: prompts.begin("crowd"))
    await prompts.rounds(3)
    assert len(failures) == len(prompts.begun) == 1


@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=40), max_size=8))
def test_every_prompt_begins_once_and_holders_with_few_wait_for_no_crowd(arrivals):
    async def run() -> None:
        prompts = Prompts(Turns(10))
        for ready in arrivals:
            for holder in ready:
                prompts.ready(holder)
            await prompts.rounds(1)
        await prompts.rounds(40)
        assert Counter(one for one, _ in prompts.begun) == Counter(chain.from_iterable(arrivals))
        # One round's rest and what it left over: never more than twice the number.
        assert max(Counter(number for _, number in prompts.begun).values(), default=0) <= 20

    asyncio.run(run())


# ── In the data plane ───────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def crowded(address: str | None = None) -> AsyncIterator["Crowd"]:
    """Yield a gateway where `AT_ONCE` prompts begin in a round; without an address it is closed."""
    async with gateway(address) as meter:
        if address is None:
            meter.show(Status.STOPPED, minutes=-1)
        yield Crowd(meter)


class Crowd:
    """Connections whose requests come in one round of the loop, as each test says."""

    def __init__(self, meter: Gateway) -> None:
        self.meter = meter
        self.answered: list[str] = []
        """The tokens of prompts, in the order in which their answers were begun."""

    async def connect(self, token: str, number: int) -> list["Line"]:
        before = len(self.meter.connections)
        clients = [await self.meter.client() for _ in range(number)]
        await until(lambda: len(self.meter.connections) == before + number)
        ends = {end.client: end for end in self.meter.connections[before:]}
        return [
            Line(self, token, one, ends[one.writer.get_extra_info("sockname")]) for one in clients
        ]


class Line:
    """One client's connection: both ends."""

    def __init__(self, crowd: Crowd, token: str, client: Client, end: Any) -> None:
        self.token = token
        self.client = client
        self.end = end
        end._server.turns = TURNS.setdefault(end._server, Turns(AT_ONCE))
        write = end.write

        def noted(data: bytes) -> None:
            crowd.answered.append(token)
            write(data)

        end.write = noted

    def ask(self, body: bytes = b"{}") -> None:
        """Have a whole prompt arrive now."""
        head = f"POST /flan HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: t-{self.token}\r\n"
        self.end.data_received(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def look(self) -> None:
        """Have a control request arrive now."""
        head = f"GET /control HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: t-{self.token}\r\n"
        self.end.data_received(head.encode() + b"\r\n")

    async def status(self) -> int:
        return (await self.client.reply()).status


TURNS: WeakKeyDictionary[Any, Turns] = WeakKeyDictionary()
"""Of each gateway."""


@on_uvloop
async def test_another_tokens_prompt_begins_after_at_most_two_rounds_of_a_crowds():
    async with crowded() as crowd:
        many = await crowd.connect("invoke", CROWD)
        (other,) = await crowd.connect("bob", 1)
        for one in (*many, other):
            one.ask()
        assert len(crowd.answered) == AT_ONCE
        assert await other.status() == 402
        assert crowd.answered.index("bob") <= AT_ONCE + 1
        assert [await one.status() for one in many] == [402] * CROWD
        assert len(crowd.answered) == CROWD + 1


@on_uvloop
async def test_control_requests_take_turns_as_well():
    async with crowded() as crowd:
        many = await crowd.connect("invoke", CROWD)
        (other, third) = await crowd.connect("bob", 1) + await crowd.connect("ada", 1)
        for one in many:
            one.look()
        other.ask()
        third.look()
        assert sum(one.end.active for one in many if not one.end.pipeline) == AT_ONCE
        assert (await other.status(), await third.status()) == (402, 404)
        assert crowd.answered.index("bob") <= 2 * AT_ONCE
        assert crowd.answered.index("ada") <= 2 * AT_ONCE
        assert [await one.status() for one in many] == [404] * CROWD


@on_uvloop
async def test_of_a_crowd_with_known_heads_every_prompt_is_answered_once():
    bodies: list[bytes] = []

    async def script(end: ServerEnd) -> None:
        while True:
            bodies.append((await end.request())[1])
            await end.send(OK)

    async with upstream(script) as server, crowded(server.address) as crowd:
        many = await crowd.connect("invoke", CROWD)
        for turn in range(3):
            for number, one in enumerate(many):
                one.ask(b'"%d.%d"' % (turn, number))
            assert [await one.status() for one in many] == [200] * CROWD
        wanted = {b'"%d.%d"' % (turn, n) for turn in range(3) for n in range(CROWD)}
        assert sorted(bodies) == sorted(wanted)


@on_uvloop
async def test_a_client_that_leaves_while_its_prompt_waits_has_none_begun():
    async with upstream(answering(OK)) as server, crowded(server.address) as crowd:
        many = await crowd.connect("invoke", CROWD)
        for one in many:
            one.ask()
        waiting = [one for one in many if one.end._active is None]
        assert len(waiting) == CROWD - AT_ONCE
        for one in waiting:
            one.end.drop()
            one.end.connection_lost(None)
        stayed = [one for one in many if one not in waiting]
        assert [await one.status() for one in stayed] == [200] * AT_ONCE
        assert server.connections == AT_ONCE


@on_uvloop
async def test_a_connection_whose_prompt_waits_is_not_idle():
    async with crowded() as crowd:
        many = await crowd.connect("invoke", CROWD)
        for one in many:
            one.ask()
        waiting = [one for one in many if one.end.pipeline]
        assert waiting
        assert all(one.end.active for one in waiting)
        assert [await one.status() for one in many] == [402] * CROWD


@on_uvloop
async def test_a_token_that_is_revoked_while_its_prompt_waits_is_refused():
    async with crowded() as crowd:
        many = await crowd.connect("invoke", AT_ONCE + 1)
        for one in many:
            one.ask()
        crowd.meter.revoke("invoke")
        assert [await one.status() for one in many] == [402] * AT_ONCE + [403]


@on_uvloop
async def test_a_burst_of_connections_is_accepted_more_than_one_at_a_time():
    async with crowded() as crowd:
        number, accepted = 40, crowd.meter.connections
        opening = [asyncio.create_task(crowd.meter.client()) for _ in range(number)]
        rounds = 0
        while len(accepted) < number:
            rounds += 1
            await asyncio.sleep(0)
        await asyncio.gather(*opening)
        assert rounds < number * 3 / 4
