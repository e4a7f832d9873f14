"""Marks of a journal add up to exactly what a replay of every line gives."""

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from parkmeter.core import ledger
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.journal_reader import lines_of, position, receipt_of
from parkmeter.core.meter import Meter
from parkmeter.core.status_history import status_intervals
from parkmeter.service.journal_keeper import JournalKeeper
from parkmeter.stores.memory import MemoryStore
from tests.support.replayed import receipt
from tests.support.world import NOON, SECOND

HOUR = timedelta(hours=1)
WEEK = 7 * 24 * 3600


@pytest.fixture(autouse=True)
def _marks_are_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "EVERY", 4)
    monkeypatch.setattr("parkmeter.service.journal_keeper.EVERY", 4)


def any_journal(chance: random.Random) -> list[Entry]:
    """Entries mostly in the order of time; a clock is set back at times, ends are noticed late."""
    sane = chance.random() < 0.7
    moments = [NOON + chance.randrange(WEEK) * SECOND for _ in range(60)]
    if sane:
        moments.sort()
    late = [0] * 12 + [chance.randrange(60), chance.randrange(WEEK)]
    return [
        Entry(
            endpoint="flan-t5",
            kind=(kind := chance.choice(list(Kind))),
            at=at - chance.choice(late) * SECOND,
            who=chance.choice(["ada", "bob", "cleo", "parkmeter"]),
            why=f"line {number}",
            key=str(number) if chance.random() < 0.8 else f"trouble:{number}",
            expires_at=chance.choice(moments),
            amount=chance.randrange(-3, 5) * HOUR,
            status=chance.choice(["stopped", "running", "starting", "failed", ""])
            if kind is not Kind.STOP
            else chance.choice(["stopped", "running"]),
            left=chance.randrange(5) * HOUR,
            price_per_hour=chance.choice([None, Decimal(7), Decimal("1.2345")])
            if chance.random() < 0.2
            else Decimal(3),
        )
        for number, at in enumerate(moments)
    ]


def store_with(lines: list[Entry], chance: random.Random) -> MemoryStore:
    """Commit a journal in pieces, as a meter that lives."""
    store, meter = MemoryStore(), Meter("flan-t5")
    left = list(lines)
    while left:
        piece = [left.pop(0) for _ in range(min(len(left), chance.choice([1, 1, 2, 5])))]
        meter = store.commit(meter, piece)
    return store


def test_a_receipt_from_marks_equals_the_replay_of_every_line_in_any_journal():
    marked = 0
    for seed in range(120):
        chance = random.Random(seed)
        store = store_with(any_journal(chance), chance)
        lines = store.journal("flan-t5", 1000)[::-1]
        marked += store.marks("flan-t5", None)[0] is not None
        for _ in range(5):
            begin, end = sorted(NOON + chance.randrange(WEEK) * SECOND for _ in range(2))
            begin, end = max(begin, lines[0].at), max(end, lines[0].at)
            found = receipt_of(store, "flan-t5", Decimal(9), begin, end)
            replayed = receipt(lines, "flan-t5", Decimal(9), begin, end)
            assert found.time_on == replayed.time_on, (seed, begin, end)
            assert found.cost == replayed.cost
            assert found.always_on_cost == replayed.always_on_cost
            assert found.runs == replayed.runs, (seed, begin, end)
            assert {(one.who, one.time_on, one.bought) for one in found.parts} == {
                (one.who, one.time_on, one.bought) for one in replayed.parts
            }
    assert marked > 60


def test_a_timeline_from_marks_equals_that_of_all_lines():
    for seed in range(80):
        chance = random.Random(seed)
        store = store_with(any_journal(chance), chance)
        lines = store.journal("flan-t5", 1000)[::-1]
        begin, end = sorted(NOON + chance.randrange(WEEK) * SECOND for _ in range(2))
        found = lines_of(store, "flan-t5", begin, end)
        assert found.begin == begin
        few = status_intervals(found.entries, begin, end, found.showing)
        assert few == status_intervals(lines, begin, end), seed


def test_a_journal_without_marks_gets_the_same_ones_later_whatever_is_written_meanwhile(
    monkeypatch,
):
    for seed in range(80):
        chance = random.Random(seed)
        lines = any_journal(chance)
        with monkeypatch.context() as older:  # a version that made no marks
            older.setattr("parkmeter.stores.memory.is_due", lambda _number, _newest: False)
            store = store_with(lines, chance)
        keeper = JournalKeeper(store)
        while keeper.tend("flan-t5", lines=8):
            if chance.random() < 0.1 and len(lines) < 80:
                lines.append(any_journal(chance)[0])
                meter = store.load("flan-t5")
                key = f"meanwhile {len(lines)}"
                store.commit(meter, [replace(lines[-1], key=key)])
        all_lines = store.journal("flan-t5", 1000)[::-1]
        for _ in range(5):
            moment = NOON + chance.randrange(WEEK) * SECOND
            end = max(moment, all_lines[0].at)
            found = receipt_of(store, "flan-t5", None, None, end)
            replayed = receipt(all_lines, "flan-t5", None, all_lines[0].at, end)
            assert (found.time_on, found.cost) == (replayed.time_on, replayed.cost), seed
            assert found.runs == replayed.runs


def test_a_position_reads_few_lines_however_long_the_journal_is(monkeypatch):
    monkeypatch.setattr(ledger, "EVERY", 128)
    store, meter = MemoryStore(), Meter("flan-t5")
    for number in range(6000):
        line = Entry(
            endpoint="flan-t5",
            kind=Kind.TOP_UP,
            at=NOON + number * SECOND,
            who="ada",
            why="",
            key=str(number),
            expires_at=NOON + 2 * number * SECOND,
            amount=SECOND,
            price_per_hour=Decimal(1),
        )
        meter = store.commit(meter, [line])
    read = 0
    journal = store.journal

    def counted(name: str, limit: int, before: int | None = None) -> list[Entry]:
        nonlocal read
        found = journal(name, limit, before)
        read += len(found)
        return found

    monkeypatch.setattr(store, "journal", counted)
    for hours in (0.2, 0.9, 1.5):
        position(store, "flan-t5", NOON + hours * HOUR, None)
    assert read <= 3 * 128
