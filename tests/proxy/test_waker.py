"""Attempts to wake a closed meter: off the event loop, one for the prompts of a token."""

import asyncio
import threading

import pytest

from parkmeter.core.tokens import Scope, Token
from parkmeter.errors import OverBudgetError
from parkmeter.proxy.waker import Waker
from tests.support.world import NOON


def token(name: str) -> Token:
    return Token(name, name, name, NOON, frozenset(Scope))


def test_prompts_that_come_together_share_one_attempt():
    calls = []

    def top_up(name: str, who: Token) -> None:
        calls.append((name, who.id))

    async def story() -> None:
        waker = Waker(top_up)
        first = [waker.wake("flan", token("ada")) for _ in range(50)]
        other = waker.wake("flan", token("bob"))
        await asyncio.gather(*first, other)
        assert sorted(calls) == [("flan", "ada"), ("flan", "bob")]
        await waker.wake("flan", token("ada"))
        assert len(calls) == 3

    asyncio.run(story())


def test_a_waker_that_is_closed_can_be_waited_for():
    begun, may, put = threading.Semaphore(0), threading.Event(), []

    def top_up(name: str, who: Token) -> None:
        begun.release()
        assert may.wait(10)
        put.append(who.id)

    async def story() -> Waker:
        waker = Waker(top_up)
        askers = [token(f"asker {number}") for number in range(9)]
        for asker in askers:
            waker.wake("flan", asker)
        for _ in range(4):  # its threads
            assert begun.acquire(timeout=10)
        waker.close()
        return waker

    waker = asyncio.run(story())
    threading.Timer(0.05, may.set).start()
    waker.join(10)
    assert len(put) == 4  # those that had begun


def test_a_refusal_reaches_all_waiting_prompts_and_is_cached_briefly():
    calls = []

    def top_up(name: str, who: Token) -> None:
        calls.append((name, who.id))
        raise OverBudgetError(limit_minutes=1, left_minutes=0)

    async def story() -> None:
        waker = Waker(top_up)
        attempts = [waker.wake("flan", token("ada")) for _ in range(3)]
        found = await asyncio.gather(*attempts, return_exceptions=True)
        assert [type(error) for error in found] == [OverBudgetError] * 3
        with pytest.raises(OverBudgetError):
            await waker.wake("flan", token("ada"))
        assert len(calls) == 1

    asyncio.run(story())
