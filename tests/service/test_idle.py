"""Endpoints that nobody asks anything are ejected, on a wound clock."""

from dataclasses import replace
from datetime import timedelta

import pytest

from parkmeter.core.journal import SYSTEM, Kind
from parkmeter.core.meter import Spec, Status
from parkmeter.ports import View
from parkmeter.proxy.gate import LocalGate
from tests.support.world import MINUTE, NOON, SECOND, World

IDLE = 10 * MINUTE


@pytest.fixture
def world() -> World:
    made = World(Spec("flan-t5", idle=IDLE))
    made.driver.start_takes = 5 * MINUTE
    made.top_up(60)
    return made


def test_killed_right_after_the_commit_of_an_idle_eject_its_leash_knows_already():
    world = World(Spec("flan-t5", idle=IDLE))
    world.driver.leash = True
    world.top_up(600)
    world.wind(5 * MINUTE)
    commit = world.store.commit

    def killed(meter, entries, *more, **named):
        committed = commit(meter, entries, *more, **named)
        if any(entry.kind is Kind.EJECT for entry in entries):
            raise KeyboardInterrupt
        return committed

    world.store.commit = killed
    with pytest.raises(KeyboardInterrupt):
        world.wind(IDLE)
    world.clock.time += world.specs["flan-t5"].drain + 3 * SECOND
    assert list(world.driver.owned()) == []


def ejects(world: World) -> list:
    return [entry for entry in world.notifier.sent if entry.kind is Kind.EJECT]


def asked(world: World) -> None:
    world.gate.asked_at["flan-t5"] = world.now


def test_an_idle_endpoint_is_ejected_and_what_was_left_is_told(world):
    world.wind(5 * MINUTE + IDLE)
    assert world.status() == "running"
    world.wind(5 * SECOND)
    (eject,) = ejects(world)
    assert world.status() == "stopped"
    assert eject.who == SYSTEM
    assert eject.amount == -50 * MINUTE
    assert eject.why == "no prompt for 10 min 0 s"
    assert world.lines()[-2:] == [Kind.EJECT, Kind.STOP]


def test_an_idle_endpoint_says_so_while_it_stops_and_after_whatever_is_restarted(world):
    world.driver.stop_takes = MINUTE
    world.wind(5 * MINUTE + IDLE + 5 * SECOND)
    said = world.service.report("flan-t5").shown
    assert (said.status, said.reason) == (Status.STOPPING, "no prompt for 10 min 0 s; stopping")
    world.wind(2 * MINUTE)
    world.service = world.another_service()
    said = world.service.report("flan-t5").shown
    assert said.status == Status.STOPPED
    assert said.reason == "no prompt for 10 min 0 s: top up to start it"
    world.top_up(1)
    world.wind(5 * MINUTE)
    assert world.service.report("flan-t5").shown.reason != said.reason
    world.wind(5 * MINUTE)
    reason = world.service.report("flan-t5").shown.reason
    assert reason == "no time on the meter: top up to start it"


def test_an_idle_endpoint_that_a_prompt_wakes_says_that_too():
    world = World(Spec("flan-t5", idle=IDLE, wake=MINUTE))
    assert world.service.report("flan-t5").shown.reason == (
        "no time on the meter: top up to start it, or send a prompt"
    )
    world.top_up(60)
    world.wind(20 * MINUTE)
    reason = world.service.report("flan-t5").shown.reason
    assert reason == "no prompt for 10 min 0 s; a prompt starts it"


def test_idleness_counts_from_the_moment_it_was_ready(world):
    world.wind(5 * MINUTE + IDLE - SECOND)
    assert ejects(world) == []
    world.wind(5 * SECOND)
    ready = next(entry for entry in world.notifier.sent if entry.kind is Kind.READY)
    assert ejects(world)[0].at == ready.at + IDLE


def test_each_request_puts_it_off(world):
    for _ in range(5):
        world.wind(9 * MINUTE)
        asked(world)
    assert ejects(world) == []
    last = world.now
    world.wind(11 * MINUTE)
    assert ejects(world)[0].at == last + IDLE


def test_nothing_is_idle_while_a_prompt_is_being_answered(world):
    world.wind(6 * MINUTE)
    world.gate.requests["flan-t5"] = 1
    world.gate.prompts.add("flan-t5")
    world.wind(3 * IDLE)
    assert world.status() == "running"
    world.gate.requests["flan-t5"] = 0
    world.gate.prompts.clear()
    asked(world)
    world.wind(IDLE - SECOND)
    assert world.status() == "running"
    world.wind(10 * SECOND)
    assert world.status() == "stopped"


