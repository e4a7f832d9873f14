"""The cost of the clock's pass follows the meters that are not settled, not all of them."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from parkmeter.core.journal import Entry
from parkmeter.core.meter import Meter, Spec
from parkmeter.core.money import Minutes
from parkmeter.drivers.fake import FakeDriver
from parkmeter.proxy.gate import LocalGate
from parkmeter.service.changes import Actor
from parkmeter.service.meters import MeterService
from parkmeter.stores.records import written
from parkmeter.stores.sqlite import SqliteStore

UNSETTLED = 5
ADA = Actor("a1", "ada")


class StillClock:
    """A clock that keeps the names it is to call instead of calling."""

    def __init__(self):
        self.woken = []

    def now(self):
        return datetime.now(UTC)

    def wake(self, name, _at=None):
        self.woken.append(name)


class Silent:
    """A notifier without effect."""

    def send(self, entry: Entry) -> None:
        pass


@pytest.fixture
def statements_of_a_pass(tmp_path, monkeypatch):
    """A function that counts the SQL statements of one pass among `meters` meters."""
    seen = []
    connect = sqlite3.connect

    def traced(*arguments, **more):
        connection = connect(*arguments, **more)
        connection.set_trace_callback(seen.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)

    def count(meters):
        path = tmp_path / f"{meters}.sqlite"
        store = SqliteStore(path)
        names = [f"endpoint-{number:06}" for number in range(meters)]
        with sqlite3.connect(path) as connection:
            rows = ((name, written(Meter(name, version=1))) for name in names)
            connection.executemany("INSERT INTO meters VALUES (?, 1, 1, ?)", rows)
        connection.close()
        clock = StillClock()
        service = MeterService(
            {name: Spec(name, device=f"gpu-{name}") for name in names},
            store=store,
            driver=FakeDriver(clock.now, start_takes=timedelta(0)),
            clock=clock,
            gate=LocalGate(clock.now),
            notifier=Silent(),
        )
        for name in names[:UNSETTLED]:
            service.top_up(name, Minutes.of(60), ADA)
        for _ in range(5):  # until what was begun is ready and journaled
            clock.woken.clear()
            seen.clear()
            service.sweep()
            woken = set(clock.woken)
            assert len(woken) == UNSETTLED
            for name in woken:
                service.reconcile(name)
        store.close()
        return len(seen)

    return count


def test_a_pass_among_a_thousand_meters_asks_the_store_what_one_among_a_few_asks(
    statements_of_a_pass,
):
    assert statements_of_a_pass(1000) == statements_of_a_pass(UNSETTLED)
