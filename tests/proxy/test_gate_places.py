"""The gate's limited places under any history of arrivals, ends, departures and views."""

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.proxy.gate import LocalGate
from parkmeter.proxy.waiting_line import Waiter

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
CLOSE = NOON + timedelta(hours=1)
LIMIT, LINE = 3, 4

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.sampled_from("abc")),
        st.tuples(st.just("wait"), st.sampled_from("abc")),
        st.tuples(st.just("end"), st.integers(0, 5)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
        st.tuples(st.just("view"), st.booleans()),
    ),
    max_size=60,
)


class History:
    """Requests of three holders at one endpoint, as `Relay` would ask the gate for them."""

    def __init__(self) -> None:
        self.gate = LocalGate(lambda: NOON)
        self.permits: list = []
        self.waiters: list[Waiter] = []
        self.refused = 0
        self.version = 0
        self.serves = False

    async def step(self, what: str, value) -> None:
        match what:
            case "arrive" | "wait":
                self.arrive(value, waits=what == "wait")
            case "end" if value < len(self.permits):
                self.permits.pop(value).release()
            case "leave" if value < len(self.waiters):
                self.refused += 1
                self.waiters.pop(value).release()
            case "view":
                self.version += 1
                self.serves = value
                status = Status.RUNNING if value else Status.STARTING
                self.gate.show(View("flan", self.version, CLOSE, CLOSE, status, "", "http://a:1"))
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    def arrive(self, holder: str, *, waits: bool) -> None:
        if (permit := self.gate.admit_share("flan", holder, LIMIT)) is not None:
            self.permits.append(permit)
        elif waits:
            made: list[Waiter] = []
            waiter = self.gate.add_waiter("flan", LINE, lambda: self.changed(made[0]), holder)
            if waiter is None:
                self.refused += 1
            else:
                made.append(waiter)
                self.waiters.append(waiter)
        else:
            self.refused += 1

    def changed(self, waiter: Waiter) -> None:
        if waiter.displaced:
            self.refused += 1
            self.waiters.remove(waiter)
        elif waiter.turn:
            self.waiters.remove(waiter)
            permit = self.gate.admit_share("flan", waiter.holder, LIMIT)
            assert permit is not None, "its turn came, and there is no place"
            self.permits.append(permit)

    def check(self) -> None:
        assert len(self.permits) == self.gate.in_flight("flan") <= LIMIT
        assert len(self.waiters) == self.gate.waiting("flan") <= LINE
        if self.serves and self.waiters and not self.refused:
            assert len(self.permits) == LIMIT, "a place is empty while a request waits for it"


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_places_are_neither_overbooked_nor_left_empty_nor_lost(steps):
    async def run() -> None:
        history = History()
        for what, value in steps:
            await history.step(what, value)
            history.check()
        while history.permits:  # each may bring another one in
            history.permits.pop().release()
        while history.waiters:
            history.waiters.pop().release()
        assert history.gate.in_flight("flan") == history.gate.waiting("flan") == 0

    asyncio.run(run())
