"""A closed meter that is woken holds `wake_minutes` once, however many ask."""

import threading

import pytest

from parkmeter.core.hours import Hours
from parkmeter.core.journal import SYSTEM, Kind
from parkmeter.core.meter import Spec
from parkmeter.core.money import Minutes
from parkmeter.errors import DeviceBusyError, OverBudgetError
from parkmeter.service.changes import Actor
from parkmeter.stores.sqlite import SqliteStore
from tests.support.world import ADA, BOB, MINUTE, World

WAKE = 10 * MINUTE


@pytest.fixture
def world() -> World:
    return World(Spec("flan-t5", wake=WAKE))


def bought(world: World) -> list:
    return [entry for entry in world.notifier.sent if entry.kind is Kind.TOP_UP]


def test_a_prompt_of_any_token_wakes_a_closed_meter(world):
    entry = world.service.wake("flan-t5", ADA)
    assert (entry.who, entry.amount, entry.why) == ("ada", WAKE, "woken by a prompt")
    world.wind(MINUTE)
    assert world.status() == "running"


def test_an_open_meter_is_left_as_it_is(world):
    world.top_up(5)
    assert world.service.wake("flan-t5", ADA) is None
    assert world.left() == 5 * MINUTE


def test_an_endpoint_without_the_setting_sleeps_on():
    world = World()
    assert world.service.wake("flan-t5", ADA) is None
    assert world.status() == "stopped"


def test_many_at_once_buy_once(tmp_path):
    world = World(Spec("flan-t5", wake=WAKE), store=SqliteStore(tmp_path / "store"))
    try:
        ready = threading.Barrier(16)

        def wake(who: Actor) -> None:
            ready.wait()
            world.service.wake("flan-t5", who)

        askers = [threading.Thread(target=wake, args=((ADA, BOB)[n % 2],)) for n in range(16)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert len(bought(world)) == 1
        assert world.left() == WAKE
    finally:
        world.store.close()


def test_a_prompt_wakes_it_again_after_the_time_is_used_up(world):
    world.service.wake("flan-t5", ADA)
    world.wind(20 * MINUTE)
    assert world.status() == "stopped"
    world.service.wake("flan-t5", BOB)
    world.wind(MINUTE)
    assert (world.status(), len(bought(world))) == ("running", 2)


def test_a_meter_ejected_in_a_window_is_not_woken_until_the_next_one():
    daily = Hours.of(["Mon-Sun 00:00-23:00 UTC"])
    world = World(Spec("flan-t5", wake=WAKE, hours=daily))
    world.service.begin()
    world.wind(MINUTE)
    assert world.status() == "running"
    world.service.eject("flan-t5", ADA)
    assert world.service.wake("flan-t5", BOB) is None
    world.wind(MINUTE)
    assert world.status() == "stopped"
    world.wind(24 * 60 * MINUTE)
    assert world.status() == "running"


def test_a_meter_ejected_as_idle_in_a_window_may_be_woken():
    daily = Hours.of(["Mon-Sun 00:00-23:00 UTC"])
    world = World(Spec("flan-t5", wake=WAKE, hours=daily, idle=5 * MINUTE))
    world.service.begin()
    world.wind(30 * MINUTE)
    assert [e.who for e in world.notifier.sent if e.kind is Kind.EJECT] == [SYSTEM]
    assert world.status() == "stopped"
    assert world.service.wake("flan-t5", BOB) is not None
    world.wind(MINUTE)
    assert world.status() == "running"


def test_the_budget_of_the_token_counts(world):
    poor = Actor("p1", "poor", minutes_per_day=15)
    world.service.wake("flan-t5", poor)
    world.wind(20 * MINUTE)
    with pytest.raises(OverBudgetError):
        world.service.wake("flan-t5", poor)
    assert world.status() == "stopped"
    world.service.wake("flan-t5", ADA)
    assert world.left() == WAKE


def test_a_device_that_is_held_is_not_taken():
    world = World(Spec("flan-t5", wake=WAKE, device="gpu0"), Spec("falcon", device="gpu0"))
    world.service.top_up("falcon", Minutes.of(10), ADA)
    with pytest.raises(DeviceBusyError):
        world.service.wake("flan-t5", ADA)
