"""Receipts of journals; those of the first half come from a wound clock."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from parkmeter.core.journal import SYSTEM, Entry, Kind
from parkmeter.core.journal_reader import receipt_of
from parkmeter.core.meter import ZERO, Meter
from parkmeter.core.money import Minutes
from parkmeter.core.receipt import Receipt
from parkmeter.errors import InvalidRequestError, UnknownEndpointError
from parkmeter.service.changes import Edit
from parkmeter.stores.memory import MemoryStore
from tests.support.replayed import receipt
from tests.support.world import ADA, BOB, MINUTE, NOON, SECOND, World, spec

HOUR = 60 * MINUTE
PRICE = Decimal("7.20")  # a fifth of a cent a second
PRICED = spec(price_per_hour=PRICE)


@pytest.fixture
def world() -> World:
    """Starts and stops take no time and are given no credit, so that figures are round."""
    world = World(replace(PRICED, startup_credit=ZERO))
    world.driver.start_takes = world.driver.stop_takes = ZERO
    return world


def parts(found: Receipt) -> dict[str, tuple[timedelta, Decimal | None]]:
    return {part.who: (part.time_on, part.cost) for part in found.parts}


def test_hours_on_and_money_and_what_always_on_would_have_cost(world):
    world.top_up(30)
    world.wind(2 * HOUR)
    found = world.service.receipt("flan-t5")
    assert (found.begin, found.end) == (NOON, NOON + 2 * HOUR)
    assert found.time_on == 30 * MINUTE
    assert (found.cost, found.always_on_cost) == (Decimal("3.6000"), Decimal("14.4000"))
    assert found.saved == Decimal("10.8000")
    (run,) = found.runs
    assert (run.started, run.ended, run.cost) == (NOON, NOON + 30 * MINUTE, found.cost)
    assert run.variant == "local"


def test_an_endpoint_that_is_on_counts_to_the_end_of_the_period(world):
    world.top_up(30)
    world.wind(10 * MINUTE)
    found = world.service.receipt("flan-t5")
    assert found.time_on == 10 * MINUTE
    assert found.runs[0].ended is None


def test_time_belongs_to_its_buyers_in_the_order_it_was_bought(world):
    world.service.top_up("flan-t5", Minutes.of(30), ADA)
    world.service.top_up("flan-t5", Minutes.of(15), BOB)
    world.service.top_up("flan-t5", Minutes.of(15), ADA)
    world.wind(40 * MINUTE)
    found = world.service.receipt("flan-t5")
    assert parts(found) == {
        "ada": (30 * MINUTE, Decimal("3.6000")),
        "bob": (10 * MINUTE, Decimal("1.2000")),
    }
    assert {part.who: part.bought for part in found.parts} == {
        "ada": 45 * MINUTE,
        "bob": 15 * MINUTE,
    }


def test_waiting_for_the_start_belongs_to_its_first_buyer_and_shifts_later_time():
    world = World(PRICED)
    world.driver.start_takes = 20 * MINUTE
    world.service.top_up("flan-t5", Minutes.of(10), ADA)
    world.wind(15 * MINUTE)
    world.service.top_up("flan-t5", Minutes.of(10), BOB)
    world.wind(HOUR)
    found = parts(world.service.receipt("flan-t5"))
    assert abs(found["ada"][0] - 30 * MINUTE) < 2 * SECOND
    assert abs(found["bob"][0] - 10 * MINUTE) < 2 * SECOND


def test_drain_belongs_to_the_last_buyer(world):
    world.service.top_up("flan-t5", Minutes.of(10), ADA)
    world.service.top_up("flan-t5", Minutes.of(10), BOB)
    world.gate.requests["flan-t5"] = 1
    world.wind(HOUR)
    found = parts(world.service.receipt("flan-t5"))
    assert found["ada"][0] == 10 * MINUTE
    assert found["bob"][0] == 10 * MINUTE + world.specs["flan-t5"].drain


def test_after_an_eject_the_drain_belongs_to_the_buyer_whose_time_was_running(world):
    world.service.top_up("flan-t5", Minutes.of(10), ADA)
    world.service.top_up("flan-t5", Minutes.of(10), BOB)
    world.wind(5 * MINUTE)
    world.gate.requests["flan-t5"] = 1
    world.service.eject("flan-t5", BOB)
    world.wind(HOUR)
    assert list(parts(world.service.receipt("flan-t5"))) == ["ada", "bob"]
    assert parts(world.service.receipt("flan-t5"))["bob"][0] == ZERO


def test_first_provisioning_is_on_parkmeters_account_and_an_edit_on_the_operators(world):
    world.service.provision("flan-t5", 10 * MINUTE)
    world.service.begin()
    world.service.adopt("flan-t5", NOON + 30 * MINUTE, Edit("1", world.now, "operator"))
    world.wind(HOUR)
    assert {who: time for who, (time, _) in parts(world.service.receipt("flan-t5")).items()} == {
        SYSTEM: 10 * MINUTE,
        "operator": 20 * MINUTE,
    }


def test_a_price_that_changes_in_mid_run_counts_from_the_line_that_first_says_it(world):
    world.top_up(60)
    world.wind(10 * MINUTE)
    world.specs["flan-t5"] = spec(price_per_hour=2 * PRICE)
    world.service = world.another_service()
    world.wind(5 * MINUTE)
    world.top_up(10)
    world.service.begin()
    world.wind(15 * MINUTE)
    found = world.service.receipt("flan-t5")
    assert found.cost == Decimal("1.8000") + Decimal("3.6000")
    assert found.price_per_hour == 2 * PRICE


def test_a_buyer_without_hours_has_an_unknown_cost_where_the_price_is_unknown_and_not_zero():
    world = World(spec())
    world.top_up(10)
    world.service.top_up("flan-t5", Minutes.of(10), BOB)
    world.wind(5 * MINUTE)
    found = world.service.receipt("flan-t5")
    assert [(part.who, part.cost) for part in found.parts] == [("ada", None), ("bob", None)]


def test_an_unknown_price_makes_totals_unknown_and_hours_without_price_are_shown():
    world = World(spec())
    world.top_up(30)
    world.wind(10 * MINUTE)
    world.specs["flan-t5"] = PRICED
    world.service = world.another_service()
    world.service.eject("flan-t5", ADA)
    world.service.top_up("flan-t5", Minutes.of(30), BOB)
    world.service.begin()
    world.wind(HOUR)
    found = world.service.receipt("flan-t5")
    assert found.unpriced == 10 * MINUTE
    assert (found.cost, found.always_on_cost, found.saved) == (None, None, None)
    assert parts(found)["ada"][1] is None
    assert parts(found)["bob"][1] is not None
    assert found.known_cost == parts(found)["bob"][1]


def test_without_a_price_no_cost_is_known():
    world = World(spec())
    world.top_up(30)
    world.wind(10 * MINUTE)
    assert world.service.receipt("flan-t5").known_cost is None


def test_an_endpoint_that_was_never_on_costs_nothing_and_an_unknown_always_on():
    found = World(spec()).service.receipt("flan-t5", NOON - HOUR)
    assert (found.cost, found.time_on) == (Decimal(0), timedelta(0))
    world = World(PRICED)
    world.service.warn("flan-t5", "left closed at first provisioning", "provision:0")
    world.wind(HOUR)
    priced = world.service.receipt("flan-t5", NOON)
    assert (priced.saved, priced.parts, priced.runs) == (Decimal("7.2000"), (), ())


def test_nothing_is_saved_before_an_endpoint_exists(world):
    world.wind(24 * HOUR)
    world.top_up(30)
    world.wind(HOUR)
    month = world.service.receipt("flan-t5", NOON - 20 * 24 * HOUR)
    assert month == world.service.receipt("flan-t5")
    assert month.begin == world.now - HOUR
    assert month.always_on_cost == PRICE
    before = world.service.receipt("flan-t5", NOON, NOON + HOUR)
    assert (before.begin, before.always_on_cost) == (NOON + HOUR, Decimal(0))


def test_a_failure_ends_a_run_and_trouble_with_the_driver_does_not(world):
    world.top_up(60)
    world.wind(10 * MINUTE)
    world.driver.refuse("observe", "flan-t5", times=30, reason="no network")
    world.wind(10 * MINUTE)
    assert Kind.FAILURE in world.lines()
    assert len(world.service.receipt("flan-t5").runs) == 1
    world.driver.crash("flan-t5", "out of memory")
    world.wind(10 * MINUTE)
    first, second = world.service.receipt("flan-t5").runs
    assert first.ended is not None
    assert first.ended < second.started


def test_a_receipt_of_the_future_ends_now_and_one_that_ends_before_it_begins_is_refused(world):
    world.top_up(30)
    world.wind(10 * MINUTE)
    assert world.service.receipt("flan-t5", end=NOON + HOUR).end == world.now
    with pytest.raises(InvalidRequestError):
        world.service.receipt("flan-t5", NOON + 5 * MINUTE, NOON)
    with pytest.raises(UnknownEndpointError):
        world.service.receipt("falcon")


def test_only_as_much_of_the_journal_is_read_as_a_period_needs(world, monkeypatch):
    monkeypatch.setattr("parkmeter.core.ledger.EVERY", 5)
    monkeypatch.setattr("parkmeter.core.journal_reader._TAIL", 5)
    for _ in range(10):
        world.top_up(30)
        world.wind(HOUR)
    read: list[Entry] = []
    journal = world.store.journal

    def counted(name: str, limit: int, before: int | None = None) -> list[Entry]:
        found = journal(name, limit, before)
        read.extend(found)
        return found

    monkeypatch.setattr(world.store, "journal", counted)
    assert world.service.receipt("flan-t5", world.now - 45 * MINUTE).time_on == 15 * MINUTE
    assert len(read) <= 3 * 5
    assert world.service.receipt("flan-t5", NOON).time_on == 10 * 30 * MINUTE
    halves = [
        world.service.receipt("flan-t5", NOON + 15 * MINUTE, NOON + 75 * MINUTE),
        world.service.receipt("flan-t5", NOON + 75 * MINUTE),
    ]
    whole = world.service.receipt("flan-t5", NOON + 15 * MINUTE)
    assert halves[0].time_on + halves[1].time_on == whole.time_on


def test_an_old_period_is_found_without_reading_all_newer_entries(world, monkeypatch):
    monkeypatch.setattr("parkmeter.core.ledger.EVERY", 20)
    for _ in range(150):
        world.top_up(1)
        world.wind(12 * HOUR)
    read: list[Entry] = []
    journal = world.store.journal

    def counted(name: str, limit: int, before: int | None = None) -> list[Entry]:
        found = journal(name, limit, before)
        read.extend(found)
        return found

    begin, whole = world.now - timedelta(days=60), world.service.receipt("flan-t5")
    monkeypatch.setattr(world.store, "journal", counted)
    found = world.service.receipt("flan-t5", begin, begin + timedelta(days=2))
    assert len(read) < 60
    assert len(journal("flan-t5", 10_000)) > 500
    runs = {run.started: run for run in whole.runs}
    assert len(found.runs) == 4
    assert [runs[run.started] for run in found.runs] == list(found.runs)


def test_a_key_that_comes_again_after_its_lifetime_is_another_line(world):
    for _ in range(2):
        world.service.top_up("flan-t5", Minutes.of(10), ADA, "monday")
        world.wind(timedelta(days=8))
    assert parts(world.service.receipt("flan-t5"))["ada"][0] == 20 * MINUTE


# ── Journals by hand ─────────────────────────────────────────────────────────────────────────────


def entry(kind: Kind, at: datetime, **changes: object) -> Entry:
    line = Entry("flan-t5", kind, at, SYSTEM, "", f"{kind}:", at, price_per_hour=PRICE)
    return replace(line, **changes)


def test_an_end_that_was_noticed_days_later_is_found_for_the_day_on_which_it_was():
    store, ended = MemoryStore(), NOON + HOUR
    lines = [
        entry(Kind.START, NOON, key="1"),
        entry(Kind.TOP_UP, NOON + 96 * HOUR, key="2"),
        entry(Kind.STOP, ended, key="3", status="starting"),
        entry(Kind.START, NOON + 96 * HOUR, key="4"),
        entry(Kind.STOP, NOON + 97 * HOUR, key="5", status="stopped"),
        entry(Kind.TOP_UP, NOON + 99 * HOUR, key="6"),
    ]
    store.commit(Meter("flan-t5"), lines)
    found = receipt_of(store, "flan-t5", None, NOON, NOON + 12 * HOUR)
    assert found.time_on == HOUR


def test_an_end_that_was_noticed_late_counts_from_when_it_was():
    lines = [
        entry(Kind.START, NOON),
        entry(Kind.WARNING, NOON + 20 * MINUTE),
        entry(Kind.STOP, NOON + 10 * MINUTE),
        entry(Kind.START, NOON + 30 * MINUTE),
    ]
    found = receipt(lines, "flan-t5", PRICE, NOON, NOON + HOUR)
    assert found.time_on == 40 * MINUTE


def test_a_clock_that_was_set_back_makes_no_time_twice_and_none_negative():
    lines = [
        entry(Kind.START, NOON + 30 * MINUTE),
        entry(Kind.STOP, NOON + 10 * MINUTE),
        entry(Kind.START, NOON + 20 * MINUTE),
        entry(Kind.STOP, NOON + 40 * MINUTE),
    ]
    found = receipt(lines, "flan-t5", PRICE, NOON, NOON + HOUR)
    assert found.time_on == 10 * MINUTE


def test_an_endpoint_that_was_found_alive_counts_from_when_it_was_found():
    found = receipt([entry(Kind.READY, NOON)], "flan-t5", PRICE, NOON - HOUR, NOON + HOUR)
    assert found.time_on == HOUR


def test_lines_of_endpoints_without_configuration_do_not_make_the_price_unknown():
    lines = [
        entry(Kind.START, NOON),
        entry(Kind.CLOCK, NOON + MINUTE, price_per_hour=None),
        entry(Kind.REMOVE, NOON + 2 * MINUTE, price_per_hour=None),
        entry(Kind.STOP, NOON + 30 * MINUTE, price_per_hour=None),
    ]
    assert receipt(lines, "flan-t5", PRICE, NOON, NOON + 30 * MINUTE).cost == Decimal("3.6000")


def test_parts_are_rounded_so_that_they_add_up():
    lines = [entry(Kind.START, NOON, price_per_hour=Decimal(1))]
    for number, who in enumerate(("ada", "bob", "cleo")):
        at = NOON + number * SECOND
        added = {"who": who, "expires_at": at + SECOND, "amount": SECOND}
        lines.append(entry(Kind.TOP_UP, at, **added, price_per_hour=Decimal(1)))
    lines.append(entry(Kind.STOP, NOON + 3 * SECOND, price_per_hour=Decimal(1)))
    lines[0], lines[1] = lines[1], lines[0]
    found = receipt(lines, "flan-t5", PRICE, NOON, NOON + HOUR)
    assert found.cost == Decimal("0.0008")
    assert sum(part.cost for part in found.parts) == found.cost


def test_a_receipt_has_what_was_bought_before_the_clock_was_set_back_past_the_first_entry(world):
    world.top_up(30)
    world.wind(HOUR)
    world.clock.time -= 5 * HOUR
    world.service.sweep()
    world.top_up(10)
    world.wind(HOUR)
    world.clock.time += 5 * HOUR
    assert world.service.receipt("flan-t5").parts[0].bought >= 30 * MINUTE
