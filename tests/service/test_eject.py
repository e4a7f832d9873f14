"""Ejects, and what they do to a drain and to the leash."""

from datetime import timedelta

import pytest

from parkmeter.core.meter import Phase
from parkmeter.errors import (
    ExpiryMovedError,
    StoreBusyError,
)
from parkmeter.ports import StaleError
from parkmeter.stores.memory import MemoryStore
from tests.support.world import ADA, MINUTE, NOON, SECOND, World, spec


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def leashed() -> World:
    """Return a world whose endpoints end at their deadline by themselves, as processes do."""
    world = World()
    world.driver.leash = True
    return world


def test_an_eject_ends_it_now_and_says_what_was_given_up(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    answer = world.service.eject("flan-t5", ADA)
    world.wind(3 * SECOND)
    assert world.status() == "stopped"
    assert -10 * MINUTE < answer.entry.amount < -9 * MINUTE
    assert answer.entry.left == timedelta(0)


def test_an_eject_while_starting_leaves_nothing_running(world):
    world.driver.start_takes = 10 * MINUTE
    world.top_up(10)
    world.wind(MINUTE)
    world.service.eject("flan-t5", ADA)
    world.wind(3 * SECOND)
    assert world.status() == "stopped"
    assert list(world.driver.owned()) == []


def test_an_eject_with_an_expiry_that_moved_changes_nothing(world):
    world.top_up(10)
    seen = world.service.report("flan-t5").meter.expires_at
    world.top_up(10)
    with pytest.raises(ExpiryMovedError) as raised:
        world.service.eject("flan-t5", ADA, seen=seen)
    assert raised.value.data == {"expires_at": seen + 10 * MINUTE}
    assert world.left() == 20 * MINUTE
    world.service.eject("flan-t5", ADA, seen=seen + 10 * MINUTE)
    assert world.left() == timedelta(0)


def test_the_credit_at_the_end_of_a_start_is_no_top_up_that_an_eject_has_to_know_of(world):
    world.driver.start_takes = MINUTE
    world.top_up(10)
    seen = world.service.report("flan-t5").meter.expires_at
    world.wind(2 * MINUTE)
    assert world.service.report("flan-t5").meter.expires_at > seen, "by the credit"
    with pytest.raises(ExpiryMovedError):
        world.service.eject("flan-t5", ADA, seen=seen - SECOND)
    world.service.eject("flan-t5", ADA, seen=seen)
    assert world.left() == timedelta(0)


def test_a_top_up_behind_the_credit_still_refuses_the_eject(world):
    world.driver.start_takes = MINUTE
    world.top_up(10)
    seen = world.service.report("flan-t5").meter.expires_at
    world.wind(2 * MINUTE)
    world.top_up(1)
    with pytest.raises(ExpiryMovedError):
        world.service.eject("flan-t5", ADA, seen=seen)


def test_a_second_eject_does_not_cut_the_drain_short(leashed):
    world = leashed
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.gate.requests["flan-t5"] = 1
    world.service.eject("flan-t5", ADA)
    world.wind(5 * SECOND)
    world.service.eject("flan-t5", ADA)
    world.wind(10 * SECOND)
    assert world.driver.observe(spec()).phase is Phase.READY
    world.wind(20 * SECOND)
    assert world.status() == "stopped"


@pytest.mark.parametrize("draining", [True, False])
def test_an_eject_that_is_refused_does_not_cut_a_drain_short(leashed, draining):
    world = leashed
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.gate.requests["flan-t5"] = 1
    if draining:
        world.wind(world.left() + 5 * SECOND)
    with pytest.raises(ExpiryMovedError):
        world.service.eject("flan-t5", ADA, seen=NOON)
    world.wind(world.left() + 10 * SECOND)
    assert world.driver.observe(spec()).phase is Phase.READY


def test_the_leash_has_the_deadline_before_an_ejects_commit(leashed):
    world = leashed
    world.top_up(10)
    world.wind(2 * MINUTE)

    def killed(meter: object, entries: object, *more: object) -> None:
        MemoryStore.commit(world.store, meter, entries, *more)
        raise KeyboardInterrupt

    world.store.commit = killed
    with pytest.raises(KeyboardInterrupt):
        world.service.eject("flan-t5", ADA)
    world.clock.time += world.specs["flan-t5"].drain + 3 * SECOND
    assert list(world.driver.owned()) == []


def test_an_eject_that_is_refused_ends_nothing(leashed):
    world = leashed
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.store.commit = _never_agrees
    with pytest.raises(StoreBusyError):
        world.service.eject("flan-t5", ADA)
    del world.store.commit
    world.wind(5 * MINUTE)
    assert world.status() == "running"


def _never_agrees(meter, *_):
    raise StaleError(meter.name)
