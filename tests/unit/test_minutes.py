"""Requests by the minute."""

from datetime import UTC, datetime, timedelta

from parkmeter.web.minutes import Count, RequestsByMinute
from parkmeter.web.traffic import TrafficByEndpoint

NOON = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)


class Wall:
    def __init__(self) -> None:
        self.time = NOON + timedelta(seconds=30)

    def __call__(self) -> datetime:
        return self.time


def test_requests_belong_to_the_minute_in_which_they_were_let_in():
    wall, traffic = Wall(), TrafficByEndpoint()
    minutes = RequestsByMinute(traffic, wall)
    traffic["one"].let_in += 2
    assert minutes.of("one") == [Count(NOON, 2)]
    wall.time += timedelta(minutes=1)
    minutes.look()
    traffic["one"].let_in += 1
    assert minutes.of("one") == [Count(NOON, 2), Count(NOON + timedelta(minutes=1), 1)]
    wall.time += timedelta(minutes=2)
    minutes.look()
    wall.time += timedelta(minutes=1)
    minutes.look()
    assert [one.count for one in minutes.of("one")] == [2, 1]
    assert minutes.of("two") == []


def test_what_was_not_let_in_is_not_counted():
    wall, traffic = Wall(), TrafficByEndpoint()
    minutes = RequestsByMinute(traffic, wall)
    traffic["one"].refused(401)
    traffic["one"].gone += 1
    assert minutes.of("one") == []


def test_a_day_is_kept_and_no_more():
    wall, traffic = Wall(), TrafficByEndpoint()
    minutes = RequestsByMinute(traffic, wall)
    for _ in range(3000):
        traffic["one"].let_in += 1
        wall.time += timedelta(minutes=1)
        minutes.look()
    kept = minutes.of("one")
    assert len(kept) == 1440
    assert kept[-1].at == NOON + timedelta(minutes=2999)
