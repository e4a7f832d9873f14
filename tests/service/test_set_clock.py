"""A wall clock that is set: elapsed time bounds what was bought, wall time says the hour."""

from datetime import timedelta

import pytest

from parkmeter.core.hours import Hours
from parkmeter.core.journal import Kind
from parkmeter.core.meter import Phase
from parkmeter.core.status import View
from tests.support.world import ADA, MINUTE, NOON, SECOND, World, spec

FIVE_HOURS = timedelta(hours=5)


@pytest.fixture
def world() -> World:
    world = World()
    world.top_up(60)
    world.wind(2 * SECOND)
    assert world.status() == "running"
    return world


def look(world: World) -> None:
    """Look at once, as after every jump of the clock."""
    world.clock.due = {"flan-t5": world.now}
    world.wind(SECOND)


def test_a_clock_set_back_adds_no_time(world):
    world.clock.set(-FIVE_HOURS)
    look(world)
    assert 59 * MINUTE < world.left() < 60 * MINUTE
    world.wind(61 * MINUTE)
    assert world.status() == "stopped"
    assert list(world.driver.owned()) == []


def test_that_the_clock_was_set_back_is_in_the_journal_once(world):
    world.clock.set(-FIVE_HOURS)
    look(world)
    world.wind(10 * MINUTE)
    (line,) = (one for one in world.service.journal("flan-t5", 99) if one.kind is Kind.CLOCK)
    assert line.amount == -FIVE_HOURS
    assert line.why.startswith("the clock was set back by 300 min")


def test_a_top_up_moves_the_limit_by_the_minutes_bought(world):
    world.clock.set(-FIVE_HOURS)
    world.top_up(10)
    assert 69 * MINUTE < world.left() <= 70 * MINUTE
    look(world)
    world.wind(69 * MINUTE)
    assert world.status() == "running"
    world.wind(2 * MINUTE)
    assert world.status() == "stopped"


def test_a_clock_that_was_wrong_for_a_while_costs_no_bought_time(world):
    closes = world.service.report("flan-t5").closes_at
    world.clock.set(-FIVE_HOURS)
    look(world)
    world.top_up(10)
    world.wind(10 * MINUTE)
    world.clock.set(FIVE_HOURS)
    look(world)
    assert world.service.report("flan-t5").closes_at == closes + 10 * MINUTE
    assert world.status() == "running"


def test_a_clock_set_forward_closes_the_meter_because_wall_time_says_the_hour(world):
    world.clock.set(FIVE_HOURS)
    look(world)
    world.wind(3 * SECOND)
    assert world.status() == "stopped"


@pytest.mark.parametrize("later", [SECOND, MINUTE, timedelta(hours=2)])
@pytest.mark.parametrize("ejected", [True, False])
def test_a_clock_set_back_opens_no_meter_that_has_closed(world, ejected, later):
    """While its endpoint drains or stops, and when that is gone."""
    if ejected:
        world.service.eject("flan-t5", ADA)
    while world.left():
        world.wind(SECOND)
    world.wind(later)
    world.clock.set(-FIVE_HOURS)
    look(world)
    assert world.left() == 0 * SECOND
    world.wind(2 * MINUTE)
    assert world.left() == 0 * SECOND
    assert world.status() in {"stopping", "stopped"}  # a stop of the fake goes by its wall time
    world.top_up(10)
    world.wind(3 * SECOND)
    assert 9 * MINUTE < world.left() <= 10 * MINUTE


def test_a_meter_that_is_over_stays_closed_without_a_clock_of_elapsed_time():
    world = World()
    world.clock.boot = ""
    world.top_up(10)
    world.wind(20 * MINUTE)
    world.clock.set(-FIVE_HOURS)
    assert world.left() == 0 * SECOND
    assert View.of(world.store.load("flan-t5"), world.now).open_until < world.now
    look(world)
    world.wind(MINUTE)
    assert world.status() == "stopped"


def test_a_suspend_of_the_machine_counts(world):
    world.clock.time += 61 * MINUTE  # both clocks go on
    look(world)
    world.wind(3 * SECOND)
    assert world.status() == "stopped"


def test_a_reboot_voids_the_limit_and_wall_time_counts(world):
    closes = world.service.report("flan-t5").closes_at
    world.clock.boot = "second"
    world.clock.set_by = world.now - NOON  # the new boot's clock begins at zero
    world.service = world.another_service()
    look(world)
    assert world.service.report("flan-t5").closes_at == closes
    world.clock.set(-FIVE_HOURS)
    look(world)
    assert 59 * MINUTE < world.left() < 60 * MINUTE, "from the first look on it is bounded again"


def test_a_restart_of_the_gateway_keeps_the_limit(world):
    world.clock.set(-FIVE_HOURS)
    world.service = world.another_service()
    look(world)
    assert world.left() < 60 * MINUTE


