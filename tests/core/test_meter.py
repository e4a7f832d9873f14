"""The rules of the meter, as sentences."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from parkmeter.core.meter import (
    Meter,
    Phase,
    Run,
    Spec,
    Status,
    closes_at,
    eject,
    is_open,
    latest_close,
    remove,
    time_left,
    top_up,
)
from parkmeter.core.money import Minutes
from parkmeter.core.status import shown
from parkmeter.errors import InvalidRequestError, LimitExceededError

NOW = datetime(2026, 6, 22, 8, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
SPEC = Spec("flan-t5")
NO_CREDIT = Spec("flan-t5", startup_credit=timedelta(0))
CLOSED = Meter("flan-t5", expires_at=NOW - 5 * MINUTE)
OPEN = Meter("flan-t5", expires_at=NOW + 5 * MINUTE, settled=False)


def starting(meter: Meter, since: datetime, credit: timedelta) -> Meter:
    run = Run(phase=Phase.STARTING, started_at=since, created_at=since)
    return replace(meter, credit_left=credit, run=run)


def test_a_top_up_of_an_expired_meter_counts_from_now():
    assert top_up(SPEC, CLOSED, 10 * MINUTE, NOW).expires_at == NOW + 10 * MINUTE


def test_a_top_up_of_an_open_meter_counts_from_its_expiry():
    assert top_up(SPEC, OPEN, 10 * MINUTE, NOW).expires_at == NOW + 15 * MINUTE


def test_a_top_up_at_the_very_expiry_counts_from_now_because_expiry_is_exclusive():
    meter = replace(OPEN, expires_at=NOW)
    assert not is_open(meter, NOW)
    assert is_open(meter, NOW - timedelta(microseconds=1))
    assert top_up(SPEC, meter, MINUTE, NOW).opened_at == NOW


def test_only_a_top_up_of_a_closed_meter_brings_start_up_credit():
    assert top_up(SPEC, CLOSED, MINUTE, NOW).credit_left == SPEC.startup_credit
    assert top_up(SPEC, OPEN, MINUTE, NOW).credit_left == timedelta(0)


def test_a_top_up_unsettles_the_meter():
    assert CLOSED.settled
    assert not top_up(SPEC, CLOSED, MINUTE, NOW).settled


def test_too_much_at_once_is_refused_with_the_limit_and_what_fits():
    with pytest.raises(LimitExceededError) as raised:
        top_up(SPEC, CLOSED, 1441 * MINUTE, NOW)
    assert raised.value.data == {"limit_minutes": 1440, "fits_minutes": 1440}


def test_too_much_on_the_meter_is_refused_with_the_limit_and_what_fits():
    nearly_full = replace(OPEN, expires_at=NOW + 10_000 * MINUTE)
    with pytest.raises(LimitExceededError) as raised:
        top_up(SPEC, nearly_full, 100 * MINUTE, NOW)
    assert raised.value.data == {"limit_minutes": 10080, "fits_minutes": 80}
    assert top_up(SPEC, nearly_full, 80 * MINUTE, NOW).expires_at == NOW + 10_080 * MINUTE


@pytest.mark.parametrize(
    "value",
    [None, "10", "ten", True, [], {}, 0, -1, -0.5, math.nan, math.inf, -math.inf, 1e-12],
)
def test_what_is_no_positive_number_of_minutes_is_refused(value):
    with pytest.raises(InvalidRequestError) as raised:
        Minutes.of(value)
    assert raised.value.data == {"field": "minutes"}


@pytest.mark.parametrize("value", [1e12, 10**400, 1e300])
def test_an_absurd_number_of_minutes_is_over_the_limit_and_does_not_overflow(value):
    with pytest.raises(LimitExceededError):
        top_up(SPEC, CLOSED, Minutes.of(value).amount, NOW)


def test_fractions_of_minutes_count():
    assert Minutes.of(0.05).amount == 3 * SECOND


def test_an_eject_gives_up_time_and_credit():
    ejected = eject(starting(OPEN, NOW - MINUTE, 30 * MINUTE), NOW)
    assert not is_open(ejected, NOW)
    assert ejected.credit_left == timedelta(0)


def test_an_eject_of_a_closed_meter_changes_nothing():
    assert eject(CLOSED, NOW) is CLOSED


def test_while_a_start_is_under_way_the_meter_stands_still():
    meter = starting(OPEN, NOW, 30 * MINUTE)
    later = NOW + 20 * MINUTE
    assert time_left(meter, later) == time_left(meter, NOW) == 5 * MINUTE
    assert closes_at(meter, later) == later + 5 * MINUTE


def test_when_the_credit_is_used_up_the_meter_runs_again():
    meter = starting(OPEN, NOW, 2 * MINUTE)
    assert time_left(meter, NOW + 2 * MINUTE) == 5 * MINUTE
    assert time_left(meter, NOW + 4 * MINUTE) == 3 * MINUTE
    assert latest_close(meter) == NOW + 7 * MINUTE
    assert is_open(meter, NOW + 7 * MINUTE - SECOND)
    assert not is_open(meter, NOW + 7 * MINUTE)


def test_without_credit_a_start_uses_bought_time():
    meter = starting(OPEN, NOW, timedelta(0))
    assert time_left(meter, NOW + MINUTE) == 4 * MINUTE


def test_a_meter_whose_start_was_not_called_yet_stands_still_as_far_as_the_credit_goes():
    meter = top_up(SPEC, CLOSED, MINUTE, NOW)
    assert time_left(meter, NOW + 20 * MINUTE) == MINUTE
    assert time_left(meter, NOW + 30 * MINUTE + 15 * SECOND) == 45 * SECOND
    assert latest_close(meter) == NOW + 31 * MINUTE
    assert not is_open(meter, NOW + 31 * MINUTE)


def test_without_credit_the_wait_for_the_start_call_uses_bought_time():
    meter = top_up(NO_CREDIT, CLOSED, 5 * MINUTE, NOW)
    assert time_left(meter, NOW + MINUTE) == 4 * MINUTE


def test_a_parked_endpoint_waits_for_no_start_so_its_time_passes():
    meter = replace(top_up(SPEC, CLOSED, 5 * MINUTE, NOW), run=Run(reason="parked"))
    assert time_left(meter, NOW + MINUTE) == 4 * MINUTE
    assert latest_close(meter) == NOW + 5 * MINUTE


@pytest.mark.parametrize("over", [{"settled": True}, {"settled": False, "removed": True}])
def test_credit_that_a_closed_meter_kept_never_opens_it_again(over):
    ended = replace(CLOSED, opened_at=NOW - 15 * MINUTE, credit_left=29 * MINUTE, **over)
    assert not is_open(ended, NOW)
    assert latest_close(ended) == ended.expires_at
    assert not is_open(remove(ended, NOW), NOW)


def test_a_removed_meter_that_is_provisioned_again_has_no_credit_of_its_former_life():
    ended = replace(CLOSED, opened_at=NOW - 15 * MINUTE, credit_left=29 * MINUTE)
    assert not is_open(replace(remove(ended, NOW), removed=False), NOW)


def test_time_before_the_meter_was_opened_again_is_not_stood_still_for():
    # The start of an earlier, used-up purchase is still going on when the next one comes.
    meter = replace(starting(CLOSED, NOW - 40 * MINUTE, timedelta(0)))
    again = top_up(SPEC, meter, 10 * MINUTE, NOW)
    assert time_left(again, NOW) == 10 * MINUTE
    assert time_left(again, NOW + MINUTE) == 10 * MINUTE


@pytest.mark.parametrize(
    ("phase", "when_open", "when_closed"),
    [
        (Phase.ABSENT, Status.STARTING, Status.STOPPED),
        (Phase.STARTING, Status.STARTING, Status.STOPPING),
        (Phase.READY, Status.RUNNING, Status.STOPPING),
        (Phase.BUSY, Status.RUNNING, Status.STOPPING),
        (Phase.STOPPING, Status.STOPPING, Status.STOPPING),
        (Phase.FAILED, Status.FAILED, Status.STOPPING),
    ],
)
def test_status_is_one_function_of_meter_and_time(phase, when_open, when_closed):
    run = Run(phase=phase, reason="because")
    opened, closed = shown(replace(OPEN, run=run), NOW), shown(replace(CLOSED, run=run), NOW)
    assert (opened.status, closed.status) == (when_open, when_closed)
    assert opened.reason
    assert closed.reason


amounts = some.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(minutes=1440))


@given(some.lists(some.tuples(amounts, some.timedeltas(timedelta(0), timedelta(days=3)))))
def test_time_on_a_meter_is_what_was_bought_less_what_went_by_while_it_was_open(steps):
    meter, now, left = CLOSED, NOW, timedelta(0)
    for amount, pause in steps:
        try:
            meter = top_up(NO_CREDIT, meter, amount, now)
        except LimitExceededError:
            assert left + amount > SPEC.max_ahead
        else:
            left += amount
        assert time_left(meter, now) == left <= SPEC.max_ahead
        now += pause
        left = max(timedelta(0), left - pause)
        assert time_left(meter, now) == left
        assert is_open(meter, now) == bool(left)


@given(amounts, some.lists(some.timedeltas(timedelta(0), timedelta(hours=2)), min_size=1))
def test_waiting_for_a_start_call_uses_the_credit_first_and_then_what_was_bought(amount, pauses):
    meter, now = top_up(SPEC, CLOSED, amount, NOW), NOW
    for pause in pauses:
        now += pause
        beyond = max(timedelta(0), now - NOW - SPEC.startup_credit)
        assert time_left(meter, now) == max(timedelta(0), amount - beyond)
        assert is_open(meter, now) == (now < latest_close(meter))


@given(
    started=some.timedeltas(timedelta(hours=-2), timedelta(hours=2)),
    credit=some.timedeltas(timedelta(0), timedelta(hours=1)),
    moments=some.lists(some.timedeltas(timedelta(0), timedelta(hours=6)), min_size=2),
    called=some.booleans(),
)
def test_a_closed_meter_stays_closed_and_closes_by_its_latest_close(
    started, credit, moments, called
):
    meter = starting(OPEN, NOW + started, credit)
    if not called:
        meter = replace(meter, opened_at=NOW + started, run=Run())
    states = [is_open(meter, NOW + moment) for moment in sorted(moments)]
    assert states == sorted(states, reverse=True)
    assert not is_open(meter, latest_close(meter))
