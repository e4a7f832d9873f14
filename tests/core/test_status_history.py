"""The journal as the statuses that people were shown."""

from datetime import timedelta
from itertools import pairwise

import pytest

from parkmeter.core.journal import Kind
from parkmeter.core.journal_reader import lines_of
from parkmeter.core.status_history import StatusInterval, status_intervals, top_ups
from tests.support.world import ADA, MINUTE, NOON, SECOND, World, spec


@pytest.fixture
def world() -> World:
    return World(spec(startup_credit=timedelta(0), drain=10 * SECOND))


def history(world: World, begin=NOON, end=None) -> list[StatusInterval]:
    end = end or world.now
    found = lines_of(world.store, "flan-t5", begin, end)
    return status_intervals(found.entries, begin, end, found.showing)


def test_a_meter_that_was_never_used_was_stopped_all_the_time(world):
    world.wind(MINUTE)
    assert history(world) == [StatusInterval("stopped", NOON, NOON + MINUTE, "")]


def test_a_life_is_starting_running_stopping_and_stopped(world):
    world.wind(MINUTE)
    world.driver.start_takes = 20 * SECOND
    world.gate.requests["flan-t5"] = 1
    world.top_up(10)
    world.wind(20 * MINUTE)
    assert [(one.status, (one.begin - NOON) // SECOND) for one in history(world)] == [
        ("stopped", 0),
        ("starting", 60),
        ("running", 80),
        ("stopping", 660),
        ("stopped", 671),
    ]
    assert history(world)[2].reason.startswith("ready after 2")


def test_a_failed_endpoint_is_failed_until_it_starts_again_and_stopped_when_its_time_is_up(world):
    world.driver.refuse("start", "flan-t5", 10_000, "no capacity")
    world.top_up(10)
    world.wind(30 * MINUTE)
    found = history(world)
    assert {one.status for one in found} >= {"failed"}
    assert found[-1].status == "stopped"
    assert found[-1].begin == NOON + 10 * MINUTE


def test_the_stretches_have_no_gap_and_neighbours_differ_whatever_period_is_asked_for(world):
    for _ in range(4):
        world.top_up(3)
        world.wind(2 * MINUTE)
        world.top_up(1)
        world.wind(MINUTE)
        world.service.eject("flan-t5", ADA)
        world.wind(2 * MINUTE)
    for since in range(0, 20, 3):
        for minutes in (1, 7, 60):
            begin, end = NOON + since * MINUTE, NOON + (since + minutes) * MINUTE
            found = history(world, begin, end)
            assert (found[0].begin, found[-1].end) == (begin, end)
            for one, after in pairwise(found):
                assert one.end == after.begin
                assert one.status != after.status


def test_an_endpoint_whose_gateway_was_stopped_is_stopped_until_it_starts_again(world):
    world.top_up(60)
    world.wind(MINUTE)
    while world.service.park():
        world.clock.time += SECOND
    world.clock.time += 8 * MINUTE  # a gateway that is off looks at nothing
    world.service = world.another_service()
    world.clock.wake("flan-t5")
    world.wind(MINUTE)
    off, *back = history(world)[-3:]
    assert (off.status, off.reason) == ("stopped", "the gateway was stopped")
    assert off.end - off.begin >= 8 * MINUTE
    assert [one.status for one in back] == ["starting", "running"]


def test_an_endpoint_that_failed_is_stopped_too_while_its_gateway_is_off(world):
    world.driver.refuse("start", "flan-t5", 10_000, "no capacity")
    world.top_up(60)
    world.wind(5 * SECOND)
    assert world.status() == "failed"
    assert world.service.park() == []
    world.clock.time += 8 * MINUTE
    off = history(world)[-1]
    assert (off.status, off.reason) == ("stopped", "the gateway was stopped")
    assert off.end - off.begin == 8 * MINUTE


def test_what_was_never_started_is_stopped_from_its_close_on(world):
    world.top_up(5)  # and no look comes in time
    world.clock.time += 60 * MINUTE
    world.service = world.another_service()
    world.service.reconcile("flan-t5")
    world.service.reconcile("flan-t5")
    waited, stopped = history(world)
    assert (waited.status, waited.end) == ("starting", NOON + 5 * MINUTE)
    assert (stopped.status, stopped.reason) == (
        "stopped",
        "time used up; it was never started",
    )
    assert world.lines().count(Kind.STOP) == 1
    assert world.service.receipt("flan-t5").time_on == timedelta(0)


def test_what_was_parked_and_closed_meanwhile_is_told_once(world):
    world.top_up(5)
    world.wind(MINUTE)
    while world.service.park():
        world.clock.time += SECOND
    world.clock.time += 60 * MINUTE
    world.service = world.another_service()
    world.service.reconcile("flan-t5")
    assert world.lines().count(Kind.STOP) == 1


def test_top_ups_are_those_that_added_time_in_the_period(world):
    world.top_up(10)
    world.wind(MINUTE)
    world.top_up(5)
    lines = lines_of(world.store, "flan-t5", NOON, world.now).entries
    assert [one.amount for one in top_ups(lines, NOON, NOON + MINUTE)] == [10 * MINUTE]
    assert len(top_ups(lines, NOON, NOON + 2 * MINUTE)) == 2
