"""Drivers, stores and notifiers that fail: retried, journaled once, shown."""

from datetime import timedelta

import pytest

from parkmeter.core.decision import Cause
from parkmeter.core.journal import Kind
from parkmeter.core.meter import Phase, Spec
from parkmeter.errors import DriverError, EndpointUnreachableError
from parkmeter.stores.memory import MemoryStore
from tests.support.world import MINUTE, SECOND, World, spec


@pytest.fixture
def world() -> World:
    return World()


def test_a_failed_endpoint_is_cleared_and_started_again(world):
    world.driver.fail_next_start("flan-t5", "exit code 1: no such file")
    world.top_up(10)
    world.wind(2 * SECOND)
    assert world.status() == "failed"
    world.wind(10 * SECOND)
    assert world.status() == "running"
    assert world.left() > 9 * MINUTE + 59 * SECOND - 10 * SECOND


def test_no_capacity_tries_the_next_variant():
    world = World(spec(variants=("ml.g5.12xlarge", "ml.g6.12xlarge")))
    world.driver.fail_next_start("flan-t5", "no capacity", Cause.CAPACITY)
    world.top_up(10)
    world.wind(10 * SECOND)
    assert world.status() == "running"
    variants = [call.variant for call in world.driver.calls if call.method == "start"]
    assert variants == ["ml.g5.12xlarge", "ml.g6.12xlarge"]


def test_a_start_that_the_driver_refuses_is_shown_and_retried(world):
    world.driver.refuse("start", "flan-t5", reason="no such program: vllm")
    world.top_up(10)
    world.wind(SECOND / 2)
    report = world.service.report("flan-t5")
    assert report.shown.status == "failed"
    assert report.shown.reason.startswith("no such program: vllm")
    world.wind(5 * SECOND)
    assert world.status() == "running"
    assert world.lines().count(Kind.FAILURE) == 1


