"""A device is held by one open meter, and never used by two endpoints at once."""

import contextlib
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkmeter.core.journal import Kind
from parkmeter.core.meter import ZERO, Phase, Spec, latest_close
from parkmeter.core.money import Minutes
from parkmeter.errors import DeviceBusyError, StoreBusyError
from parkmeter.service.changes import Actor, Edit
from parkmeter.stores.memory import MemoryStore
from parkmeter.stores.sqlite import SqliteStore
from tests.support.world import ADA, BOB, MINUTE, NOON, SECOND, World

FLAN = Spec("flan-t5", device="gpu0")
FALCON = Spec("falcon", device="gpu0")
LLAMA = Spec("llama", device="gpu1")
FREE = Spec("phi")
OTHER = Spec("whisper", device="gpu1")


@pytest.fixture
def world() -> World:
    return World(FLAN, FALCON, LLAMA, FREE)


def on_the_device(world: World) -> list[str]:
    return [name for name in world.driver.owned() if world.specs[name].device == "gpu0"]


def test_a_top_up_is_refused_while_another_open_meter_holds_the_device(world):
    world.top_up(10)
    world.wind(MINUTE)
    with pytest.raises(DeviceBusyError) as refused:
        world.service.top_up("falcon", Minutes.of(10), BOB)
    close = world.service.report("flan-t5").closes_at
    assert refused.value.data == {
        "device": "gpu0",
        "endpoint": "flan-t5",
        "expires_at": close,
        "closes_at": close,
    }
    assert "eject flan-t5" in refused.value.detail
    assert world.store.load("falcon").version == 0
    assert world.lines("falcon") == []


def test_other_devices_and_endpoints_without_one_are_free(world):
    for name in ("flan-t5", "llama", "phi"):
        world.service.top_up(name, Minutes.of(10), ADA)
    world.wind(2 * SECOND)
    assert [world.status(name) for name in ("flan-t5", "llama", "phi")] == ["running"] * 3


def test_the_holder_of_the_device_may_add_time(world):
    world.top_up(10)
    world.wind(MINUTE)
    world.top_up(10)
    assert world.left() > 18 * MINUTE


def test_a_used_up_or_ejected_meter_frees_the_device(world):
    world.top_up(10)
    world.wind(11 * MINUTE)
    world.service.top_up("falcon", Minutes.of(10), BOB)
    world.wind(2 * SECOND)
    assert world.status("falcon") == "running"
    world.service.eject("falcon", BOB)
    world.top_up(10)
    world.wind(3 * SECOND)
    assert (world.status("falcon"), world.status()) == ("stopped", "running")


def test_a_meter_that_its_start_keeps_open_past_its_expiry_holds_the_device(world):
    world.driver.start_takes = 20 * MINUTE
    world.top_up(10)
    world.wind(15 * MINUTE)
    with pytest.raises(DeviceBusyError) as refused:
        world.service.top_up("falcon", Minutes.of(10), BOB)
    assert refused.value.data["expires_at"] < world.now < refused.value.data["closes_at"]


def test_the_next_one_waits_for_the_former_to_be_gone_and_the_meter_stands_still(world):
    world.driver.stop_takes = 3 * MINUTE
    world.top_up(10)
    world.wind(MINUTE)
    world.service.eject("flan-t5", ADA)
    world.service.top_up("falcon", Minutes.of(10), BOB)
    world.wind(2 * MINUTE)
    assert on_the_device(world) == ["flan-t5"]
    seen = world.service.report("falcon").shown
    assert (seen.status, seen.reason) == ("starting", "waiting for flan-t5 to stop and free gpu0")
    world.wind(MINUTE + 3 * SECOND)
    assert on_the_device(world) == ["falcon"]
    assert world.status("falcon") == "running"
    assert world.left("falcon") > 10 * MINUTE - 3 * SECOND
    assert Kind.CREDIT in world.lines("falcon")


def test_requests_in_flight_get_their_drain_before_the_next_one_starts(world):
    world.top_up(10)
    world.wind(MINUTE)
    world.gate.requests["flan-t5"] = 1
    world.service.eject("flan-t5", ADA)
    world.service.top_up("falcon", Minutes.of(10), BOB)
    world.wind(FLAN.drain - SECOND)
    assert world.calls("stop") == []
    assert on_the_device(world) == ["flan-t5"]
    world.wind(10 * SECOND)
    assert on_the_device(world) == ["falcon"]


