"""The removal of a deployment: its endpoints are removed for good, and may be deployed again."""

from datetime import timedelta

import pytest

from parkmeter.core.journal import Kind
from parkmeter.core.meter import Status
from parkmeter.errors import EndpointRemovedError
from parkmeter.ports import StaleError
from parkmeter.service.changes import Edit
from tests.support.world import MINUTE, NOON, World, spec


@pytest.fixture
def world() -> World:
    world = World(spec(startup_credit=timedelta(0)))
    world.top_up(20)
    world.wind(MINUTE)
    return world


def test_a_removed_endpoint_is_stopped_and_its_time_given_up(world):
    world.service.remove("flan-t5")
    world.service.reconcile("flan-t5")
    world.service.begin()
    world.wind(MINUTE)
    assert world.store.load("flan-t5").settled
    assert world.calls("stop") == ["stop"]
    shown = world.service.report("flan-t5").shown
    assert (shown.status, shown.reason) == (Status.STOPPED, "removed with its deployment")


def test_a_meter_closed_long_before_is_removed_without_another_stop(world):
    world.wind(30 * MINUTE)
    assert world.lines().count(Kind.STOP) == 1
    world.service.remove("flan-t5")
    world.service.reconcile("flan-t5")
    assert world.store.load("flan-t5").settled
    assert world.lines()[-1] is Kind.REMOVE


def test_a_removed_meter_takes_no_time(world):
    world.service.remove("flan-t5")
    with pytest.raises(EndpointRemovedError):
        world.top_up(10)
    removed = world.store.load("flan-t5").expires_at
    edit = Edit("1", world.now, "operator")
    assert world.service.adopt("flan-t5", NOON + timedelta(hours=2), edit) == removed
    assert world.left() == timedelta(0)


def test_removing_twice_makes_one_entry(world):
    for _ in range(3):
        world.service.remove("flan-t5")
    assert world.lines().count(Kind.REMOVE) == 1


def test_an_unused_or_unconfigured_endpoint_can_be_removed():
    world = World()
    for name in ("flan-t5", "stranger"):
        world.service.remove(name)
        assert world.service.reconcile(name) is None
        assert world.store.load(name).settled


@pytest.mark.parametrize("minutes", [0, 60])
def test_deployed_again_it_is_provisioned_like_new(world, minutes):
    world.service.remove("flan-t5")
    world.service.begin()
    world.wind(MINUTE)
    for _ in range(2):
        world.service.provision("flan-t5", minutes * MINUTE)
    assert world.left() == minutes * MINUTE
    world.top_up(10)
    assert world.left() == (minutes + 10) * MINUTE


def test_a_lost_race_does_not_leave_it_removed(world):
    world.service.remove("flan-t5")
    commit, lost = world.store.commit, []

    def late(meter, entries, *more, **named):
        if not lost:
            lost.append(True)
            world.store.commit = commit
            world.service.reconcile("flan-t5")
            raise StaleError(meter.name)
        return commit(meter, entries, *more, **named)

    world.store.commit = late
    world.service.provision("flan-t5", 10 * MINUTE)
    assert world.left() == 10 * MINUTE


def test_provisioning_never_changes_a_meter_that_is_in_use(world):
    before = world.store.load("flan-t5")
    world.service.provision("flan-t5", 60 * MINUTE)
    assert world.store.load("flan-t5") == before


def test_removed_from_the_configuration_and_back_again_no_time_is_gained():
    flan = spec()
    world = World(flan)
    world.top_up(300)
    world.wind(70 * MINUTE)
    before = world.store.load("flan-t5").expires_at
    lines = world.lines().count(Kind.CREDIT)
    world.service.configure({})
    world.wind(2 * MINUTE)
    world.service.configure({"flan-t5": flan})
    world.service.begin()
    world.wind(MINUTE)
    assert world.status() == "running"
    gained = world.store.load("flan-t5").expires_at - before
    assert gained < MINUTE
    assert world.lines().count(Kind.CREDIT) == lines + (gained > timedelta(0))
