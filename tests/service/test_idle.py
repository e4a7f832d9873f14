"""Endpoints without prompts are ejected, on a wound clock."""

from dataclasses import replace
from datetime import timedelta

import pytest

from parkmeter.core.journal import SYSTEM, Kind
from parkmeter.core.meter import Spec, Status
from parkmeter.core.status import View
from parkmeter.proxy.gate import LocalGate
from tests.support.world import MINUTE, NOON, SECOND, World

IDLE = 10 * MINUTE


@pytest.fixture
def world() -> World:
    made = World(Spec("flan-t5", idle=IDLE))
    made.driver.start_takes = 5 * MINUTE
    made.top_up(60)
    return made


def test_the_leash_has_the_deadline_before_an_idle_ejects_commit():
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


def test_an_idle_endpoint_is_ejected_and_the_entry_has_the_time_left(world):
    world.wind(5 * MINUTE + IDLE)
    assert world.status() == "running"
    world.wind(5 * SECOND)
    (eject,) = ejects(world)
    assert world.status() == "stopped"
    assert eject.who == SYSTEM
    assert eject.amount == -50 * MINUTE
    assert eject.why == "no prompt for 10 min 0 s"
    assert world.lines()[-2:] == [Kind.EJECT, Kind.STOP]


def test_the_reason_of_an_idle_eject_is_shown_during_and_after_the_stop(world):
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


def test_the_reason_of_an_idle_eject_says_that_a_prompt_wakes_it():
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


def test_each_prompt_postpones_the_idle_eject(world):
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


def test_a_request_admitted_at_the_last_moment_gets_the_drain(world):
    """The gate closes with the commit; a request admitted before is seen by the next look."""
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


def test_a_request_that_is_no_prompt_does_not_prevent_the_eject_and_gets_the_drain(world):
    """A monitor follows a stream of the model for hours."""
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


def test_a_top_up_postpones_the_idle_eject(world):
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


def test_an_idle_eject_happens_again_after_the_next_start(world):
    world.wind(20 * MINUTE)
    world.top_up(60)
    world.wind(20 * MINUTE)
    assert len(ejects(world)) == 2
    assert world.status() == "stopped"


def test_without_sight_of_requests_no_endpoint_is_idle(world):
    world.gate.last_prompt = lambda _name: None
    world.wind(30 * MINUTE)
    assert world.status() == "running"


def test_without_the_setting_no_endpoint_is_idle():
    world = World(replace(Spec("flan-t5"), idle=None))
    world.top_up(60)
    world.wind(59 * MINUTE)
    assert world.status() == "running"


def test_ejected_minutes_are_on_no_buyers_receipt(world):
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


def test_a_request_that_is_no_prompt_does_not_count_as_use():
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