def test_a_stop_that_fails_is_retried_every_second_and_journaled_once(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.driver.refuse("stop", "flan-t5", times=20, reason="the disk is full")
    world.wind(10 * MINUTE + 10 * SECOND)
    assert world.status() == "stopping"
    assert 8 <= world.calls("stop").__len__() <= 12
    assert world.lines().count(Kind.FAILURE) == 1
    assert world.service.report("flan-t5").shown.reason == "the disk is full"
    world.wind(15 * SECOND)
    assert world.status() == "stopped"


@pytest.mark.parametrize(("looks", "lines"), [(5, 0), (20, 1)])
def test_an_endpoint_that_cannot_be_observed_for_long_is_journaled_once(world, looks, lines):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.driver.refuse("observe", "flan-t5", times=looks, reason="cannot read its record")
    world.wind(25 * SECOND)
    assert world.lines().count(Kind.FAILURE) == lines
    assert world.status() == "running"


def test_a_crash_loop_ends_when_the_time_is_used_up(world):
    for _ in range(100):
        world.driver.fail_next_start("flan-t5", "exit code 139")
    world.top_up(10)
    world.wind(41 * MINUTE)
    assert world.status() == "stopped"
    assert 5 < len(world.calls("start")) < 20
    asked = len(world.driver.calls)
    world.wind(timedelta(days=1))
    assert len(world.driver.calls) == asked


def test_meters_are_looked_at_even_if_the_driver_cannot_list(world):
    world.top_up(10)
    world.clock.due.clear()
    world.driver.refuse("owned", "", reason="access denied")
    with pytest.raises(DriverError):
        world.service.sweep()
    assert world.clock.due.keys() == {"flan-t5"}


def test_a_notifier_that_fails_stops_nothing_else(world):
    def broken(entry: object) -> None:
        raise OSError("smtp down")

    world.notifier.send = broken
    world.top_up(10)
    world.wind(2 * SECOND)
    assert world.status() == "running"


def test_trouble_is_shown_on_a_closed_meter_until_it_is_over(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.driver.refuse("observe", "flan-t5", times=10_000, reason="access denied")
    world.wind(11 * MINUTE)
    shown = world.service.report("flan-t5").shown
    assert (shown.status, shown.reason) == ("stopping", "access denied")
    world.driver.refuse("observe", "flan-t5", times=0)
    world.wind(3 * SECOND)
    assert world.service.report("flan-t5").shown.status == "stopped"


def test_a_refused_keep_is_journaled_once_and_not_committed_every_tick(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.driver.refuse("keep", "flan-t5", times=10_000, reason="read-only file system")
    before = world.store.load("flan-t5").version
    world.wind(MINUTE)
    assert world.store.load("flan-t5").version <= before + 2
    world.driver.refuse("keep", "flan-t5", times=0)
    world.wind(2 * SECOND)
    assert world.service.report("flan-t5").shown.reason == "serving"


def test_a_top_up_that_could_not_be_delivered_is_refused(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    before = world.store.load("flan-t5")
    world.driver.refuse("keep", "flan-t5", times=1, reason="Too many open files.")
    with pytest.raises(EndpointUnreachableError, match="Too many open files"):
        world.top_up(10)
    assert world.store.load("flan-t5") == before


def test_a_deadline_that_is_lost_after_the_commit_is_shown_and_delivered_later(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    keep, calls = world.driver.keep, []

    def fails_twice(spec: Spec, until: object, version: int) -> None:
        calls.append(until)
        if 1 < len(calls) < 4:
            raise DriverError("Too many open files.")
        keep(spec, until, version)

    world.driver.keep = fails_twice
    entry = world.top_up(10)
    assert "Too many open files" in world.service.report("flan-t5").shown.reason
    world.wind(3 * SECOND)
    assert world.service.report("flan-t5").shown.reason == "serving"
    assert calls[-1] == entry.expires_at


def test_the_drivers_own_reason_of_an_end_is_kept(world):
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.driver.show("flan-t5", Phase.ABSENT, "its supervisor received SIGTERM")
    world.wind(SECOND / 2)
    assert world.service.report("flan-t5").shown.reason.startswith("its supervisor received")


def test_a_stop_is_decided_again_after_a_top_up_in_between():
    class TopsUpFirst(MemoryStore):
        """A store with a top-up between the reading and the writing of the next stop."""

        armed = False

        def commit(self, meter, entries, budget=None, claim=None):
            if self.armed and meter.run.phase is Phase.STOPPING:
                self.armed = False
                world.top_up(10)
            return super().commit(meter, entries, budget, claim)

    store = TopsUpFirst()
    world = World(store=store)
    world.top_up(10)
    world.wind(10 * MINUTE)
    store.armed = True
    world.wind(2 * MINUTE)
    assert not store.armed
    assert world.calls("stop") == []
    assert world.status() == "running"


def test_a_repeated_stop_is_not_carried_out_after_a_top_up_in_between(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.driver.refuse("stop", "flan-t5", times=1, reason="the disk is full")
    world.wind(world.left() + SECOND / 2)
    observe = world.driver.observe

    def tops_up_first(of: Spec) -> object:
        world.driver.observe = observe
        seen = observe(of)
        world.top_up(10)
        return seen

    world.driver.observe = tops_up_first
    asked = len(world.calls("stop"))
    world.service.reconcile("flan-t5")
    assert len(world.calls("stop")) == asked
    world.wind(SECOND)
    assert world.status() == "running"


def test_two_clocks_at_once_write_every_line_once(world):
    other = world.another_service()
    world.top_up(10)
    for _ in range(700):
        world.clock.time += SECOND
        world.service.reconcile("flan-t5")
        other.reconcile("flan-t5")
    assert world.lines() == [
        Kind.TOP_UP,
        Kind.START,
        Kind.CREDIT,
        Kind.READY,
        Kind.WARNING,
        Kind.STOP,
    ]
