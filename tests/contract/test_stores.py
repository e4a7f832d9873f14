"""The contract of `ports.Store`, on every implementation."""

import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parkmeter.core.audit import Action, Record
from parkmeter.core.device import Claim
from parkmeter.core.journal import KEY_LIFETIME, Entry, Kind
from parkmeter.core.meter import Meter, Phase, Run
from parkmeter.core.tokens import Scope, Token
from parkmeter.errors import OverBudgetError
from parkmeter.ports import Budget, DuplicateError, StaleError, Store
from parkmeter.stores.dynamodb import DynamoStore
from parkmeter.stores.memory import MemoryStore
from parkmeter.stores.sqlite import SqliteStore
from simulator.deployment import dynamodb_client, make_tables
from simulator.moto_server import moto_server

NOW = datetime(2026, 6, 22, 8, 24, 12, 345678, tzinfo=UTC)
TODAY = NOW.date()
MINUTE = timedelta(minutes=1)


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


def entry(key: str = "k", at: datetime = NOW, **changes: object) -> Entry:
    line = Entry(
        endpoint="flan-t5",
        kind=Kind.TOP_UP,
        at=at,
        who="ada",
        why="10 minutes",
        key=key,
        expires_at=NOW + 10 * MINUTE,
        amount=10 * MINUTE,
    )
    return replace(line, **changes)


def add_a_minute(store: Store, key: str) -> None:
    while True:
        meter = store.load("flan-t5")
        try:
            store.commit(replace(meter, expires_at=meter.expires_at + MINUTE), [entry(key)])
        except StaleError:
            continue
        return


def test_a_meter_never_seen_is_closed_settled_and_of_version_zero(store):
    assert store.load("flan-t5") == Meter("flan-t5")
    assert list(store.unsettled()) == []


def test_everything_about_a_meter_comes_back_as_it_was_written(store):
    meter = Meter(
        name="flan-t5",
        expires_at=NOW + 10 * MINUTE,
        opened_at=NOW - MINUTE,
        set_at=NOW,
        credit_left=timedelta(minutes=29, microseconds=1),
        settled=False,
        windows_until=NOW + 10 * MINUTE,
        window_since=NOW - MINUTE,
        ended="no prompt for 15 min 0 s",
        run=Run(
            phase=Phase.FAILED,
            reason="no capacity “anywhere”",
            started_at=NOW,
            created_at=NOW,
            ready_at=NOW,
            attempts=3,
            next_try=NOW + MINUTE,
            variant="ml.g5.12xlarge",
            address="http://127.0.0.1:4321",
            warned_at=NOW,
        ),
    )
    committed = store.commit(meter, [])
    assert committed == replace(meter, version=1)
    assert store.load("flan-t5") == committed


def test_everything_about_an_entry_comes_back_as_it_was_written(store):
    line = entry(
        status="running",
        left=timedelta(seconds=10, microseconds=211300),
        request="abc",
        variant="local",
        price_per_hour=Decimal("7.09"),
    )
    store.commit(Meter("flan-t5"), [line])
    assert store.journal("flan-t5", 10) == [replace(line, number=1)]


def test_a_commit_at_an_old_version_is_stale_and_changes_nothing(store):
    read = store.load("flan-t5")
    first = store.commit(replace(read, expires_at=NOW), [entry("a")])
    with pytest.raises(StaleError):
        store.commit(replace(read, expires_at=NOW + MINUTE), [entry("b")])
    with pytest.raises(StaleError):
        store.commit(replace(first, version=7), [entry("c")])
    assert store.load("flan-t5") == first
    assert [line.key for line in store.journal("flan-t5", 10)] == ["a"]


def test_a_key_comes_once_and_the_duplicate_carries_the_first_entry(store):
    meter = store.commit(Meter("flan-t5"), [entry("a", who="ada")])
    with pytest.raises(DuplicateError) as raised:
        store.commit(replace(meter, expires_at=NOW), [entry("b"), entry("a", who="bob")])
    assert raised.value.entry == replace(entry("a", who="ada"), number=1)
    assert store.load("flan-t5") == meter
    assert len(store.journal("flan-t5", 10)) == 1


def test_a_duplicate_is_raised_even_at_an_old_version(store):
    store.commit(Meter("flan-t5"), [entry("a")])
    with pytest.raises(DuplicateError):
        store.commit(Meter("flan-t5"), [entry("a")])


def test_the_same_key_on_another_endpoint_is_another_key(store):
    store.commit(Meter("flan-t5"), [entry("a")])
    store.commit(Meter("falcon"), [entry("a", endpoint="falcon")])
    assert len(store.journal("falcon", 10)) == 1