def test_a_system_without_such_a_clock_goes_by_wall_time():
    world = World()
    world.clock.boot = ""
    world.top_up(60)
    world.wind(2 * SECOND)
    world.clock.set(-FIVE_HOURS)
    look(world)
    assert world.left() > FIVE_HOURS


def test_a_window_of_hours_is_wall_time():
    hours = Hours.of(("Mon-Sun 09:00-18:00 UTC",))
    world = World(spec(hours=hours))
    look(world)
    world.wind(5 * SECOND)
    assert world.left() > 5 * timedelta(hours=1)
    world.clock.set(-timedelta(hours=1))
    look(world)
    assert world.service.report("flan-t5").closes_at == NOON + timedelta(hours=6)


@pytest.mark.parametrize("ejected", [True, False])
def test_a_window_that_the_clock_had_wrongly_passed_is_on_again_unless_it_was_ejected(ejected):
    world = World(spec(hours=Hours.of(("Mon-Sun 09:00-18:00 UTC",))))
    look(world)
    world.wind(5 * SECOND)
    if ejected:
        world.service.eject("flan-t5", ADA)
    world.clock.set(7 * timedelta(hours=1))
    look(world)
    world.wind(2 * MINUTE)
    assert world.status() == "stopped"
    world.clock.set(-7 * timedelta(hours=1))
    look(world)
    world.wind(MINUTE)
    assert world.status() == ("stopped" if ejected else "running")


def test_what_is_bought_beyond_a_window_is_bounded_once_the_window_is_over():
    hours = Hours.of(("Mon-Sun 09:00-13:00 UTC",))
    world = World(spec(hours=hours))
    look(world)
    world.top_up(60)
    world.wind(timedelta(hours=1, minutes=1))
    assert 58 * MINUTE < world.left() < 60 * MINUTE
    world.clock.set(-FIVE_HOURS)  # before the window again
    look(world)
    assert world.left() < 60 * MINUTE


def test_the_credit_of_a_start_moves_the_limit_too():
    world = World()
    world.driver.start_takes = 5 * MINUTE
    world.top_up(60)
    world.wind(6 * MINUTE)
    assert world.left() == pytest.approx(59 * MINUTE, abs=2 * SECOND)
    world.clock.set(-FIVE_HOURS)
    look(world)
    assert world.left() == pytest.approx(59 * MINUTE, abs=4 * SECOND)


def test_a_start_goes_on_when_the_clock_is_set_back():
    world = World()
    world.driver.start_takes = 10 * MINUTE
    world.top_up(1)
    world.wind(5 * MINUTE)
    assert world.status() == "starting"
    world.clock.set(-FIVE_HOURS)
    world.driver.show("flan-t5", Phase.STARTING)
    look(world)
    assert world.status() == "starting"
    world.driver.show("flan-t5", Phase.READY)
    look(world)
    assert world.status() == "running"
    assert world.left() == pytest.approx(MINUTE, abs=4 * SECOND)


def test_an_eject_after_a_set_clock_ends_it(world):
    world.clock.set(-FIVE_HOURS)
    world.service.eject("flan-t5", ADA)
    world.wind(5 * SECOND)
    assert world.status() == "stopped"
    world.clock.set(FIVE_HOURS)
    look(world)
    assert world.status() == "stopped"


def test_the_warnings_that_are_still_ahead_come_after_a_clock_was_set_back(world):
    world.wind(world.left() - 5 * MINUTE)  # past the first one
    world.clock.set(-FIVE_HOURS)
    look(world)
    world.wind(6 * MINUTE)
    lines = world.service.journal("flan-t5", 99)[::-1]
    assert [round(one.left / MINUTE) for one in lines if one.kind is Kind.WARNING] == [10, 2]


@pytest.mark.parametrize("by", [-4, 4])
def test_small_corrections_of_the_clock_change_nothing(world, by):
    before = world.store.load("flan-t5").expires_at
    world.clock.set(by * SECOND)
    look(world)
    assert world.store.load("flan-t5").expires_at == before


def test_many_small_steps_back_add_up_to_no_more_than_one(world):
    for _ in range(100):
        world.clock.set(-4 * SECOND)
        look(world)
    assert world.left() < 60 * MINUTE


def test_a_run_of_the_wrong_hours_and_the_next_one_have_keys_of_their_own(world):
    world.clock.set(-FIVE_HOURS)
    look(world)
    assert world.service.park() == ["flan-t5"]
    world.clock.time += 2 * SECOND
    assert world.service.park() == []
    world.service = world.another_service()
    world.service.begin()
    world.wind(5 * SECOND)
    assert world.status() == "running"
    world.driver.vanish("flan-t5")
    world.clock.set(FIVE_HOURS)
    look(world)
    world.wind(MINUTE)
    assert world.status() == "running"
    lines = world.lines()
    assert (lines.count(Kind.START), lines.count(Kind.READY), lines.count(Kind.STOP)) == (3, 3, 1)
