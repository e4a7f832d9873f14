"""Old lines of a journal may go; what they add up to stays."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.journal_reader import receipt_of
from parkmeter.core.meter import Meter
from parkmeter.core.receipt import Receipt
from parkmeter.service.journal_keeper import SHORTEST_KEPT, JournalKeeper
from parkmeter.stores.sqlite import SqliteStore
from tests.core.test_ledger import any_journal
from tests.support.world import NOON

DAY = timedelta(days=1)
YEARS = 700 * DAY
MIDNIGHT = NOON.replace(hour=0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
    for module in ("core.ledger", "service.journal_keeper", "stores.sqlite_marks"):
        monkeypatch.setattr(f"parkmeter.{module}.EVERY", 4)
    made = SqliteStore(tmp_path / "store.sqlite")
    yield made
    made.close()


def two_years(store: SqliteStore, seed: int) -> list[Entry]:
    """Write a journal of about two years."""
    chance, meter, lines = random.Random(seed), Meter("flan-t5"), []
    for part in range(8):
        moments = sorted(NOON + part * YEARS / 8 + chance.random() * YEARS / 8 for _ in range(60))
        for number, (line, at) in enumerate(zip(any_journal(chance), moments, strict=True)):
            late = timedelta(minutes=chance.randrange(90)) if chance.random() < 0.05 else 0 * DAY
            expires_at = at + chance.random() * 3 * DAY
            key = f"{part} {number}"
            lines.append(replace(line, at=at - late, expires_at=expires_at, key=key))
    for line in lines:
        meter = store.commit(meter, [line])
    return lines


def receipts(store: SqliteStore, end: datetime) -> list[Receipt]:
    """Return receipts of whole days, of old and new ones, and that of everything."""
    periods = [
        (MIDNIGHT + first * DAY, MIDNIGHT + last * DAY)
        for first, last in ((1, 40), (30, 31), (90, 290), (0, 500), (250, 699), (600, 690))
    ]
    found = [receipt_of(store, "flan-t5", Decimal(1), *period) for period in periods]
    return [*found, receipt_of(store, "flan-t5", Decimal(1), None, end)]


def shorten(store: SqliteStore, now: datetime) -> int:
    keeper, gone = JournalKeeper(store), 0
    for _ in range(60):
        gone += keeper.shorten(store, "flan-t5", SHORTEST_KEPT, now)
    return gone


@pytest.mark.parametrize("seed", range(4))
def test_receipts_of_whole_days_are_the_same_before_and_after_old_lines_went(store, seed):
    two_years(store, seed)
    now = NOON + YEARS
    before = receipts(store, now)
    gone = shorten(store, now)
    assert gone > 100
    assert receipts(store, now) == before
    kept = store.journal("flan-t5", 1000)
    assert len(kept) == 480 - gone
    assert {line.number for line in kept} == set(range(gone + 1, 481))
    assert min(line.at for line in kept) > now - SHORTEST_KEPT - 40 * DAY
    # A second time, a year later, and the journal goes on.
    meter = store.load("flan-t5")
    line = replace(kept[0], at=now + 200 * DAY, key="later", kind=Kind.TOP_UP)
    store.commit(meter, [line])
    before = receipts(store, now + 200 * DAY)
    assert shorten(store, now + 200 * DAY) > 50
    assert receipts(store, now + 200 * DAY) == before
    assert store.journal("flan-t5", 1)[0].number == 481


def test_a_period_within_a_day_whose_lines_are_gone_is_moved_to_whole_days(store):
    two_years(store, 1)
    shorten(store, NOON + YEARS)
    day = MIDNIGHT + 100 * DAY
    found = receipt_of(store, "flan-t5", None, day + DAY / 3, day + 5 * DAY / 3)
    assert (found.begin, found.end) == (day + DAY, day + 2 * DAY)


def test_lines_that_a_receiver_has_yet_to_get_stay(store):
    store.follow(["webhook"])
    two_years(store, 1)
    assert shorten(store, NOON + YEARS) == 0
    store.passed("webhook", store.posted(0, 1000)[59].place)
    assert shorten(store, NOON + YEARS) == 60


def test_the_lines_of_the_last_thirteen_months_stay_whatever_is_set(store):
    two_years(store, 1)
    keeper, now = JournalKeeper(store), NOON + YEARS
    for _ in range(60):
        keeper.shorten(store, "flan-t5", DAY, now)
    assert min(line.at for line in store.journal("flan-t5", 1000)) < now - 396 * DAY


def test_the_last_line_stays_for_its_number(store):
    two_years(store, 1)
    shorten(store, NOON + 10 * YEARS)
    (last, *_) = store.journal("flan-t5", 1000)
    assert last.number == 480
    store.commit(store.load("flan-t5"), [replace(last, key="again", at=NOON + 10 * YEARS)])
    assert store.journal("flan-t5", 1)[0].number == 481
