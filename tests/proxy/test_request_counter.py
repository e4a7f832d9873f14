"""Per-minute request counts: counted by the gateway, kept in the store, read by slots."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from parkmeter.core.request_counts import Count, slot_of
from parkmeter.core.usage import Used
from parkmeter.errors import StoreBusyError
from parkmeter.proxy.request_counter import RequestCounter
from parkmeter.proxy.traffic import TrafficByEndpoint
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.stores.sqlite_requests import SqliteRequests

NOON = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Wall:
    def __init__(self) -> None:
        self.time = NOON + timedelta(seconds=30)

    def __call__(self) -> datetime:
        return self.time


class Gateway:
    """The counter of one run; a `restarted` one has the same store and new numbers."""

    def __init__(self, book: SqliteRequests, wall: Wall) -> None:
        self.book = book
        self.wall = wall
        self.traffic = TrafficByEndpoint()
        self.counter = RequestCounter(self.traffic, book, wall)

    def restarted(self) -> "Gateway":
        return Gateway(self.book, self.wall)

    def admit(self, times: int = 1, name: str = "one") -> None:
        self.traffic[name].admitted += times

    def passes(self, time: timedelta) -> None:
        self.wall.time += time
        self.counter.roll_over()

    def counts(self, name: str = "one", back: timedelta = DAY) -> list[Count]:
        end = self.wall.time
        return self.counter.of(name, end - back, end, slot_of(end - back, end, end))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    store = SqliteStore(tmp_path / "store.sqlite")
    yield Gateway(store.requests, Wall())
    store.close()


def test_requests_belong_to_the_minute_in_which_they_were_admitted(gateway):
    gateway.admit(2)
    assert gateway.counts() == [Count(NOON, 2)]
    gateway.passes(MINUTE)
    gateway.admit()
    assert gateway.counts() == [Count(NOON, 2), Count(NOON + MINUTE, 1)]
    gateway.passes(2 * MINUTE)
    gateway.passes(MINUTE)
    assert [one.count for one in gateway.counts()] == [2, 1]
    assert gateway.counts("two") == []


def test_what_was_not_admitted_is_not_counted(gateway):
    gateway.traffic["one"].refused(401)
    gateway.traffic["one"].gone += 1
    assert gateway.counts() == []


def test_written_counts_are_read_by_the_next_gateway_and_counted_once(gateway):
    gateway.admit(3)
    gateway.passes(MINUTE)
    gateway.counter.flush()
    assert gateway.counts() == [Count(NOON, 3)]
    gateway.admit(2)
    gateway.counter.finish()  # in the middle of its minute, and the next one begins in it
    following = gateway.restarted()
    following.admit(5)
    assert following.counts() == [Count(NOON, 3), Count(NOON + MINUTE, 7)]
    following.counter.finish()
    assert following.restarted().counts() == [Count(NOON, 3), Count(NOON + MINUTE, 7)]


def test_a_longer_period_has_longer_slots_and_every_request_in_one_of_them(gateway):
    for _ in range(3 * 24 * 6):
        gateway.admit(4)
        gateway.passes(10 * MINUTE)
    gateway.counter.flush()
    week, month = gateway.counts(back=7 * DAY), gateway.counts(back=30 * DAY)
    assert sum(one.count for one in week) == sum(one.count for one in month) == 3 * 24 * 6 * 4
    assert {one.at.minute % 5 for one in week} == {0}
    assert [one.count for one in month] == [24] * 72
    assert month[0].at == NOON
    assert gateway.counts(back=HOUR)[0].at >= gateway.wall.time - HOUR


def test_a_day_of_weeks_ago_has_slots_that_are_still_kept():
    def slot(days_ago: int) -> timedelta:
        begin = NOON - days_ago * DAY
        return slot_of(begin, begin + DAY, NOON)

    assert [slot(days_ago) for days_ago in (1, 14, 20, 30)] == [
        MINUTE,
        MINUTE,
        5 * MINUTE,
        HOUR,
    ]


def test_a_month_is_kept_and_nothing_older(gateway):
    for _ in range(40):
        gateway.admit()
        gateway.passes(DAY)
        gateway.counter.flush()
    assert len(gateway.counts(back=60 * DAY)) == 31


def test_a_store_that_cannot_be_written_loses_nothing_and_is_written_later(gateway):
    class Busy:
        busy = True

        def add(
            self,
            minute: datetime,
            counts: Mapping[str, int],
            used: Mapping[tuple[str, str], Used],
        ) -> None:
            if self.busy:
                raise StoreBusyError
            gateway.book.add(minute, counts, used)

        of = staticmethod(gateway.book.of)
        used_by = staticmethod(gateway.book.used_by)
        used_at = staticmethod(gateway.book.used_at)
        since = staticmethod(gateway.book.since)

    book = Busy()
    gateway.counter = RequestCounter(gateway.traffic, book, gateway.wall)
    for count in (1, 2):
        gateway.admit(count)
        gateway.passes(MINUTE)
        gateway.counter.flush()
    expected = [Count(NOON, 1), Count(NOON + MINUTE, 2)]
    assert gateway.counts() == expected
    assert gateway.restarted().counts() == []
    book.busy = False
    gateway.counter.flush()
    assert gateway.counts() == gateway.restarted().counts() == expected
