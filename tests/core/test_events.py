"""Notification events as text and as JSON, and what is kept out of them."""

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from parkmeter.core.events import Event, Extension, document, text, title
from parkmeter.core.journal import Entry, Kind, cause_of
from parkmeter.service.event_builder import EventBuilder
from tests.support.world import ADA, MINUTE, NOON, SECOND, World, spec

BERLIN = ZoneInfo("Europe/Berlin")
LINK = Extension("https://meter.example.org/extend/abc", 30.0)


def in_berlin(moment: datetime) -> datetime:
    return moment.astimezone(BERLIN)


def in_utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone(timedelta(0)))


@pytest.fixture
def world() -> World:
    return World(spec(price_per_hour=Decimal("7.20"), startup_credit=timedelta(0)))


def events(world: World, name: str = "flan-t5") -> list[Event]:
    announcing = EventBuilder(world.store, lambda _: LINK)
    lines = world.service.journal(name, 1000)[::-1]
    return [event for line in lines if (event := announcing.event(line)) is not None]


def of_kind(world: World, kind: Kind) -> list[Event]:
    return [event for event in events(world) if event.kind is kind]


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (90, "2 minutes")]
)
def test_a_title_says_how_much_was_added(world, seconds, words):
    world.top_up(seconds / 60)
    assert title(events(world)[0]) == f"ada added {words} to flan-t5"


def test_a_run_has_events_from_top_up_to_stop(world):
    world.top_up(20)
    world.wind(25 * MINUTE)
    assert [title(event) for event in events(world)] == [
        "ada added 20 minutes to flan-t5",
        "flan-t5 is starting",
        "flan-t5 is running",
        "flan-t5 stops in 10 minutes",
        "flan-t5 stops in 2 minutes",
        "flan-t5 has stopped",
    ]
    assert [event.spent is None for event in events(world)] == [True] + [False] * 5


def test_a_warning_says_what_runs_until_when_what_it_costs_and_carries_one_link(world):
    world.top_up(20)
    world.wind(11 * MINUTE)
    (warning,) = of_kind(world, Kind.WARNING)
    assert text(warning, in_berlin).splitlines() == [
        "10 min 0 s left",
        "At: 2026-06-22 12:10:00 UTC (14:10:00 CEST)",
        "On until: 2026-06-22 12:20:00 UTC (14:20:00 CEST)",
        "An hour costs: $7.20",
        "Spent so far: $1.20",
        "Add 30 minutes: https://meter.example.org/extend/abc",
    ]
    made = document(warning, in_utc)
    assert made["extend_url"] == LINK.url
    assert made["spent"] == "1.2000"
    assert made["expires_at"] == "2026-06-22T12:20:00Z"
    assert document(warning, in_berlin)["expires_at_local"] == "2026-06-22T14:20:00+02:00"
    assert json.loads(json.dumps(made)) == made
    assert str(made).count(LINK.url) == 2  # its field, and in the text


def test_only_a_warning_of_the_close_has_a_link(world):
    world.top_up(20)
    world.wind(11 * MINUTE)
    world.service.warn("flan-t5", "worth knowing", "note:1")
    assert [event.extension for event in events(world)] == [None, None, None, LINK, None]
    assert title(events(world)[-1]) == "flan-t5 needs a look"


def test_what_was_spent_counts_all_starts_since_it_was_last_stopped(world):
    world.top_up(10)
    world.wind(30 * MINUTE)
    world.top_up(30)
    world.wind(15 * MINUTE)
    world.driver.crash("flan-t5", "exit code 1")
    world.wind(30 * MINUTE)
    spent = [(event.kind, event.spent) for event in events(world)]
    stops = [dollars for kind, dollars in spent if kind is Kind.STOP]
    assert stops[0] == Decimal("1.2020")  # a stop takes its second
    assert Decimal("3.58") < stops[1] < Decimal("3.61")
    (failure,) = of_kind(world, Kind.FAILURE)
    assert Decimal("1.8") <= failure.spent < Decimal("1.81")


def test_an_unknown_price_is_unknown_and_never_zero():
    world = World(spec(startup_credit=timedelta(0)))
    world.top_up(20)
    world.wind(11 * MINUTE)
    (warning,) = of_kind(world, Kind.WARNING)
    assert "An hour costs: unknown" in text(warning)
    assert "Spent" not in text(warning)
    made = document(warning)
    assert (made["price_per_hour"], made["spent"]) == (None, None)


def test_a_failure_is_published_once_per_cause_and_run_whatever_the_attempts(world):
    world.top_up(20)
    for number, reason in enumerate(("exit code 1", "exit code 1", "no disk", "exit code 1")):
        world.driver.fail_next_start("flan-t5", reason)
        for _ in range(60):
            if world.lines().count(Kind.FAILURE) <= number:
                world.wind(timedelta(seconds=0.5))
    assert world.lines().count(Kind.FAILURE) == 4
    assert [event.why for event in of_kind(world, Kind.FAILURE)] == ["exit code 1", "no disk"]


