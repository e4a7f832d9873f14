"""Requests by the minute: counted by the gateway, kept in the store's file, told by slots."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from parkmeter.core.request_counts import Count, slot_of
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
    """What one run counts; a `restarted` one has the same book and new numbers."""

    def __init__(self, book: SqliteRequests, wall: Wall) -> None:
        self.book = book
        self.wall = wall
        self.traffic = TrafficByEndpoint()
        self.minutes = RequestCounter(self.traffic, book, wall)

    def restarted(self) -> "Gateway":
        return Gateway(self.book, self.wall)

    def asked(self, times: int = 1, name: str = "one") -> None:
        self.traffic[name].let_in += times

    def passes(self, time: timedelta) -> None:
        self.wall.time += time
        self.minutes.look()

    def told(self, name: str = "one", back: timedelta = DAY) -> list[Count]:
        end = self.wall.time
        return self.minutes.of(name, end - back, end, slot_of(end - back, end, end))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    store = SqliteStore(tmp_path / "store.sqlite")
    yield Gateway(store.requests, Wall())
    store.close()


def test_requests_belong_to_the_minute_in_which_they_were_let_in(gateway):
    gateway.asked(2)
    assert gateway.told() == [Count(NOON, 2)]
    gateway.passes(MINUTE)
    gateway.asked()
    assert gateway.told() == [Count(NOON, 2), Count(NOON + MINUTE, 1)]
    gateway.passes(2 * MINUTE)
    gateway.passes(MINUTE)
    assert [one.count for one in gateway.told()] == [2, 1]
    assert gateway.told("two") == []


def test_what_was_not_let_in_is_not_counted(gateway):
    gateway.traffic["one"].refused(401)
    gateway.traffic["one"].gone += 1
    assert gateway.told() == []


def test_what_was_put_down_is_known_to_the_next_gateway_and_counted_once(gateway):
    gateway.asked(3)
    gateway.passes(MINUTE)
    gateway.minutes.put_down()
    assert gateway.told() == [Count(NOON, 3)]
    gateway.asked(2)
    gateway.minutes.finish()  # in the middle of its minute, and the next one begins in it
    following = gateway.restarted()
    following.asked(5)
    assert following.told() == [Count(NOON, 3), Count(NOON + MINUTE, 7)]
    following.minutes.finish()
    assert following.restarted().told() == [Count(NOON, 3), Count(NOON + MINUTE, 7)]


def test_a_longer_period_has_longer_slots_and_every_request_in_one_of_them(gateway):
    for _ in range(3 * 24 * 6):
        gateway.asked(4)
        gateway.passes(10 * MINUTE)
    gateway.minutes.put_down()
    week, month = gateway.told(back=7 * DAY), gateway.told(back=30 * DAY)
    assert sum(one.count for one in week) == sum(one.count for one in month) == 3 * 24 * 6 * 4
    assert {one.at.minute % 5 for one in week} == {0}
    assert [one.count for one in month] == [24] * 72
    assert month[0].at == NOON
    assert gateway.told(back=HOUR)[0].at >= gateway.wall.time - HOUR


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


def test_a_month_is_kept_and_no_more(gateway):
    for _ in range(40):
        gateway.asked()
        gateway.passes(DAY)
        gateway.minutes.put_down()
    assert len(gateway.told(back=60 * DAY)) == 31


def test_a_book_that_cannot_be_written_loses_nothing_and_is_written_later(gateway):
    class Busy:
        busy = True

        def add(self, minute: datetime, counts: Mapping[str, int]) -> None:
            if self.busy:
                raise StoreBusyError
            gateway.book.add(minute, counts)

        of = staticmethod(gateway.book.of)

    book = Busy()
    gateway.minutes = RequestCounter(gateway.traffic, book, gateway.wall)
    for count in (1, 2):
        gateway.asked(count)
        gateway.passes(MINUTE)
        gateway.minutes.put_down()
    expected = [Count(NOON, 1), Count(NOON + MINUTE, 2)]
    assert gateway.told() == expected
    assert gateway.restarted().told() == []
    book.busy = False
    gateway.minutes.put_down()
    assert gateway.told() == gateway.restarted().told() == expected