def test_a_former_that_never_ends_lets_the_waiting_meter_run_out_of_credit(world):
    world.top_up(10)
    world.wind(MINUTE)
    world.driver.stick("flan-t5")
    world.service.eject("flan-t5", ADA)
    world.service.top_up("falcon", Minutes.of(10), BOB)
    world.wind(FALCON.startup_credit + 10 * MINUTE + SECOND)
    assert world.status("falcon") == "stopped"
    assert world.driver.lives["falcon"] == 0
    assert world.lines("falcon") == [Kind.TOP_UP, Kind.WARNING, Kind.STOP]
    assert world.service.journal("falcon", 1)[0].why == "time used up; it was never started"


def test_two_that_take_turns_are_never_on_the_device_at_once(world):
    world.driver.stop_takes = 20 * SECOND
    for number in range(6):
        name = ("flan-t5", "falcon")[number % 2]
        world.service.top_up(name, Minutes.of(10), ADA)
        for _ in range(45):
            world.wind(SECOND)
            assert len(on_the_device(world)) <= 1
        world.service.eject(name, ADA)
    assert world.driver.lives["flan-t5"] >= 2


def test_an_edit_of_the_published_expiry_does_not_take_a_held_device(world):
    world.top_up(10)
    held = world.service.adopt("falcon", NOON + 30 * MINUTE, Edit("1", world.now, "operator"))
    assert held == world.store.load("falcon").expires_at
    assert world.status("falcon") == "stopped"
    (refused,) = world.service.journal("falcon", 10)
    assert refused.kind is Kind.WARNING
    assert "flan-t5 holds gpu0" in refused.why


def test_only_the_first_of_a_device_is_provisioned_and_the_other_says_why(world):
    for name in world.service.names:
        world.service.provision(name, 60 * MINUTE)
    world.service.begin()
    world.wind(2 * SECOND)
    assert [world.status(name) for name in world.service.names] == [
        "running",
        "stopped",
        "running",
        "running",
    ]
    (reported,) = world.service.journal("falcon", 10)
    assert reported.why.startswith("left closed at first provisioning. gpu0 is held by flan-t5")
    world.service.eject("flan-t5", ADA)
    world.wind(MINUTE)
    world.service.provision("falcon", 60 * MINUTE)  # a restart is no first start
    assert world.status("falcon") == "stopped"


def test_a_repeated_top_up_gets_its_first_answer_though_the_device_has_gone_to_another(world):
    first = world.service.top_up("flan-t5", Minutes.of(1), ADA, "monday")
    world.wind(5 * MINUTE)
    world.service.top_up("falcon", Minutes.of(10), BOB)
    again = world.service.top_up("flan-t5", Minutes.of(1), ADA, "monday")
    assert again.replayed
    assert again.entry.expires_at == first.entry.expires_at


TURNS = st.lists(
    st.one_of(
        st.tuples(st.just("wind"), st.integers(1, 120)),
        st.tuples(st.just("top-up"), st.sampled_from(["flan-t5", "falcon", "mpt"])),
        st.tuples(st.just("eject"), st.sampled_from(["flan-t5", "falcon", "mpt"])),
        st.tuples(st.just("crash"), st.sampled_from(["flan-t5", "falcon", "mpt"])),
        st.tuples(st.just("busy"), st.sampled_from(["flan-t5", "falcon", "mpt"])),
        st.tuples(st.just("switch"), st.sampled_from(["flan-t5", "falcon", "mpt"])),
        st.tuples(st.just("restart"), st.none()),
    ),
    min_size=8,
    max_size=25,
)


@given(TURNS, st.integers(0, 90), st.integers(0, 90))
@settings(max_examples=100, deadline=None)
def test_whatever_happens_one_meter_is_open_and_one_endpoint_on_the_device(turns, start, stop):
    world = World(FLAN, FALCON, Spec("mpt", device="gpu0"))
    world.driver.start_takes, world.driver.stop_takes = start * SECOND, stop * SECOND
    for what, how in turns:
        match what:
            case "wind":
                for _ in range(how):
                    world.wind(SECOND)
                    assert len(world.driver.owned()) <= 1
            case "top-up":
                with contextlib.suppress(DeviceBusyError):
                    world.service.top_up(how, Minutes.of(1), ADA)
            case "eject":
                world.service.eject(how, ADA)
            case "switch":
                for name in world.specs:
                    world.service.eject(name, ADA)
                world.service.top_up(how, Minutes.of(1), ADA)
            case "crash" if how in world.driver.owned():
                world.driver.crash(how, "out of memory")
            case "busy":
                world.gate.requests[how] = 1 - (world.gate.requests.get(how) or 0)
            case "restart":
                world.service = world.another_service()
                world.service.begin()
                world.service.sweep()
        assert sum(bool(world.left(name)) for name in world.specs) <= 1
        assert len(world.driver.owned()) <= 1