def test_a_key_may_come_again_after_its_lifetime(store):
    meter = store.commit(Meter("flan-t5"), [entry("a")])
    almost = NOW + KEY_LIFETIME - timedelta(seconds=1)
    with pytest.raises(DuplicateError):
        store.commit(meter, [entry("a", at=almost)])
    meter = store.commit(meter, [entry("a", at=NOW + KEY_LIFETIME)])
    assert [line.number for line in store.journal("flan-t5", 10)] == [2, 1]


def test_an_entry_is_found_by_its_key_if_it_is_new_enough(store):
    store.commit(Meter("flan-t5"), [entry("a")])
    assert store.entry("flan-t5", "a", NOW - MINUTE) == replace(entry("a"), number=1)
    assert store.entry("flan-t5", "a", NOW) is None
    assert store.entry("flan-t5", "b", NOW - MINUTE) is None
    assert store.entry("falcon", "a", NOW - MINUTE) is None


def test_the_journal_is_newest_first_and_pages_backwards(store):
    meter = Meter("flan-t5")
    for number in range(5):
        meter = store.commit(meter, [entry(f"k{number}")])
    assert [line.number for line in store.journal("flan-t5", 2)] == [5, 4]
    assert [line.number for line in store.journal("flan-t5", 2, before=4)] == [3, 2]
    assert [line.number for line in store.journal("flan-t5", 9, before=2)] == [1]
    assert store.journal("flan-t5", 2, before=1) == []
    assert store.journal("falcon", 2) == []


def test_several_entries_of_one_commit_keep_their_order(store):
    store.commit(Meter("flan-t5"), [entry("credit"), entry("ready")])
    assert [line.key for line in store.journal("flan-t5", 10)] == ["ready", "credit"]


def test_only_meters_that_are_not_settled_are_listed_as_unsettled(store):
    on = store.commit(Meter("on", settled=False), [])
    store.commit(Meter("off", settled=True), [])
    assert list(store.unsettled()) == ["on"]
    store.commit(replace(on, settled=True), [])
    assert list(store.unsettled()) == []


def test_a_budget_is_spent_with_the_commit_and_not_without_it(store):
    def budget(minutes: float, day: date = TODAY) -> Budget:
        return Budget("token", day, minutes, limit=10)

    meter = store.commit(Meter("flan-t5"), [entry("a")], budget(6))
    with pytest.raises(StaleError):
        store.commit(Meter("flan-t5"), [entry("b")], budget(4))
    with pytest.raises(OverBudgetError) as raised:
        store.commit(meter, [entry("c")], budget(5))
    assert raised.value.data == {"limit_minutes": 10, "left_minutes": 4}
    assert store.load("flan-t5") == meter
    meter = store.commit(meter, [entry("d")], budget(4))
    store.commit(meter, [entry("e")], budget(10, day=TODAY + timedelta(days=1)))


def test_many_meters_come_in_one_go_each_as_it_is_loaded(store):
    names = [f"endpoint-{number}" for number in range(105)]
    kept = {name: store.commit(Meter(name, settled=False), []) for name in names[::2]}
    asked = [*names[::-1], "never-seen"]
    found = store.meters(asked)
    assert found == {name: kept.get(name, Meter(name)) for name in asked}
    assert list(found) == asked
    assert store.meters([]) == {}


def test_a_device_is_held_by_its_last_claimer(store):
    assert store.holder("gpu0") is None
    flan = store.commit(Meter("flan-t5"), [entry()], claim=Claim("gpu0"))
    assert store.holder("gpu0") == "flan-t5"
    store.commit(flan, [], claim=Claim("gpu0", "flan-t5"))
    flan = store.load("flan-t5")
    store.commit(Meter("falcon"), [], claim=Claim("gpu0", "flan-t5", flan.version))
    assert (store.holder("gpu0"), store.holder("gpu1")) == ("falcon", None)


def test_a_claim_on_a_device_that_another_claimed_meanwhile_is_stale_and_changes_nothing(store):
    store.commit(Meter("flan-t5"), [], claim=Claim("gpu0"))
    for claim in (Claim("gpu0"), Claim("gpu0", "llama", 1), Claim("gpu0", "falcon")):
        with pytest.raises(StaleError):
            store.commit(Meter("falcon"), [entry(endpoint="falcon")], claim=claim)
    with pytest.raises(StaleError):
        store.commit(Meter("falcon"), [], claim=Claim("gpu1", "flan-t5", 1))
    assert store.load("falcon") == Meter("falcon")
    assert store.journal("falcon", 10) == []
    assert (store.holder("gpu0"), store.holder("gpu1")) == ("flan-t5", None)


def test_a_claim_on_a_device_whose_holder_changed_meanwhile_is_stale(store):
    flan = store.commit(Meter("flan-t5"), [], claim=Claim("gpu0"))
    store.commit(replace(flan, expires_at=NOW), [])
    with pytest.raises(StaleError):
        store.commit(Meter("falcon"), [], claim=Claim("gpu0", "flan-t5", flan.version))
    assert store.holder("gpu0") == "flan-t5"


