"""Posted entries, and the claims to send them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from parkmeter.core.events import MAILED
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Meter
from parkmeter.stores.dynamodb import DynamoStore
from parkmeter.stores.dynamodb_outbox import DynamoOutbox
from simulator.deployment import dynamodb_client, make_tables

NOON = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)
SOON = NOON + timedelta(seconds=45)


@pytest.fixture
def posted(moto: str) -> Iterator[tuple[DynamoStore, DynamoOutbox]]:
    client = dynamodb_client(moto)
    tables = make_tables(client)
    yield DynamoStore(client, tables, posts=MAILED), DynamoOutbox(client, tables.meters)
    client.close()


def commit(store: DynamoStore, *kinds: Kind, name: str = "flan-t5") -> list[Entry]:
    """Lines a second apart; what the journal has of them, oldest first."""
    for number, kind in enumerate(kinds):
        at = NOON - timedelta(minutes=5) + timedelta(seconds=number)
        line = Entry(name, kind, at, "ada", "asked", f"{kind}:{number}", NOON)
        store.commit(store.load(name), [line])
    return store.journal(name, 1000)[::-1]


def test_lines_are_posted_as_the_journal_has_them_oldest_first(posted) -> None:
    store, outbox = posted
    lines = commit(store, Kind.TOP_UP, Kind.CREDIT, Kind.READY)
    assert outbox.unsent(NOON, 9) == [lines[0], lines[2]]
    assert outbox.unsent(NOON, 1) == [lines[0]]


def test_of_many_who_claim_a_line_one_gets_it(posted) -> None:
    store, outbox = posted
    (line,) = commit(store, Kind.STOP)
    with ThreadPoolExecutor(8) as runs:
        claims = list(runs.map(lambda _: outbox.claim(line, NOON, SOON), range(16)))
    assert claims.count(True) == 1


def test_a_claim_that_ran_out_is_anybodys(posted) -> None:
    store, outbox = posted
    (line,) = commit(store, Kind.STOP)
    assert outbox.claim(line, NOON, SOON)
    assert outbox.unsent(NOON, 9) == []
    assert outbox.unsent(SOON, 9) == [line]
    assert outbox.claim(line, SOON, SOON + timedelta(seconds=45))
    assert not outbox.claim(line, SOON, SOON + timedelta(seconds=45))


def test_what_was_told_cannot_be_claimed_any_more(posted) -> None:
    store, outbox = posted
    (line,) = commit(store, Kind.STOP)
    outbox.sent(line)
    outbox.sent(line)
    assert not outbox.claim(line, NOON, SOON)
    assert outbox.unsent(NOON, 9) == []


def test_what_others_have_claimed_hides_nothing_behind_it(posted) -> None:
    store, outbox = posted
    lines = commit(store, *[Kind.TOP_UP] * 5)
    for line in lines[:4]:
        outbox.claim(line, NOON, SOON)
    assert outbox.unsent(NOON, 2) == lines[4:]


def test_a_meter_that_could_not_be_committed_posts_nothing(posted) -> None:
    store, outbox = posted
    commit(store, Kind.CREDIT)
    line = Entry("flan-t5", Kind.STOP, NOON, "parkmeter", "time used up", "stop", NOON)
    with pytest.raises(Exception, match="flan-t5"):
        store.commit(Meter("flan-t5"), [line])
    assert outbox.unsent(NOON, 9) == []