# ── Races ────────────────────────────────────────────────────────────────────────────────────────


class InBetween(MemoryStore):
    """A store with an event between the reading and the writing of the next commit of a meter."""

    happens = None

    def commit(self, meter, entries, budget=None, claim=None):
        if self.happens is not None and self.happens[0] == meter.name:
            (_, happening), self.happens = self.happens, None
            happening()
        return super().commit(meter, entries, budget, claim)


def test_of_two_concurrent_openings_of_a_device_the_second_is_refused():
    store = InBetween()
    world = World(FLAN, FALCON, store=store)
    store.happens = ("flan-t5", lambda: world.service.top_up("falcon", Minutes.of(10), BOB))
    with pytest.raises(DeviceBusyError):
        world.top_up(10)
    assert world.store.load("flan-t5").version == 0


def test_a_holder_that_is_topped_up_at_its_last_moment_keeps_the_device():
    store = InBetween()
    world = World(FLAN, FALCON, store=store)
    world.top_up(10)
    world.wind(2 * SECOND)
    close = world.service.report("flan-t5").closes_at
    world.clock.time = close

    def at_the_last_moment() -> None:
        world.clock.time = close - timedelta(milliseconds=1)
        world.top_up(10)

    store.happens = ("falcon", at_the_last_moment)
    with pytest.raises(DeviceBusyError):
        world.service.top_up("falcon", Minutes.of(10), BOB)


def test_a_top_up_decided_before_the_close_does_not_reopen_the_former_holder():
    store = InBetween()
    world = World(FLAN, FALCON, store=store)
    world.top_up(10)
    world.wind(2 * SECOND)
    close = world.service.report("flan-t5").closes_at
    world.clock.time = close - timedelta(milliseconds=1)

    def too_late() -> None:
        world.clock.time = close
        world.service.top_up("falcon", Minutes.of(10), BOB)

    store.happens = ("flan-t5", too_late)
    with pytest.raises(DeviceBusyError):
        world.top_up(10)


def test_a_start_decided_before_the_close_does_not_start_the_former_holder():
    store = InBetween()
    world = World(FLAN, FALCON, store=store)
    world.top_up(1)
    world.clock.time = latest_close(store.load("flan-t5")) - timedelta(milliseconds=1)

    def too_late() -> None:
        world.clock.time += timedelta(milliseconds=1)
        world.service.top_up("falcon", Minutes.of(10), BOB)

    store.happens = ("flan-t5", too_late)
    world.service.reconcile("flan-t5")
    assert world.left() == ZERO
    assert world.driver.lives["flan-t5"] == 0


def test_a_restarting_server_does_not_start_the_former_holder():
    store = InBetween()
    world = World(FLAN, FALCON, store=store)
    world.top_up(10)
    world.wind(2 * SECOND)
    close = world.service.report("flan-t5").closes_at
    world.clock.time = close - timedelta(milliseconds=1)
    world.driver.show("flan-t5", Phase.STARTING)

    def too_late() -> None:
        world.clock.time = close
        world.service.top_up("falcon", Minutes.of(10), BOB)

    store.happens = ("flan-t5", too_late)
    world.service.reconcile("flan-t5")
    world.clock.time += SECOND
    assert (world.left(), world.status()) == (ZERO, "stopping")


