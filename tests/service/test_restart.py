"""The start and end of a gateway: first provisioning, adoption, sweep, park."""

import threading
from datetime import timedelta

import pytest

from parkmeter.core.journal import Kind
from parkmeter.core.meter import Phase, Spec
from parkmeter.core.money import Minutes
from parkmeter.errors import (
    StoreBusyError,
)
from tests.support.world import ADA, MINUTE, SECOND, World


@pytest.fixture
def world() -> World:
    return World()


def test_at_the_start_of_a_gateway_the_gate_is_shown_every_meter():
    world = World(Spec("flan-t5"), Spec("falcon"))
    world.top_up(10)
    world.gate.views.clear()
    world.another_service().begin()
    assert {name: view.status for name, view in world.gate.views.items()} == {
        "flan-t5": "starting",
        "falcon": "stopped",
    }


def test_after_a_restart_a_running_endpoint_is_adopted(world):
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.service = world.another_service()
    world.service.sweep()
    world.wind(MINUTE)
    assert world.status() == "running"
    assert world.calls("start") == ["start"]
    world.wind(10 * MINUTE)
    assert world.status() == "stopped"


def test_after_a_restart_past_the_close_the_meter_is_settled(world):
    world.driver.leash = True
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.service = world.another_service()
    world.wind(20 * MINUTE)
    assert list(world.driver.owned()) == []
    world.service.sweep()
    world.wind(SECOND)
    assert world.status() == "stopped"
    assert world.lines()[-1] is Kind.STOP


def test_the_sweep_stops_what_is_no_longer_configured_and_touches_nothing_else(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.driver.show("removed", Phase.READY)
    world.service.sweep()
    world.wind(2 * SECOND)
    assert list(world.driver.owned()) == ["flan-t5"]


def test_the_sweep_stops_what_runs_on_a_settled_meter(world):
    world.driver.show("flan-t5", Phase.READY)
    world.service.sweep()
    world.wind(5 * SECOND)
    assert list(world.driver.owned()) == []


def test_first_provisioning_happens_once_and_never_again(world):
    world.service.provision("flan-t5", 60 * MINUTE)
    world.service.provision("flan-t5", 60 * MINUTE)
    assert world.left() == 60 * MINUTE
    world.wind(2 * timedelta(hours=1))
    world.another_service().provision("flan-t5", 60 * MINUTE)
    assert world.status() == "stopped"


def test_first_provisioning_of_no_minutes_does_nothing(world):
    world.service.provision("flan-t5", timedelta(0))
    assert world.lines() == []


def test_parking_stops_all_and_a_later_start_goes_on_with_the_time_left(world):
    world.top_up(10)
    world.wind(2 * MINUTE)
    expires_at = world.service.report("flan-t5").meter.expires_at
    assert world.service.park() == ["flan-t5"]
    world.clock.time += SECOND
    assert world.service.park() == []
    assert list(world.driver.owned()) == []
    assert world.service.report("flan-t5").meter.expires_at == expires_at
    world.service = world.another_service()
    world.service.sweep()
    world.wind(5 * SECOND)
    assert world.status() == "running"


def test_parking_during_a_slow_start_does_not_eat_the_bought_time(world):
    world.driver.start_takes = 5 * MINUTE
    world.top_up(1)
    world.wind(3 * MINUTE)
    world.service.park()
    world.clock.time += SECOND
    assert world.service.park() == []
    assert world.left() == MINUTE
    assert world.lines()[-2:] == [Kind.CREDIT, Kind.STOP]


def test_one_endpoint_whose_end_cannot_be_recorded_is_stopped_as_the_others():
    world = World(Spec("a"), Spec("b"))
    for name in ("a", "b"):
        world.service.top_up(name, Minutes.of(10), ADA)
    world.wind(2 * SECOND)
    commit = world.store.commit

    def busy_for_a(meter, *more):
        if meter.name == "a":
            raise StoreBusyError
        return commit(meter, *more)

    world.store.commit = busy_for_a
    world.service.park()
    world.clock.time += 2 * SECOND
    assert world.service.park() == []
    assert world.status("b") == "starting"
    assert list(world.driver.owned()) == []


def test_one_endpoint_that_cannot_be_parked_does_not_block_the_others():
    world = World(Spec("a"), Spec("b"))
    for name in ("a", "b"):
        world.service.top_up(name, Minutes.of(10), ADA)
    world.wind(2 * SECOND)
    world.driver.refuse("stop", "a", times=100)
    world.service.park()
    world.clock.time += 2 * SECOND
    assert world.service.park() == ["a"]
    assert list(world.driver.owned()) == ["a"]


def test_a_jump_of_the_wall_clock_is_journaled_on_every_open_meter(world):
    world.top_up(10)
    world.service.clock_jumped(timedelta(hours=1))
    assert Kind.CLOCK in world.lines()


def test_an_endpoint_no_longer_configured_is_settled(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.specs = {"falcon": Spec("falcon")}
    world.service = world.another_service()
    for _ in range(4):
        world.service.sweep()
        world.wind(10 * MINUTE)
    assert list(world.store.unsettled()) == []
    assert world.store.journal("flan-t5", 1)[0].kind is Kind.STOP


def test_an_orderly_end_also_stops_what_was_removed_from_the_configuration_before_the_start(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.specs = {"falcon": Spec("falcon")}
    world.service = world.another_service()
    while world.service.park():
        world.clock.time += SECOND
    assert list(world.driver.owned()) == []
    assert world.store.load("flan-t5").run.reason == "the gateway was stopped"


def test_an_orderly_end_stops_every_configured_endpoint_if_the_others_cannot_be_listed(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.driver.refuse("owned", times=100)
    while world.service.park():
        world.clock.time += SECOND
    assert world.driver.calls[-1].method == "stop"


def test_a_store_that_is_locked_delays_the_end_of_a_gateway_once_and_not_per_endpoint():
    names = [f"e{number}" for number in range(3)]
    world = World(*map(Spec, names))
    for name in names:
        world.service.top_up(name, Minutes.of(10), ADA)
    world.wind(2 * MINUTE)
    at_once, commit = threading.Barrier(len(names), timeout=10), world.store.commit

    def waits(*arguments, **named):
        at_once.wait()  # passed only by all of them together
        return commit(*arguments, **named)

    world.store.commit = waits
    assert set(world.service.park()) == set(names)