def test_a_claim_in_a_commit_that_is_refused_is_none(store):
    meter = store.commit(Meter("flan-t5"), [entry("a")])
    with pytest.raises(DuplicateError):
        store.commit(meter, [entry("a")], claim=Claim("gpu0"))
    with pytest.raises(StaleError):
        store.commit(Meter("flan-t5"), [entry("b")], claim=Claim("gpu0"))
    with pytest.raises(OverBudgetError):
        store.commit(meter, [entry("c")], Budget("token", TODAY, 11, limit=10), Claim("gpu0"))
    meter = store.commit(meter, [entry("d")], Budget("token", TODAY, 6, limit=10))
    with pytest.raises(OverBudgetError):
        store.commit(meter, [entry("e")], Budget("token", TODAY, 6, limit=10), Claim("gpu0"))
    assert store.holder("gpu0") is None


def test_of_eight_concurrent_claims_of_a_device_one_succeeds(store):
    at_once = threading.Barrier(8)
    outcomes: list[str] = []

    def claim(name: str) -> None:
        at_once.wait()
        try:
            store.commit(Meter(name), [entry(endpoint=name)], claim=Claim("gpu0"))
        except StaleError:
            outcomes.append("stale")
        else:
            outcomes.append(name)

    threads = [threading.Thread(target=claim, args=(f"endpoint-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("stale") == 7
    (winner,) = set(outcomes) - {"stale"}
    assert store.holder("gpu0") == winner
    assert [
        name
        for name in store.meters([f"endpoint-{n}" for n in range(8)])
        if store.load(name).version
    ] == [winner]


def test_tokens_are_kept_replaced_and_removed(store):
    token = Token(
        id="t1",
        digest="sha256:00",
        name="ada",
        created_at=NOW,
        scopes=frozenset({Scope.ADMIN}),
        endpoints=frozenset({"flan-t5"}),
        expires_at=NOW + MINUTE,
        minutes_per_day=60,
        speaks_for_others=True,
    )
    later = Token(id="t0", digest="sha256:01", name="bob", created_at=NOW + MINUTE)
    store.put_token(later)
    store.put_token(token)
    assert store.tokens() == [token, later]
    store.put_token(replace(token, digest="sha256:02"))
    assert store.tokens()[0].digest == "sha256:02"
    assert store.remove_token("t1")
    assert not store.remove_token("t1")
    assert store.tokens() == [later]


def record(what: str, at: datetime = NOW) -> Record:
    return Record(at, Action.RELOADED, "ada", what)


def test_the_audit_is_newest_first_and_pages_backwards(store):
    assert store.audit(5) == []
    for number in range(5):
        store.note(record(f"{number}", NOW + number * MINUTE))
    newest = store.audit(2)
    assert [line.what for line in newest] == ["4", "3"]
    assert [line.what for line in store.audit(9, before=newest[-1].number)] == ["2", "1", "0"]
    assert store.audit(9, before=store.audit(9)[-1].number) == []
    assert newest[0] == replace(record("4", NOW + 4 * MINUTE), number=newest[0].number)


def test_records_of_one_moment_are_all_kept(store):
    threads = [threading.Thread(target=store.note, args=(record(f"{n}"),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = store.audit(20)
    assert {line.what for line in lines} == {f"{number}" for number in range(8)}
    assert len({line.number for line in lines}) == 8


def test_a_token_and_its_record_are_written_together(store):
    token = Token(id="t1", digest="sha256:00", name="ada", created_at=NOW)
    store.put_token(token, record("issued"))
    store.put_token(replace(token, digest="sha256:01"), record("rotated"))
    assert [known.digest for known in store.tokens()] == ["sha256:01"]
    assert store.remove_token("t1", record("revoked"))
    assert not store.remove_token("t1", record("revoked again"))
    assert store.tokens() == []
    assert [line.what for line in store.audit(9)] == ["revoked", "rotated", "issued"]


def test_eight_threads_lose_no_minute(store):
    threads = [
        threading.Thread(
            target=lambda who=who: [add_a_minute(store, f"{who}-{n}") for n in range(10)]
        )
        for who in range(8)
    ]
    before = store.load("flan-t5").expires_at
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.load("flan-t5").expires_at - before == 80 * MINUTE
    assert len(store.journal("flan-t5", 1000)) == 80


def _twenty_five_minutes(path: Path, who: int) -> None:
    store = SqliteStore(path)
    for number in range(25):
        add_a_minute(store, f"{who}-{number}")
    store.close()


def test_eight_processes_on_one_sqlite_file_lose_no_minute(tmp_path):
    path = tmp_path / "store.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_twenty_five_minutes, args=(path, n)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 8
    store = SqliteStore(path)
    assert store.load("flan-t5").expires_at - Meter("flan-t5").expires_at == 200 * MINUTE
    store.close()