def test_of_two_concurrent_clients_exactly_one_wins(tmp_path: Path):
    world = World(FLAN, FALCON, store=SqliteStore(tmp_path / "store.sqlite"))
    for number in range(20):
        at_once = threading.Barrier(2)
        outcomes: list[str] = []

        def buy(name: str, at_once=at_once, outcomes=outcomes) -> None:
            at_once.wait()
            try:
                world.service.top_up(name, Minutes.of(10), Actor(name, name))
            except DeviceBusyError as busy:
                outcomes.append(f"held by {busy.data['endpoint']}")
            else:
                outcomes.append(name)

        threads = [threading.Thread(target=buy, args=(name,)) for name in world.specs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = [name for name in world.specs if world.left(name)]
        assert sorted(outcomes) == sorted([winner, f"held by {winner}"]), number
        world.service.eject(winner, ADA)
        world.clock.time += SECOND
    world.store.close()


# ── What the configuration makes of it ───────────────────────────────────────────────────────────


def test_endpoints_that_were_on_when_they_got_one_device_go_on_and_are_not_started_again(world):
    world.specs["phi"] = FREE
    world.top_up(10)
    world.service.top_up("phi", Minutes.of(30), BOB)
    world.wind(2 * SECOND)
    world.specs["phi"] = replace(FREE, device="gpu0")
    world.service = world.another_service()
    world.service.begin()
    world.wind(MINUTE)
    assert (world.status(), world.status("phi")) == ("running", "running")
    world.driver.vanish("phi")
    world.wind(MINUTE)
    assert world.driver.lives["phi"] == 1
    world.wind(10 * MINUTE)
    assert (world.status(), world.status("phi")) == ("stopped", "running")
    assert world.driver.lives["phi"] == 2


def test_an_endpoint_no_longer_configured_holds_no_device_but_is_waited_for(world):
    world.driver.stop_takes = MINUTE
    world.top_up(60)
    world.wind(2 * SECOND)
    del world.specs["flan-t5"]
    world.service = world.another_service()
    world.service.sweep()
    world.service.top_up("falcon", Minutes.of(10), BOB)
    world.wind(30 * SECOND)
    assert world.status("falcon") == "starting"
    assert world.driver.lives["falcon"] == 0
    world.wind(MINUTE)
    assert world.status("falcon") == "running"


def test_a_store_that_never_agrees_on_a_device_is_busy(world):
    world.store.holder = lambda device: "falcon"  # as if it were lost and won for ever
    with pytest.raises(StoreBusyError):
        world.top_up(10)


def test_an_endpoint_that_runs_on_a_device_keeps_it_whatever_the_configuration_says_now(world):
    world.service.top_up("llama", Minutes.of(60), ADA)
    world.wind(2 * SECOND)
    moved = world.specs | {"llama": replace(LLAMA, device="gpu0"), "whisper": OTHER}
    world.service.configure(moved)
    with pytest.raises(DeviceBusyError):
        world.service.top_up("whisper", Minutes.of(10), BOB)
    world.service.eject("llama", ADA)
    world.wind(MINUTE)
    world.service.top_up("whisper", Minutes.of(10), BOB)
    world.wind(2 * SECOND)
    assert world.status("whisper") == "running"


def test_a_device_that_is_given_to_an_open_meter_is_held_by_it(world):
    world.service.top_up("phi", Minutes.of(60), ADA)
    world.wind(2 * SECOND)
    world.service.configure(world.specs | {"phi": replace(FREE, device="gpu0")})
    with pytest.raises(DeviceBusyError):
        world.service.top_up("flan-t5", Minutes.of(10), BOB)
    world.driver.crash("phi", "exit code 1")
    world.wind(10 * SECOND)
    assert world.status("phi") == "running"


def test_two_that_were_given_one_device_while_they_ran_do_not_wait_for_each_other(world):
    two = {"phi": FREE, "whisper": replace(OTHER, device=None)}
    world.service.configure(world.specs | two)
    for name in two:
        world.service.top_up(name, Minutes.of(60), ADA)
    world.wind(2 * SECOND)
    shared = {name: replace(spec, device="gpu0") for name, spec in two.items()}
    world.service.configure(world.specs | shared)
    for name in two:
        world.driver.crash(name, "exit code 1")
    world.wind(MINUTE)
    assert sorted(world.status(name) for name in two) == ["running", "starting"]


def test_meters_that_cannot_be_on_a_device_are_not_read_for_it(monkeypatch):
    many = [Spec(f"phi-{number}") for number in range(50)]
    world = World(FLAN, FALCON, LLAMA, *many)
    world.service.top_up("phi-7", Minutes.of(10), ADA)
    world.wind(2 * SECOND)
    asked: list[str] = []
    meters = world.store.meters

    def counted(names):
        asked.extend(names)
        return meters(names)

    monkeypatch.setattr(world.store, "meters", counted)
    world.top_up(10)
    world.wind(2 * SECOND)
    assert world.status() == "running"
    assert set(asked) == {"falcon", "phi-7"}
