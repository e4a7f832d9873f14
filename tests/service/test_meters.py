"""The whole life of a metered endpoint, on a wound clock."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from parkmeter.core.decision import Cause
from parkmeter.core.journal import Kind
from parkmeter.core.meter import Phase, Spec
from parkmeter.core.money import Minutes
from parkmeter.errors import (
    DriverError,
    ExpiryMovedError,
    InvalidRequestError,
    KeyReusedError,
    LimitExceededError,
    OverBudgetError,
    StoreBusyError,
    UnknownEndpointError,
)
from parkmeter.ports import StaleError
from parkmeter.service.changes import Actor
from parkmeter.stores.memory import MemoryStore
from tests.support.world import ADA, BOB, MINUTE, NOON, SECOND, World, spec


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def leashed() -> World:
    """With a driver whose endpoints end themselves at their deadline, as processes do."""
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


def test_the_stop_is_asked_for_at_the_very_close(world):
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


def test_the_same_key_adds_once_and_answers_alike_later(world):
    first = world.service.top_up("flan-t5", Minutes.of(10), ADA, "monday")
    world.wind(3 * MINUTE)
    again = world.service.top_up("flan-t5", Minutes.of(10.0), ADA, "monday")
    assert (first.replayed, again.replayed) == (False, True)
    assert replace(again.entry, number=0) == first.entry
    assert world.lines().count(Kind.TOP_UP) == 1


def test_the_same_key_with_another_request_is_refused(world):
    world.service.top_up("flan-t5", Minutes.of(10), ADA, "monday")
    with pytest.raises(KeyReusedError):
        world.service.top_up("flan-t5", Minutes.of(11), ADA, "monday")
    with pytest.raises(KeyReusedError):
        world.service.eject("flan-t5", ADA, "monday")
    assert world.left() == 10 * MINUTE


def test_keys_of_different_tokens_and_endpoints_do_not_meet():
    world = World(Spec("flan-t5"), Spec("falcon"))
    world.service.top_up("flan-t5", Minutes.of(10), ADA, "monday")
    world.service.top_up("flan-t5", Minutes.of(10), BOB, "monday")
    world.service.top_up("falcon", Minutes.of(11), ADA, "monday")
    assert world.left() == 20 * MINUTE
    assert world.left("falcon") == 11 * MINUTE


def test_a_key_is_forgotten_after_seven_days(world):
    world.service.top_up("flan-t5", Minutes.of(10), ADA, "monday")
    world.wind(timedelta(days=7))
    assert not world.service.top_up("flan-t5", Minutes.of(20), ADA, "monday").replayed


def test_a_refusal_is_not_remembered(world):
    with pytest.raises(LimitExceededError):
        world.service.top_up("flan-t5", Minutes.of(5000), ADA, "monday")
    assert not world.service.top_up("flan-t5", Minutes.of(5), ADA, "monday").replayed


def test_a_replay_is_answered_even_where_the_request_would_now_be_refused(world):
    world.service.top_up("flan-t5", Minutes.of(1440), ADA, "first")
    for number in range(6):
        world.service.top_up("flan-t5", Minutes.of(1440), ADA, str(number))
    assert world.service.top_up("flan-t5", Minutes.of(1440), ADA, "first").replayed


@pytest.mark.parametrize("minutes", [None, "10", float("nan"), -1, 0, 1e12])
def test_bad_minutes_change_nothing(world, minutes):
    with pytest.raises((InvalidRequestError, LimitExceededError)):
        world.top_up(minutes)
    assert world.lines() == []
    assert world.store.load("flan-t5").version == 0


def test_an_unknown_endpoint_is_refused_with_the_names_there_are(world):
    with pytest.raises(UnknownEndpointError) as raised:
        world.service.top_up("falcon", Minutes.of(10), ADA)
    assert raised.value.data == {"endpoints": ["flan-t5"]}


def test_minutes_a_day_of_a_token_are_counted_with_the_top_up(world):
    thrifty = Actor("c3", "cleo", minutes_per_day=30)
    world.service.top_up("flan-t5", Minutes.of(20), thrifty)
    with pytest.raises(OverBudgetError):
        world.service.top_up("flan-t5", Minutes.of(20), thrifty)
    assert world.left() == 20 * MINUTE
    world.clock.time += timedelta(days=1)
    world.service.top_up("flan-t5", Minutes.of(20), thrifty)


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


def test_a_start_that_the_driver_refuses_is_shown_and_tried_again(world):
    world.driver.refuse("start", "flan-t5", reason="no such program: vllm")
    world.top_up(10)
    world.wind(SECOND / 2)
    report = world.service.report("flan-t5")
    assert report.shown.status == "failed"
    assert report.shown.reason.startswith("no such program: vllm")
    world.wind(5 * SECOND)
    assert world.status() == "running"
    assert world.lines().count(Kind.FAILURE) == 1


def test_a_stop_that_fails_is_asked_again_every_second_and_journaled_once(world):
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
def test_an_endpoint_that_cannot_be_seen_for_long_is_trouble_journaled_once(world, looks, lines):
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


def test_at_the_start_of_a_gateway_the_gate_knows_every_meter():
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


def test_a_jump_of_the_wall_clock_is_journaled_on_every_open_meter(world):
    world.top_up(10)
    world.service.clock_jumped(timedelta(hours=1))
    assert Kind.CLOCK in world.lines()


def test_views_reach_the_gate_with_every_change(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    view = world.gate.views["flan-t5"]
    meter = world.store.load("flan-t5")
    assert view.address == "http://flan-t5.test"
    assert (view.version, view.open_until) == (meter.version, meter.expires_at)
    world.top_up(10)
    assert world.gate.views["flan-t5"].open_until == meter.expires_at + 10 * MINUTE


def test_a_top_up_moves_the_deadline_before_it_is_answered(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.top_up(10)
    kept = [call for call in world.driver.calls if call.method == "keep"][-1]
    assert kept.until == world.store.load("flan-t5").expires_at


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


def test_top_ups_of_many_threads_all_count(world):
    threads = [
        threading.Thread(target=lambda: [world.top_up(1) for _ in range(25)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.service.report("flan-t5").meter.expires_at == NOON + 200 * MINUTE


def test_a_stop_is_decided_again_if_somebody_topped_up_in_between():
    class TopsUpFirst(MemoryStore):
        """Somebody tops up between the reading and the writing of the next stop."""

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


def test_killed_right_after_an_ejects_commit_the_leash_knows_already(leashed):
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


def test_parking_during_a_slow_start_does_not_eat_the_bought_time(world):
    world.driver.start_takes = 5 * MINUTE
    world.top_up(1)
    world.wind(3 * MINUTE)
    world.service.park()
    world.clock.time += SECOND
    assert world.service.park() == []
    assert world.left() == MINUTE
    assert world.lines()[-2:] == [Kind.CREDIT, Kind.STOP]


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


def test_a_driver_that_cannot_list_does_not_keep_meters_from_being_looked_at(world):
    world.top_up(10)
    world.clock.due.clear()
    world.driver.refuse("owned", "", reason="access denied")
    with pytest.raises(DriverError):
        world.service.sweep()
    assert world.clock.due.keys() == {"flan-t5"}


def test_a_stop_that_is_repeated_is_not_carried_out_if_somebody_topped_up_meanwhile(world):
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


def test_a_notifier_that_fails_stops_nothing_else(world):
    def broken(entry: object) -> None:
        raise OSError("smtp down")

    world.notifier.send = broken
    world.top_up(10)
    world.wind(2 * SECOND)
    assert world.status() == "running"


def test_one_endpoint_that_cannot_be_parked_does_not_keep_the_others():
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
    assert world.service.park() == ["a"]
    assert world.status("b") == "starting"
    assert list(world.driver.owned()) == ["a"]


def test_trouble_is_shown_on_a_closed_meter_and_forgotten_when_it_is_over(world):
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


def test_an_end_at_the_close_while_nobody_looked_is_no_failure(leashed):
    world = leashed
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.clock.time += 20 * MINUTE
    world.top_up(10)
    world.wind(5 * SECOND)
    assert world.status() == "running"
    assert Kind.FAILURE not in world.lines()
    assert world.lines().count(Kind.STOP) == 1


def test_the_drivers_own_words_on_an_end_are_kept(world):
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.driver.show("flan-t5", Phase.ABSENT, "its supervisor received SIGTERM")
    world.wind(SECOND / 2)
    assert world.service.report("flan-t5").shown.reason.startswith("its supervisor received")


def test_a_warning_is_not_repeated_after_a_crash():
    world = World(spec(startup_credit=timedelta(0)))
    world.top_up(20)
    world.wind(11 * MINUTE)
    assert world.lines().count(Kind.WARNING) == 1
    world.driver.crash("flan-t5", "exit code 1")
    world.wind(4 * MINUTE)
    assert world.status() == "running"
    assert world.lines().count(Kind.WARNING) == 1


def test_what_is_no_longer_configured_comes_to_rest(world):
    world.top_up(10)
    world.wind(2 * SECOND)
    world.specs = {"falcon": Spec("falcon")}
    world.service = world.another_service()
    for _ in range(4):
        world.service.sweep()
        world.wind(10 * MINUTE)
    assert list(world.store.unsettled()) == []
    assert world.store.journal("flan-t5", 1)[0].kind is Kind.STOP


def test_a_view_says_when_the_next_start_is_only_while_backing_off(world):
    world.top_up(10)
    assert world.gate.views["flan-t5"].retry_at is None
    world.wind(SECOND / 2)
    assert world.gate.views["flan-t5"].retry_at is None
    world.driver.crash("flan-t5", "exit code 1")
    world.wind(SECOND)
    assert world.gate.views["flan-t5"].retry_at is not None


def test_a_store_that_never_agrees_is_busy_and_nothing_is_acted_upon():
    class NeverAgrees(MemoryStore):
        def commit(self, meter, entries, budget=None, claim=None):
            raise StaleError(meter.name)

    world = World(store=NeverAgrees())
    with pytest.raises(StoreBusyError):
        world.top_up(10)
    assert world.driver.calls == []