def test_who_slips_in_at_the_last_moment_gets_the_drain(world):
    """The gate closes with the commit; whoever it let in before is seen by the next look."""
    world.wind(5 * MINUTE + IDLE - SECOND)
    committed = world.store.commit

    def commit(meter, entries, budget=None, claim=None):
        if any(entry.kind is Kind.EJECT for entry in entries):
            world.gate.requests["flan-t5"] = 1
        return committed(meter, entries, budget, claim)

    world.store.commit = commit
    world.wind(10 * SECOND)
    assert len(ejects(world)) == 1
    assert world.calls("stop") == []
    world.gate.requests["flan-t5"] = 0
    world.wind(5 * SECOND)
    assert world.status() == "stopped"


def test_who_only_looks_does_not_keep_it_and_gets_the_drain(world):
    """A monitor that follows a stream of the model's for hours."""
    drain = world.specs["flan-t5"].drain
    world.wind(6 * MINUTE)
    world.gate.requests["flan-t5"] = 1
    world.wind(IDLE - MINUTE + 10 * SECOND)
    (eject,) = ejects(world)
    assert world.calls("stop") == []
    world.wind(eject.at + drain - world.now + SECOND)
    assert world.status() == "stopped"
    stop = next(entry for entry in world.notifier.sent if entry.kind is Kind.STOP)
    assert drain <= stop.at - eject.at < drain + 5 * SECOND


def test_who_tops_up_means_to_use_it(world):
    world.wind(5 * MINUTE + IDLE - MINUTE)
    world.top_up(10)
    world.wind(IDLE - SECOND)
    assert world.status() == "running"
    world.wind(10 * SECOND)
    assert world.status() == "stopped"


def test_a_failed_start_is_not_idle(world):
    world.driver.start_takes = 40 * MINUTE
    world.wind(30 * MINUTE)
    assert (world.status(), ejects(world)) == ("starting", [])


def test_it_is_idle_again_in_its_next_life(world):
    world.wind(20 * MINUTE)
    world.top_up(60)
    world.wind(20 * MINUTE)
    assert len(ejects(world)) == 2
    assert world.status() == "stopped"


def test_where_requests_cannot_be_seen_nobody_is_called_idle(world):
    world.gate.last_prompt = lambda _name: None
    world.wind(30 * MINUTE)
    assert world.status() == "running"


def test_without_the_setting_nobody_is_idle():
    world = World(replace(Spec("flan-t5"), idle=None))
    world.top_up(60)
    world.wind(59 * MINUTE)
    assert world.status() == "running"


def test_the_ejected_minutes_belong_to_nobody_on_the_receipt(world):
    world.wind(30 * MINUTE)
    receipt = world.service.receipt("flan-t5")
    assert [part.who for part in receipt.parts] == ["ada"]
    assert timedelta(0) <= receipt.time_on - 15 * MINUTE < 5 * SECOND


# ── The gate of one machine ─────────────────────────────────────────────────────────────────────


def test_the_gate_remembers_when_the_last_prompt_ended():
    times = iter(NOON + second * SECOND for second in range(100))
    gate = LocalGate(lambda: next(times))
    since = gate.last_prompt("flan")
    assert gate.last_prompt("flan") == since
    close = NOON + 90 * MINUTE
    gate.show(View("flan", 1, close, close, Status.RUNNING, "serving", "http://a:1"))
    long, short = gate.admit("flan"), gate.admit("flan")
    short.release()
    assert since < gate.last_prompt("flan") < gate.last_prompt("flan")  # always now
    long.release()
    ended = gate.last_prompt("flan")
    long.release()
    assert gate.last_prompt("flan") == ended


def test_who_only_looks_does_not_use_the_endpoint():
    times = iter(NOON + second * SECOND for second in range(100))
    gate = LocalGate(lambda: next(times))
    since = gate.last_prompt("flan")
    close = NOON + 90 * MINUTE
    gate.show(View("flan", 1, close, close, Status.RUNNING, "serving", "http://a:1"))
    permit = gate.admit("flan", prompt=False)
    assert gate.in_flight("flan") == 1
    assert gate.last_prompt("flan") == since
    permit.release()
    assert (gate.in_flight("flan"), gate.last_prompt("flan")) == (0, since)


def test_a_request_that_was_not_let_in_is_no_use_of_the_endpoint():
    gate = LocalGate(lambda: NOON)
    since = gate.last_prompt("flan")
    assert gate.admit("flan") is None
    assert gate.last_prompt("flan") == since
