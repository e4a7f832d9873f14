"""The life of a metered endpoint from top-up to stop."""

from datetime import timedelta

import pytest

from parkmeter.core.journal import Kind
from parkmeter.core.meter import Phase
from tests.support.world import ADA, MINUTE, SECOND, World, spec


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def leashed() -> World:
    """Return a world whose endpoints end at their deadline by themselves, as processes do."""
    world = World()
    world.driver.leash = True
    return world


def test_a_top_up_starts_the_endpoint_and_the_used_up_time_ends_it(world):
    world.top_up(10)
    assert world.status() == "starting"
    world.wind(2 * SECOND)
    assert world.status() == "running"
    world.wind(10 * MINUTE + SECOND)
    assert world.status() == "stopped"
    assert world.lines() == [
        Kind.TOP_UP,
        Kind.START,
        Kind.CREDIT,
        Kind.READY,
        Kind.WARNING,
        Kind.STOP,
    ]
    assert world.clock.due == {}
    assert list(world.store.unsettled()) == []


def test_bought_minutes_are_usable_minutes_however_long_the_start_takes(world):
    world.driver.start_takes = 20 * MINUTE
    world.top_up(10)
    world.wind(20 * MINUTE - SECOND)
    assert (world.status(), world.left()) == ("starting", 10 * MINUTE)
    world.wind(3 * SECOND)
    ready = next(entry for entry in world.notifier.sent if entry.kind is Kind.READY)
    assert ready.left == 10 * MINUTE
    stopped_at = ready.at + 10 * MINUTE
    world.wind(stopped_at - world.now - timedelta(milliseconds=1))
    assert world.status() == "running"
    world.wind(5 * SECOND)
    assert world.status() == "stopped"


def test_the_stop_is_called_at_the_exact_close(world):
    world.top_up(10)
    world.wind(15 * MINUTE)
    stops = [call.at for call in world.driver.calls if call.method == "stop"]
    close = next(e.expires_at for e in world.notifier.sent if e.kind is Kind.READY)
    assert stops == [close]


def test_requests_in_flight_at_the_close_are_waited_for(world):
    world.top_up(10)
    world.wind(5 * MINUTE)
    world.gate.requests["flan-t5"] = 1
    world.wind(5 * MINUTE + 10 * SECOND)
    assert world.status() == "stopping"
    assert world.calls("stop") == []
    world.gate.requests["flan-t5"] = 0
    world.clock.wake("flan-t5")
    world.wind(5 * SECOND)
    assert world.status() == "stopped"


def test_requests_that_never_end_are_cut_off_after_the_drain(world):
    world.top_up(10)
    world.gate.requests["flan-t5"] = 1
    world.wind(10 * MINUTE + 31 * SECOND + 5 * SECOND)
    assert world.status() == "stopped"
    close = next(e.expires_at for e in world.notifier.sent if e.kind is Kind.READY)
    stops = [call.at for call in world.driver.calls if call.method == "stop"]
    assert stops == [close + world.specs["flan-t5"].drain]


