"""The contract of `ports.Store` on the marks of a journal, on every implementation."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parkmeter.core import ledger
from parkmeter.core.journal_reader import receipt_of
from parkmeter.core.meter import Meter
from parkmeter.ports import Store
from parkmeter.service.journal_keeper import JournalKeeper
from parkmeter.stores.dynamodb import DynamoStore
from parkmeter.stores.memory import MemoryStore
from parkmeter.stores.sqlite import SqliteStore
from simulator.deployment import dynamodb_client, make_tables
from simulator.moto_server import moto_server
from tests.core.test_ledger import WEEK, any_journal
from tests.support.replayed import receipt
from tests.support.world import NOON, SECOND

MODULES = (
    "parkmeter.core.ledger",
    "parkmeter.service.journal_keeper",
    "parkmeter.stores.sqlite_marks",
    "parkmeter.stores.dynamodb_marks",
)


@pytest.fixture(autouse=True)
def _marks_are_close(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        monkeypatch.setattr(f"{module}.EVERY", 4)


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with moto_server() as url:
        client = dynamodb_client(url)
        yield client
        client.close()


@pytest.fixture(params=["memory", "sqlite", "dynamodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    match request.param:
        case "memory":
            yield MemoryStore()
        case "sqlite":
            made = SqliteStore(tmp_path / "store.sqlite")
            yield made
            made.close()
        case "dynamodb":
            client = request.getfixturevalue("dynamodb")
            yield DynamoStore(client, make_tables(client))


def write(store: Store, name: str, chance: random.Random, *, ordered: bool = False) -> None:
    meter, left = Meter(name), [replace(line, endpoint=name) for line in any_journal(chance)]
    if ordered:
        left.sort(key=lambda line: line.at)
    while left:
        piece = [left.pop(0) for _ in range(min(len(left), chance.choice([1, 2, 5])))]
        meter = store.commit(meter, piece)


def check(store: Store, name: str, chance: random.Random) -> None:
    """Check that receipts from marks equal those of every line."""
    lines = store.journal(name, 1000)[::-1]
    for _ in range(3):
        begin, end = sorted(NOON + chance.randrange(WEEK) * SECOND for _ in range(2))
        begin, end = max(begin, lines[0].at), max(end, lines[0].at)
        found = receipt_of(store, name, Decimal(9), begin, end)
        replayed = receipt(lines, name, Decimal(9), begin, end)
        assert found.time_on == replayed.time_on
        assert (found.cost, found.always_on_cost) == (replayed.cost, replayed.always_on_cost)
        assert found.runs == replayed.runs


@pytest.mark.parametrize("seeds", [2, pytest.param(6, marks=pytest.mark.extended)])
def test_commits_mark_the_journal_and_late_lines_undo_marks(store, seeds):
    for seed in range(seeds):
        chance = random.Random(seed)
        write(store, f"e{seed}", chance)
        check(store, f"e{seed}", chance)


def test_a_mark_comes_back_as_it_was_written(store):
    write(store, "flan-t5", random.Random(1), ordered=True)
    newest, after = store.marks("flan-t5", None)
    assert newest is not None
    assert after is None
    lines = store.journal("flan-t5", 1000)[::-1]
    again = ledger.Segment(None, lines[: newest.number], None).mark()
    assert again is not None
    assert (newest.sums.on, newest.sums.whole, newest.sums.bought) == (
        again.sums.on,
        again.sums.whole,
        again.sums.bought,
    )
    assert newest.standing == again.standing
    assert (newest.showing, newest.run, newest.origin) == (again.showing, again.run, again.origin)
    before, same = store.marks("flan-t5", newest.at)
    assert same is not None
    assert same.at == newest.at
    assert before is None or before.at < newest.at
    assert store.marks("flan-t5", newest.at + SECOND)[1] is None


def test_a_journal_of_an_older_version_gets_its_marks_later(store, monkeypatch):
    with monkeypatch.context() as older:
        for module in ("stores.memory", "stores.sqlite_marks", "stores.dynamodb_marks"):
            older.setattr(f"parkmeter.{module}.is_due", lambda _number, _newest: False)
        chance = random.Random(2)
        write(store, "flan-t5", chance, ordered=True)
    assert store.marks("flan-t5", None) == (None, None)
    keeper = JournalKeeper(store)
    while keeper.tend("flan-t5", 10):
        pass
    assert store.marks("flan-t5", None)[0] is not None
    check(store, "flan-t5", chance)
    meter = store.load("flan-t5")
    for number in range(9):  # and it goes on from there
        at = NOON + timedelta(days=8) + number * SECOND
        line = replace(any_journal(chance)[0], at=at, key=f"later {number}")
        meter = store.commit(meter, [line])
    check(store, "flan-t5", chance)


def test_marks_of_a_journal_that_has_grown_meanwhile_are_not_added(store):
    write(store, "flan-t5", random.Random(3), ordered=True)
    newest, _ = store.marks("flan-t5", None)
    assert newest is not None
    last = store.journal("flan-t5", 1)[0].number
    assert not store.add_marks("flan-t5", [newest], last - 1)
    assert store.add_marks("flan-t5", [newest], last)
    assert store.marks("flan-t5", None)[0] == newest
