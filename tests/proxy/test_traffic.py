"""Counts of requests and of top-ups."""

from datetime import timedelta

import pytest

from parkmeter.core.journal import Entry, Kind
from parkmeter.notify.top_up_counter import TopUpCounter
from parkmeter.proxy.traffic import BOUNDS, Traffic, TrafficByEndpoint
from tests.support.world import MINUTE, NOON, Memo


def test_an_answer_falls_into_the_bucket_whose_edge_it_does_not_pass():
    traffic = Traffic()
    traffic.answered(200, BOUNDS[0], BOUNDS[-1])
    traffic.answered(206, 0.0, BOUNDS[-1] + 1)
    assert traffic.first_byte.buckets == [2] + [0] * len(BOUNDS)
    assert traffic.whole.buckets == [0] * (len(BOUNDS) - 1) + [1, 1]
    assert traffic.whole.total == 2 * BOUNDS[-1] + 1


def test_what_the_gateway_refuses_itself_has_no_duration():
    traffic = Traffic()
    traffic.refused(402)
    traffic.refused(503)
    traffic.answered(500, 0.1, 0.2)
    assert traffic.requests() == {
        "2xx": 0,
        "3xx": 0,
        "4xx": 1,
        "5xx": 2,
        "gone": 0,
        "broken": 0,
    }
    assert sum(traffic.whole.buckets) == 1


def test_each_endpoint_has_numbers_of_its_own():
    traffic = TrafficByEndpoint()
    traffic["flan-t5"].gone += 1
    assert (traffic["flan-t5"].gone, traffic["other"].gone) == (1, 0)


def entry(kind: Kind, minutes: float, endpoint: str = "flan-t5") -> Entry:
    return Entry(endpoint, kind, NOON, "ada", "", "k", NOON, amount=minutes * MINUTE)


def test_only_top_ups_are_tallied_and_everything_is_passed_on():
    memo = Memo()
    top_up_counter = TopUpCounter(memo)
    sent = [entry(Kind.TOP_UP, 10), entry(Kind.CREDIT, 2), entry(Kind.TOP_UP, 0.5)]
    sent += [entry(Kind.EJECT, -3), entry(Kind.TOP_UP, 7, "other")]
    for one in sent:
        top_up_counter.send(one)
    assert memo.sent == sent
    assert top_up_counter.bought("flan-t5") == (2, 10.5 * MINUTE)
    assert top_up_counter.bought("other") == (1, 7 * MINUTE)
    assert top_up_counter.bought("never") == (0, timedelta())


def test_an_error_further_on_does_not_hinder_the_count():
    class Deaf:
        def send(self, entry: Entry) -> None:
            raise ConnectionError

    top_up_counter = TopUpCounter(Deaf())
    with pytest.raises(ConnectionError):
        top_up_counter.send(entry(Kind.TOP_UP, 10))
    assert top_up_counter.bought("flan-t5") == (1, 10 * MINUTE)
