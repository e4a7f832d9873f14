"""The contract of `ports.Outbox`, on every implementation."""

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from parkmeter.core.journal import Entry, Kind
from parkmeter.errors import StoreBusyError
from parkmeter.ports import DuplicateError, StaleError
from parkmeter.stores.memory import MemoryStore
from parkmeter.stores.sqlite import _PASSED_BY_ALL, _POSTED, SqliteStore

NOW = datetime(2026, 6, 22, 8, 24, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "store.sqlite")
    yield made
    made.close()


def post(store: Any, key: str, name: str = "flan-t5", kind: Kind = Kind.START) -> None:
    while True:
        meter = store.load(name)
        try:
            store.commit(meter, [Entry(name, kind, NOW, "ada", "loading", key, NOW)])
        except StaleError:
            continue
        return


def keys(store: Any, after: int = 0, limit: int = 1000) -> list[str]:
    return [line.entry.key for line in store.posted(after, limit)]


def test_lines_of_all_endpoints_come_in_the_order_of_their_commits(store):
    store.follow(["hook"])
    for key, name in (("1", "b"), ("2", "a"), ("3", "b")):
        post(store, key, name)
    lines = store.posted(0, 2)
    assert [(line.entry.endpoint, line.entry.number) for line in lines] == [("b", 1), ("a", 1)]
    assert keys(store, lines[-1].place) == ["3"]
    assert keys(store, store.posted(0, 10)[-1].place) == []


def test_what_was_not_committed_is_not_posted(store):
    post(store, "1")
    with pytest.raises(DuplicateError):
        post(store, "1")
    stale = replace(store.load("flan-t5"), version=7)
    with pytest.raises(StaleError):
        store.commit(stale, [Entry("flan-t5", Kind.STOP, NOW, "ada", "", "2", NOW)])
    assert keys(store) == ["1"]


def test_a_new_follower_begins_at_the_end_and_each_has_a_place_of_its_own(store):
    post(store, "1")
    place = store.follow(["hook"])["hook"]
    assert keys(store, place) == []
    post(store, "2")
    assert store.follow(["hook", "chat"]) == {"hook": place, "chat": store.posted(0, 9)[-1].place}
    assert keys(store, place) == ["2"]
    store.passed("hook", place + 1)
    assert store.follow(["chat", "hook"])["hook"] == place + 1


def test_a_follower_that_leaves_holds_nothing_back_and_begins_at_the_end_again(store):
    store.follow(["hook", "chat"])
    store.leave("hook")
    store.leave("unknown")
    post(store, "1")
    store.passed("hook", 1)  # a delivery that was under way
    places = store.follow(["hook", "chat"])
    assert keys(store, places["hook"]) == []
    assert keys(store, places["chat"]) == ["1"]


def test_a_follower_that_comes_back_begins_at_the_end(store):
    store.follow(["hook"])
    post(store, "1")
    assert store.follow([]) == {}
    store.passed("hook", 1)  # a delivery that was under way
    post(store, "2")
    assert keys(store, store.follow(["hook"])["hook"]) == []


def test_a_follower_misses_nothing_of_concurrent_writers(store):
    def write(name: str) -> None:
        for number in range(25):
            post(store, f"{name}{number}", name if number % 2 else "shared")

    store.follow(["hook"])
    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    seen: list[str] = []
    place = 0
    while any(writer.is_alive() for writer in writers) or store.posted(place, 1):
        for line in store.posted(place, 7):
            seen.append(line.entry.key)
            place = line.place
    assert sorted(seen) == sorted(f"{name}{number}" for name in "abcd" for number in range(25))


def test_places_survive_a_restart(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    place = store.follow(["hook"])["hook"]
    post(store, "1")
    post(store, "2")
    store.passed("hook", place + 1)
    store.close()
    again = SqliteStore(tmp_path / "store.sqlite")
    assert keys(again, again.follow(["hook"])["hook"]) == ["2"]
    again.close()


def test_reading_on_costs_what_is_new_not_what_is_stored(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite")
    plan = store._file.all(f"EXPLAIN QUERY PLAN {_POSTED}", 5, 50)
    store.close()
    steps = [step for *_, step in plan]
    assert len(steps) == 2
    assert "posted USING INTEGER PRIMARY KEY (rowid>?)" in steps[0]
    assert "journal USING PRIMARY KEY (endpoint=? AND number=?)" in steps[1]


# ── The table of what was posted ────────────────────────────────────────────────────────────────


def kept(store: SqliteStore) -> int:
    ((count,),) = store._file.all("SELECT count(*) FROM posted")
    return count


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "store.sqlite")
    yield made
    made.close()


def test_without_followers_it_does_not_grow_and_a_later_one_misses_nothing(file):
    for number in range(50):
        post(file, str(number))
    assert kept(file) == 1
    place = file.follow(["hook"])["hook"]
    post(file, "next")
    assert keys(file, place) == ["next"]


def test_exactly_what_all_have_passed_is_deleted(file):
    file.follow(["hook", "chat"])
    for number in range(20):
        post(file, str(number))
    last = file.posted(0, 100)[-1].place
    file.passed("hook", last)
    post(file, "while chat is away")
    assert len(keys(file)) == 21
    file.passed("chat", last - 5)
    for number in range(20):
        post(file, f"later {number}")
    assert keys(file)[:6] == ["15", "16", "17", "18", "19", "while chat is away"]
    assert kept(file) == 26


def test_places_are_not_given_twice_however_much_was_let_go(file):
    file.follow(["hook"])
    for number in range(30):
        post(file, str(number))
        (line,) = file.posted(number, 10)
        assert (line.place, line.entry.key) == (number + 1, str(number))
        file.passed("hook", line.place)
    assert kept(file) == 1
    file.follow([])
    post(file, "unheard")
    place = file.follow(["hook"])["hook"]
    post(file, "heard")
    assert keys(file, place) == ["heard"]


def test_letting_go_looks_at_a_few_lines_however_many_there_are(file):
    plan = file._file.all(f"EXPLAIN QUERY PLAN {_PASSED_BY_ALL}", 7)
    steps = [step for *_, step in plan]
    assert not any("SCAN posted" in step for step in steps), steps


def test_a_busy_store_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("parkmeter.stores.sqlite_file._BUSY_SECONDS", 0.01)
    store = SqliteStore(tmp_path / "store.sqlite")
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError):
        store.passed("hook", 1)
    other.close()
    store.close()
