"""Bought time until a start is called: it stands still, as far as the start-up credit goes."""

from datetime import timedelta

import pytest

from parkmeter.core.journal import Kind
from parkmeter.core.meter import ZERO
from parkmeter.errors import StoreBusyError
from parkmeter.ports import StaleError
from parkmeter.stores.memory import MemoryStore
from tests.support.scheduled import NINE
from tests.support.scheduled import spec as with_hours
from tests.support.scheduled import world as scheduled
from tests.support.world import ADA, MINUTE, SECOND, World, spec


def test_a_clock_that_comes_late_does_not_eat_the_bought_time():
    world = World()
    world.top_up(0.05)
    world.clock.time += 5 * SECOND  # no look meanwhile
    assert world.left() == 3 * SECOND
    world.wind(ZERO)
    world.wind(2 * SECOND)
    assert world.status() == "running"
    credit = next(e for e in world.service.journal("flan-t5", 9) if e.kind is Kind.CREDIT)
    assert credit.amount >= 5 * SECOND
    assert "5.0 s of it before its call" in credit.why


def test_a_store_that_is_busy_after_the_top_up_does_not_eat_the_bought_time():
    world = World()
    world.top_up(1)

    def busy(meter, *_):
        raise StaleError(meter.name)

    world.store.commit = busy
    with pytest.raises(StoreBusyError):
        world.service.reconcile("flan-t5")
    del world.store.commit
    world.clock.time += 2 * MINUTE
    world.service.reconcile("flan-t5")
    assert world.left() == MINUTE


def test_a_gateway_that_was_killed_before_the_start_call_starts_what_was_bought():
    world = World()
    world.top_up(1)
    world.service = world.another_service()
    world.clock.time += 10 * MINUTE
    world.service.begin()
    world.wind(2 * SECOND)
    assert world.status() == "running"
    assert world.left() >= MINUTE - SECOND


def test_time_goes_on_while_the_gateway_is_off_once_the_endpoint_was_parked():
    world = World()
    world.top_up(10)
    world.wind(MINUTE)
    left = world.left()
    world.service.park()
    world.clock.time += SECOND
    world.service.park()
    world.clock.time += MINUTE
    assert world.left() == left - MINUTE - SECOND


def test_without_credit_a_late_clock_finds_the_time_used_up():
    world = World(spec(startup_credit=ZERO))
    world.top_up(0.05)
    world.clock.time += 5 * SECOND
    world.wind(ZERO)
    assert world.calls("start") == []
    assert world.service.journal("flan-t5", 1)[0].why == "time used up; it was never started"


def test_a_second_top_up_before_the_start_call_adds_to_what_stands_still():
    world = World()
    world.top_up(1)
    world.clock.time += 2 * MINUTE
    world.top_up(1)
    assert world.left() == 2 * MINUTE
    world.wind(ZERO)
    assert world.left() == 2 * MINUTE
    world.service.eject("flan-t5", ADA)
    assert world.left() == ZERO


def test_a_windows_end_is_not_pushed_back_by_a_late_start_call():
    world = scheduled(with_hours())
    world.wind(NINE - world.now - SECOND)
    world.clock.time = NINE
    world.service.reconcile("flan-t5")
    close = world.service.report("flan-t5").closes_at
    world.clock.time += 10 * MINUTE
    world.wind(timedelta(minutes=5))
    assert world.service.report("flan-t5").closes_at == close == NINE + timedelta(hours=8)


def test_a_gateway_killed_right_after_ready_leaves_the_leash_no_unused_credit():
    world = World()
    world.driver.leash = True
    world.driver.start_takes = 10 * SECOND
    world.top_up(1)

    def killed(meter, entries, *more):
        committed = MemoryStore.commit(world.store, meter, entries, *more)
        if any(entry.kind is Kind.READY for entry in entries):
            raise KeyboardInterrupt
        return committed

    world.store.commit = killed
    with pytest.raises(KeyboardInterrupt):
        world.wind(MINUTE)
    world.clock.time += MINUTE + world.specs["flan-t5"].drain + 3 * SECOND
    assert list(world.driver.owned()) == []
