"""An expiry found where ours is published: adopted, or recognized as our own."""

from datetime import timedelta

import pytest

from parkmeter.core.journal import Kind
from parkmeter.core.meter import overdue
from parkmeter.service.changes import Edit
from tests.support.world import MINUTE, NOON, SECOND, World, spec

FREE = {"startup_credit": timedelta(0)}


@pytest.fixture
def world() -> World:
    world = World(spec(**FREE))
    world.top_up(20)
    world.wind(MINUTE)
    return world


def adopt(world: World, at, edit: str = "1", made=None):
    edited = Edit(edit, made or world.now, "operator")
    return world.service.adopt("flan-t5", at, edited)


def test_a_later_expiry_is_taken_over_and_journaled(world):
    assert adopt(world, NOON + 40 * MINUTE) == NOON + 40 * MINUTE
    newest = world.service.journal("flan-t5", 1)[0]
    assert newest.kind is Kind.EDIT
    assert newest.who == "operator"
    assert newest.amount == 20 * MINUTE
    assert world.left() == 39 * MINUTE


def test_an_earlier_expiry_shortens(world):
    adopt(world, NOON + 5 * MINUTE)
    world.wind(5 * MINUTE)
    assert world.status() == "stopped"


def test_an_expiry_that_has_passed_ends_it_now(world):
    assert adopt(world, NOON - MINUTE) == world.now
    assert world.left() == timedelta(0)


def test_a_recently_published_expiry_is_our_own_late_write(world):
    first = world.store.load("flan-t5").expires_at
    world.top_up(10)
    assert adopt(world, first) == first + 10 * MINUTE
    assert world.lines().count(Kind.EDIT) == 0


def test_the_present_expiry_less_its_fraction_of_a_second_is_no_edit():
    world = World(spec(**FREE))
    world.clock.time += timedelta(microseconds=123_456)
    world.top_up(20)
    present = world.store.load("flan-t5").expires_at
    assert adopt(world, present.replace(microsecond=0)) == present
    assert world.lines() == [Kind.TOP_UP]


def test_it_is_kept_within_the_limits_of_a_top_up(world):
    assert adopt(world, NOON + timedelta(days=300)) == NOON + 20 * MINUTE + timedelta(days=1)
    assert "within the limits" in world.service.journal("flan-t5", 1)[0].why


def test_an_edit_that_is_found_again_is_not_adopted_again(world):
    beyond = NOON + timedelta(days=300)
    clipped = adopt(world, beyond)
    for _ in range(3):
        assert adopt(world, beyond) == clipped
    assert world.lines().count(Kind.EDIT) == 1
    assert adopt(world, beyond, edit="2") > clipped


def test_a_top_up_after_an_edit_in_the_past_stands_when_the_edit_is_found_again(world):
    adopt(world, NOON - MINUTE)
    world.top_up(10)
    adopt(world, NOON - MINUTE)
    assert world.left() == 10 * MINUTE


def test_an_edit_from_before_the_meter_was_opened_is_ignored(world):
    present = world.store.load("flan-t5").expires_at
    assert adopt(world, NOON - MINUTE, made=NOON - SECOND) == present


def test_an_edit_of_a_stopped_endpoint_starts_it():
    world = World(spec(**FREE))
    adopt(world, NOON + 10 * MINUTE)
    world.service.begin()
    world.wind(5 * SECOND)
    assert world.status() == "running"


def test_an_edit_to_the_past_of_a_stopped_endpoint_changes_nothing():
    world = World(spec(**FREE))
    before = world.store.load("flan-t5")
    assert adopt(world, NOON - MINUTE) == before.expires_at
    assert world.store.load("flan-t5") == before


def test_a_warning_is_journaled_once_per_key(world):
    for _ in range(3):
        world.service.warn("flan-t5", "that is no time", "odd:1")
    assert world.lines().count(Kind.WARNING) == 1
    assert [entry.why for entry in world.notifier.sent].count("that is no time") == 1


def test_while_it_stands_still_for_a_start_nothing_is_overdue():
    world = World()
    world.top_up(1)
    world.wind(SECOND / 100)
    flan, meter = world.specs["flan-t5"], world.store.load("flan-t5")
    credit_ends = meter.expires_at + meter.credit_left
    assert overdue(flan, meter, credit_ends + flan.drain) == timedelta(0)
    assert overdue(flan, meter, credit_ends + flan.drain + SECOND) == SECOND


def test_overdue_counts_from_close_and_drain_until_it_is_settled(world):
    flan, meter = world.specs["flan-t5"], world.store.load("flan-t5")
    close = meter.expires_at
    assert overdue(flan, meter, close - SECOND) == timedelta(0)
    assert overdue(flan, meter, close + flan.drain) == timedelta(0)
    assert overdue(flan, meter, close + flan.drain + SECOND) == SECOND
    world.wind(30 * MINUTE)
    assert overdue(flan, world.store.load("flan-t5"), world.now) == timedelta(0)