def test_the_first_attempt_of_a_run_is_published_and_no_other(world):
    world.top_up(20)
    world.driver.refuse("start", "flan-t5", 5, "no capacity")
    world.wind(2 * MINUTE)
    assert world.lines().count(Kind.START) > 3
    assert [event.why for event in of_kind(world, Kind.START)] == ["loading"]
    world.service.eject("flan-t5", ADA)
    world.wind(MINUTE)
    world.top_up(20)
    world.wind(MINUTE)
    assert [event.why for event in of_kind(world, Kind.START)] == ["loading", "loading"]


def test_a_stop_says_why(world):
    world.top_up(2)
    world.wind(5 * MINUTE)
    world.top_up(20)
    world.wind(MINUTE)
    world.service.eject("flan-t5", ADA)
    world.wind(MINUTE)
    world.top_up(20)
    world.wind(MINUTE)
    while world.service.park():
        world.clock.time += SECOND
    world.service.begin()
    world.wind(MINUTE)
    world.service.remove("flan-t5")
    world.service.reconcile("flan-t5")
    world.service.begin()
    world.wind(MINUTE)
    assert [event.why for event in of_kind(world, Kind.STOP)] == [
        "time used up",
        "ejected by ada",
        "the gateway was stopped",
        "removed with its deployment",
    ]


def test_a_stop_for_idleness_says_so():
    world = World(spec(startup_credit=timedelta(0), idle=MINUTE))
    world.gate.asked_at["flan-t5"] = NOON
    world.top_up(20)
    world.wind(5 * MINUTE)
    assert [event.why for event in of_kind(world, Kind.STOP)] == ["no prompt for 1 min 0 s"]


def test_who_ejected_is_not_named_in_the_stop_of_the_journal(world):
    world.top_up(20)
    world.wind(MINUTE)
    world.service.eject("flan-t5", ADA)
    world.wind(MINUTE)
    (stop,) = [line for line in world.service.journal("flan-t5", 100) if line.kind is Kind.STOP]
    assert (stop.who, stop.why) == ("parkmeter", "ejected")


def test_the_same_failure_in_another_run_is_published_again(world):
    for _ in range(2):
        world.top_up(20)
        world.driver.fail_next_start("flan-t5", "exit code 1")
        world.wind(5 * MINUTE)
        world.service.eject("flan-t5", ADA)
        world.wind(5 * MINUTE)
    assert len(of_kind(world, Kind.FAILURE)) == 2


def test_a_cause_is_known_by_run_and_reason_and_other_lines_have_none():
    def failure(key: str, kind: Kind = Kind.FAILURE) -> Entry:
        return Entry("a", kind, NOON, "parkmeter", "x", key, NOON)

    one = cause_of(failure("failure:2026-06-22T12:00:00+00:00:1:abc"))
    assert one == cause_of(failure("failure:2026-06-22T12:00:00+00:00:7:abc"))
    assert one != cause_of(failure("failure:2026-06-22T12:00:01+00:00:1:abc"))
    assert one != cause_of(failure("failure:2026-06-22T12:00:00+00:00:1:abd"))
    assert cause_of(failure("trouble:2026-06-22T12:00:00+00:00:abc")) != one
    assert cause_of(failure("ready:1", Kind.READY)) is None
    assert cause_of(failure("1", Kind.START)) is None


def test_attempts_of_one_run_are_one_start():
    def start(key: str) -> Entry:
        return Entry("a", Kind.START, NOON, "parkmeter", "x", key, NOON)

    one = cause_of(start("start:2026-06-22T12:00:00+00:00:1"))
    assert one == cause_of(start("start:2026-06-22T12:00:00+00:00:7"))
    assert one != cause_of(start("start:2026-06-22T12:00:01+00:00:1"))


def test_keys_ids_and_the_eject_itself_are_not_published(world):
    world.top_up(20, key="my-secret-key")
    world.wind(MINUTE)
    world.service.eject("flan-t5", ADA)
    world.wind(MINUTE)
    made = str([document(event) for event in events(world)])
    assert "my-secret-key" not in made
    assert ADA.id not in made.replace("ada", "")
    assert Kind.EJECT not in {event.kind for event in events(world)}


def test_the_same_line_gives_the_same_event_whatever_happened_since(world):
    world.top_up(20)
    world.wind(11 * MINUTE)
    before = events(world)
    world.top_up(20)
    world.wind(60 * MINUTE)
    assert events(world)[: len(before)] == before
    assert len({event.id for event in events(world)}) == len(events(world))


def test_the_same_key_at_two_endpoints_is_two_events():
    line = Entry("a", Kind.TOP_UP, NOON, "parkmeter", "first", "provision:0", NOON)
    other = Entry("b", Kind.TOP_UP, NOON, "parkmeter", "first", "provision:0", NOON)
    assert Event.of(line).id != Event.of(other).id
    assert Event.of(line).id == Event.of(line).id


def test_an_endpoint_removed_from_the_configuration_is_still_published(world):
    world.top_up(20)
    world.wind(MINUTE)
    announcing = EventBuilder(world.store)
    (line,) = [e for e in world.service.journal("flan-t5", 9) if e.kind is Kind.READY]
    assert announcing.event(line).spent is not None
