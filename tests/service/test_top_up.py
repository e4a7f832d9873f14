"""Requests for top-ups: idempotency keys, limits, budgets."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from parkmeter.core.journal import Kind
from parkmeter.core.meter import Spec
from parkmeter.core.money import Minutes
from parkmeter.errors import (
    InvalidRequestError,
    KeyReusedError,
    LimitExceededError,
    OverBudgetError,
    StoreBusyError,
    UnknownEndpointError,
)
from parkmeter.ports import StaleError
from parkmeter.service.changes import Actor
from parkmeter.stores.memory import MemoryStore
from tests.support.world import ADA, BOB, MINUTE, NOON, World


@pytest.fixture
def world() -> World:
    return World()


def test_the_same_key_adds_once_and_returns_the_same_later(world):
    first = world.service.top_up("flan-t5", Minutes.of(10), ADA, "monday")
    world.wind(3 * MINUTE)
    again = world.service.top_up("flan-t5", Minutes.of(10.0), ADA, "monday")
    assert (first.replayed, again.replayed) == (False, True)
    assert replace(again.entry, number=0) == first.entry
    assert world.lines().count(Kind.TOP_UP) == 1


def test_the_same_key_with_another_request_is_refused(world):
    world.service.top_up("flan-t5", Minutes.of(10), ADA, "monday")
    with pytest.raises(KeyReusedError):
        world.service.top_up("flan-t5", Minutes.of(11), ADA, "monday")
    with pytest.raises(KeyReusedError):
        world.service.eject("flan-t5", ADA, "monday")
    assert world.left() == 10 * MINUTE


def test_keys_of_different_tokens_and_endpoints_do_not_meet():
    world = World(Spec("flan-t5"), Spec("falcon"))
    world.service.top_up("flan-t5", Minutes.of(10), ADA, "monday")
    world.service.top_up("flan-t5", Minutes.of(10), BOB, "monday")
    world.service.top_up("falcon", Minutes.of(11), ADA, "monday")
    assert world.left() == 20 * MINUTE
    assert world.left("falcon") == 11 * MINUTE


def test_a_key_is_forgotten_after_seven_days(world):
    world.service.top_up("flan-t5", Minutes.of(10), ADA, "monday")
    world.wind(timedelta(days=7))
    assert not world.service.top_up("flan-t5", Minutes.of(20), ADA, "monday").replayed


def test_a_refusal_is_not_stored_under_its_key(world):
    with pytest.raises(LimitExceededError):
        world.service.top_up("flan-t5", Minutes.of(5000), ADA, "monday")
    assert not world.service.top_up("flan-t5", Minutes.of(5), ADA, "monday").replayed


def test_a_replay_is_answered_even_where_the_request_would_now_be_refused(world):
    world.service.top_up("flan-t5", Minutes.of(1440), ADA, "first")
    for number in range(6):
        world.service.top_up("flan-t5", Minutes.of(1440), ADA, str(number))
    assert world.service.top_up("flan-t5", Minutes.of(1440), ADA, "first").replayed


@pytest.mark.parametrize("minutes", [None, "10", float("nan"), -1, 0, 1e12])
def test_bad_minutes_change_nothing(world, minutes):
    with pytest.raises((InvalidRequestError, LimitExceededError)):
        world.top_up(minutes)
    assert world.lines() == []
    assert world.store.load("flan-t5").version == 0


def test_an_unknown_endpoint_is_refused_with_the_known_names(world):
    with pytest.raises(UnknownEndpointError) as raised:
        world.service.top_up("falcon", Minutes.of(10), ADA)
    assert raised.value.data == {"endpoints": ["flan-t5"]}


def test_minutes_a_day_of_a_token_are_counted_with_the_top_up(world):
    thrifty = Actor("c3", "cleo", minutes_per_day=30)
    world.service.top_up("flan-t5", Minutes.of(20), thrifty)
    with pytest.raises(OverBudgetError):
        world.service.top_up("flan-t5", Minutes.of(20), thrifty)
    assert world.left() == 20 * MINUTE
    world.clock.time += timedelta(days=1)
    world.service.top_up("flan-t5", Minutes.of(20), thrifty)


def test_top_ups_of_many_threads_all_count(world):
    threads = [
        threading.Thread(target=lambda: [world.top_up(1) for _ in range(25)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.service.report("flan-t5").meter.expires_at == NOON + 200 * MINUTE


def test_a_store_that_is_always_stale_is_busy_and_no_driver_is_called():
    class NeverAgrees(MemoryStore):
        def commit(self, meter, entries, budget=None, claim=None):
            raise StaleError(meter.name)

    world = World(store=NeverAgrees())
    with pytest.raises(StoreBusyError):
        world.top_up(10)
    assert world.driver.calls == []


def _never_agrees(meter, *_):
    raise StaleError(meter.name)


def test_a_request_overtaken_by_its_own_repetition_is_a_replay(world):
    commit = world.store.commit

    def overtaken(*arguments):
        world.store.commit = commit
        world.top_up(10, "monday")
        return commit(*arguments)

    world.store.commit = overtaken
    assert world.service.top_up("flan-t5", Minutes.of(10), ADA, "monday").replayed
    assert world.left() == 10 * MINUTE
    assert world.lines().count(Kind.TOP_UP) == 1