def test_a_request_admitted_between_two_readings_still_gets_its_drain(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    close = world.store.load("flan-t5").expires_at
    world.clock.time = close - SECOND / 1000

    def admits_late(name: str) -> int:
        world.clock.time = close + SECOND / 1000
        return 0

    world.gate.in_flight = admits_late
    world.service.reconcile("flan-t5")
    assert world.calls("stop") == []


def test_a_top_up_while_stopping_ends_with_a_running_endpoint(world):
    world.driver.stop_takes = MINUTE
    world.top_up(10)
    world.wind(10 * MINUTE + 5 * SECOND)
    assert world.status() == "stopping"
    world.top_up(10)
    world.wind(2 * MINUTE)
    assert world.status() == "running"
    # The waiting for the old one's end is part of the start, so no bought time is lost.
    assert world.left() > 9 * MINUTE - 5 * SECOND


def test_a_top_up_right_after_an_eject_begins_a_new_life_with_all_its_lines(world):
    world.driver.stop_takes = timedelta(0)
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.service.eject("flan-t5", ADA)
    world.service.reconcile("flan-t5")
    world.top_up(10)
    world.wind(MINUTE)
    assert world.lines()[-5:] == [Kind.TOP_UP, Kind.STOP, Kind.START, Kind.CREDIT, Kind.READY]
    report = world.service.report("flan-t5")
    assert report.meter.run.attempts == 1
    newest = world.service.journal("flan-t5", 1)[0]
    assert newest.expires_at == report.meter.expires_at


def test_a_top_up_after_an_eject_while_starting_begins_a_new_life(world):
    world.driver.start_takes = 5 * MINUTE
    world.driver.stop_takes = timedelta(0)
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.service.eject("flan-t5", ADA)
    world.service.reconcile("flan-t5")
    world.top_up(10)
    world.wind(6 * MINUTE)
    report = world.service.report("flan-t5")
    assert report.shown.status == "running"
    assert report.meter.run.attempts == 1
    assert world.lines()[-4:] == [Kind.STOP, Kind.START, Kind.CREDIT, Kind.READY]


def test_what_was_served_is_not_given_back_when_a_ready_endpoint_starts_once_more(world):
    world.top_up(10)
    world.wind(5 * MINUTE)
    left = world.left()
    world.driver.show("flan-t5", Phase.STARTING)
    world.wind(2 * SECOND)
    assert world.left() <= left
    world.driver.show("flan-t5", Phase.READY)
    world.wind(2 * SECOND)
    assert world.left() <= left - SECOND
    newest = world.service.journal("flan-t5", 1)[0]
    assert newest.expires_at == world.service.report("flan-t5").meter.expires_at


def test_a_crash_after_an_hour_gives_no_hour_back(world):
    world.top_up(120)
    world.wind(60 * MINUTE)
    left = world.left()
    world.driver.crash("flan-t5", "exit code 139")
    world.wind(10 * SECOND)
    assert world.status() == "running"
    assert left - 10 * SECOND <= world.left() <= left


def test_an_end_at_the_close_that_was_not_observed_is_no_failure(leashed):
    world = leashed
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.clock.time += 20 * MINUTE
    world.top_up(10)
    world.wind(5 * SECOND)
    assert world.status() == "running"
    assert Kind.FAILURE not in world.lines()
    assert world.lines().count(Kind.STOP) == 1


def test_a_warning_is_not_repeated_after_a_crash():
    world = World(spec(startup_credit=timedelta(0)))
    world.top_up(20)
    world.wind(11 * MINUTE)
    assert world.lines().count(Kind.WARNING) == 1
    world.driver.crash("flan-t5", "exit code 1")
    world.wind(4 * MINUTE)
    assert world.status() == "running"
    assert world.lines().count(Kind.WARNING) == 1


def test_views_reach_the_gate_with_every_change(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    view = world.gate.views["flan-t5"]
    meter = world.store.load("flan-t5")
    assert view.address == "http://flan-t5.test"
    assert (view.version, view.open_until) == (meter.version, meter.expires_at)
    world.top_up(10)
    assert world.gate.views["flan-t5"].open_until == meter.expires_at + 10 * MINUTE


def test_a_view_says_when_the_next_start_is_only_while_backing_off(world):
    world.top_up(10)
    assert world.gate.views["flan-t5"].retry_at is None
    world.wind(SECOND / 2)
    assert world.gate.views["flan-t5"].retry_at is None
    world.driver.crash("flan-t5", "exit code 1")
    world.wind(SECOND)
    assert world.gate.views["flan-t5"].retry_at is not None


def test_a_top_up_moves_the_deadline_before_it_is_answered(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.top_up(10)
    kept = [call for call in world.driver.calls if call.method == "keep"][-1]
    assert kept.until == world.store.load("flan-t5").expires_at


def during_the_start(world, change):
    """Have `change` made between the commit of a start and its call."""
    start = world.driver.start

    def slow(*arguments):
        world.driver.start = start
        change()
        start(*arguments)

    world.driver.start = slow


def test_a_top_up_while_the_start_is_called_reaches_the_leash_before_the_next_look(leashed):
    leashed.top_up(10)
    during_the_start(leashed, lambda: leashed.top_up(20))
    leashed.service.reconcile("flan-t5")
    leashed.clock.due.clear()  # killed: nothing looks again
    leashed.wind(45 * MINUTE)
    assert leashed.driver.owned() == ["flan-t5"]


def test_an_eject_while_the_start_is_called_reaches_the_leash_before_the_next_look(leashed):
    leashed.top_up(10)
    during_the_start(leashed, lambda: leashed.service.eject("flan-t5", ADA))
    leashed.service.reconcile("flan-t5")
    leashed.clock.due.clear()  # killed: nothing looks again
    leashed.wind(2 * MINUTE)
    assert leashed.driver.owned() == []
