"""The decisions of reconcile, row by row."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from parkmeter.core.decide import decide, start_refused, trouble
from parkmeter.core.decide_closed import PARKED, park
from parkmeter.core.decide_open import BEFORE
from parkmeter.core.decision import Cause, Keep, Observed, Rest, Start, Stop
from parkmeter.core.journal import Kind
from parkmeter.core.meter import (
    Meter,
    Phase,
    Run,
    Spec,
    Status,
    eject,
    is_open,
    latest_close,
    time_left,
)
from parkmeter.core.pacing import BACKOFF_MOST
from parkmeter.core.status import shown

NOW = datetime(2026, 6, 22, 8, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
SPEC = Spec("flan-t5", variants=("ml.g5.12xlarge", "ml.g6.12xlarge"))
OPEN = Meter(
    "flan-t5",
    expires_at=NOW + 20 * MINUTE,
    opened_at=NOW,
    set_at=NOW,
    credit_left=30 * MINUTE,
    settled=False,
)
ABSENT = Observed(Phase.ABSENT)
STARTING = Observed(Phase.STARTING)
READY = Observed(Phase.READY, address="http://127.0.0.1:4321")
STOPPING = Observed(Phase.STOPPING)
BUSY = Observed(Phase.BUSY)
FAILED = Observed(Phase.FAILED, "exit code 1: no such file")


def at(meter: Meter, observed: Observed, now: datetime = NOW, in_flight: int | None = 0):
    return decide(SPEC, meter, observed, in_flight, now)


def kinds(decision) -> list[Kind]:
    return [entry.kind for entry in decision.entries]


STARTED = at(OPEN, ABSENT).meter
SERVING = at(STARTED, READY, NOW + MINUTE).meter
CLOSE = SERVING.expires_at


def test_an_open_meter_with_nothing_there_starts_its_endpoint():
    decision = at(OPEN, ABSENT)
    assert decision.action == Start("ml.g5.12xlarge", NOW + 50 * MINUTE)
    assert decision.meter.run.phase is Phase.STARTING
    assert kinds(decision) == [Kind.START]


def test_an_intent_to_start_that_was_not_carried_out_is_repeated_after_its_backoff():
    assert at(STARTED, ABSENT, NOW).action == Rest()
    again = at(STARTED, ABSENT, NOW + SECOND)
    assert isinstance(again.action, Start)
    assert again.meter.run.attempts == 2


def test_a_starting_endpoint_is_kept_until_the_close_plus_what_credit_is_left():
    decision = at(STARTED, STARTING, NOW + MINUTE)
    assert decision.action == Keep(NOW + 50 * MINUTE)
    assert decision.entries == ()
    assert decision.meter == replace(STARTED, run=replace(STARTED.run, reason="loading"))


def test_when_ready_the_time_of_the_start_is_given_back_once():
    decision = at(STARTED, READY, NOW + 5 * MINUTE)
    assert kinds(decision) == [Kind.CREDIT, Kind.READY]
    assert decision.entries[0].amount == 5 * MINUTE
    assert time_left(decision.meter, NOW + 5 * MINUTE) == 20 * MINUTE
    assert decision.meter.credit_left == 25 * MINUTE
    assert decision.action == Keep(NOW + 25 * MINUTE)
    assert at(decision.meter, READY, NOW + 6 * MINUTE).entries == ()


def test_a_start_that_took_longer_than_the_credit_gives_back_the_credit():
    decision = at(STARTED, READY, NOW + 40 * MINUTE)
    assert time_left(decision.meter, NOW + 40 * MINUTE) == 10 * MINUTE
    assert decision.meter.credit_left == timedelta(0)


def test_a_start_that_was_called_late_gives_the_wait_for_its_call_back_too():
    late = at(OPEN, ABSENT, NOW + 2 * MINUTE)
    assert late.action == Start("ml.g5.12xlarge", NOW + 50 * MINUTE)
    assert time_left(late.meter, NOW + 2 * MINUTE) == 20 * MINUTE
    ready = at(late.meter, READY, NOW + 5 * MINUTE)
    assert kinds(ready) == [Kind.CREDIT, Kind.READY]
    assert ready.entries[0].amount == 5 * MINUTE
    assert ready.entries[0].why == "the start took 5 min 0 s, 2 min 0 s of it before its call"
    assert time_left(ready.meter, NOW + 5 * MINUTE) == 20 * MINUTE


@pytest.mark.parametrize("observed", [STARTING, READY, FAILED, STOPPING])
def test_the_wait_for_a_start_call_is_given_back_whatever_is_found_there(observed):
    late = NOW + 2 * MINUTE
    met = at(OPEN, observed, late).meter
    assert time_left(met, late) == 20 * MINUTE
    assert time_left(at(met, READY, late + MINUTE).meter, late + MINUTE) >= 19 * MINUTE


def test_a_start_that_is_never_called_ends_with_the_credit_and_the_bought_time():
    last = at(OPEN, ABSENT, NOW + 50 * MINUTE - SECOND)
    assert isinstance(last.action, Start)
    over = at(OPEN, ABSENT, NOW + 50 * MINUTE)
    assert over.meter.settled
    assert [entry.at for entry in over.entries] == [NOW + 50 * MINUTE]


def test_no_warning_is_due_while_a_start_waits_for_its_call():
    assert trouble(SPEC, OPEN, "no answer", NOW + 15 * MINUTE).entries == ()
    noticed = trouble(SPEC, OPEN, "no answer", NOW + MINUTE).meter
    warned = trouble(SPEC, noticed, "no answer", NOW + 41 * MINUTE)
    assert kinds(warned) == [Kind.FAILURE, Kind.WARNING]


def test_an_eject_while_a_start_waits_for_its_call_ends_it_at_once():
    ejected = eject(OPEN, NOW + MINUTE)
    assert at(ejected, ABSENT, NOW + MINUTE).meter.settled
    assert latest_close(ejected) == NOW + MINUTE


def test_what_served_across_a_top_up_and_was_parked_gets_no_credit_for_the_time_it_served():
    kept = replace(SERVING, opened_at=NOW + 10 * MINUTE, credit_left=30 * MINUTE)
    later = NOW + 15 * MINUTE
    parked = park(SPEC, kept, READY, PARKED, later).meter
    for observed in (ABSENT, STOPPING):
        again = at(parked, observed, later + SECOND).meter
        assert time_left(again, later + SECOND) == CLOSE - later - SECOND


def test_a_serving_endpoint_is_looked_at_every_second_and_at_its_very_close():
    assert at(SERVING, READY, NOW + 2 * MINUTE).check_at == NOW + 2 * MINUTE + SECOND
    assert at(SERVING, READY, CLOSE - SECOND / 4).check_at == CLOSE


def test_a_failed_endpoint_is_cleared_and_started_again_later():
    decision = at(STARTED, FAILED, NOW + SECOND)
    assert decision.action == Stop()
    assert kinds(decision) == [Kind.FAILURE]
    assert decision.entries[0].why == "exit code 1: no such file"
    status = shown(decision.meter, NOW + SECOND)
    assert status.status is Status.FAILED
    assert status.reason.startswith("exit code 1: no such file; trying again at ")
    cleared = at(decision.meter, ABSENT, NOW + SECOND)
    assert cleared.action == Rest()
    assert cleared.check_at == decision.meter.run.next_try
    assert isinstance(at(decision.meter, ABSENT, cleared.check_at).action, Start)


def test_a_failure_is_journaled_once_however_often_it_is_seen():
    once = at(STARTED, FAILED, NOW + SECOND)
    twice = at(once.meter, FAILED, NOW + SECOND)
    assert twice.action == Stop()
    assert twice.entries == ()
    assert twice.meter == once.meter


def test_the_meter_stands_still_through_all_attempts_of_one_start():
    failed = at(STARTED, FAILED, NOW + 5 * MINUTE).meter
    assert time_left(failed, NOW + 6 * MINUTE) == 20 * MINUTE
    again = at(failed, ABSENT, NOW + 6 * MINUTE).meter
    ready = at(again, READY, NOW + 10 * MINUTE).meter
    assert time_left(ready, NOW + 10 * MINUTE) == 20 * MINUTE


def test_backoff_doubles_up_to_five_minutes():
    waits, meter, now = [], OPEN, NOW
    for _ in range(12):
        meter = at(meter, ABSENT, now).meter
        meter = at(meter, FAILED, now).meter
        waits.append(meter.run.next_try - now)
        meter = replace(meter, expires_at=meter.run.next_try + MINUTE)
        now = meter.run.next_try
    assert waits[:4] == [1 * SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]
    assert max(waits) == waits[-1] == BACKOFF_MOST


def test_a_next_try_by_a_clock_that_was_set_back_since_is_not_waited_for():
    failing = at(STARTED, FAILED, NOW + SECOND).meter
    assert at(failing, ABSENT, NOW + SECOND).action == Rest()
    assert isinstance(at(failing, ABSENT, NOW - timedelta(hours=5)).action, Start)


def test_a_crash_after_a_stable_time_begins_a_new_backoff():
    soon = at(replace(SERVING, run=replace(SERVING.run, attempts=7)), FAILED, NOW + 2 * MINUTE)
    late = at(replace(SERVING, run=replace(SERVING.run, attempts=7)), FAILED, NOW + 7 * MINUTE)
    assert soon.meter.run.next_try == NOW + 2 * MINUTE + 64 * SECOND
    assert late.meter.run.next_try == NOW + 7 * MINUTE + SECOND


def test_a_crash_loop_ends_when_bought_time_and_credit_are_used_up():
    meter, now, starts = OPEN, NOW, 0
    while is_open(meter, now):
        decision = at(meter, ABSENT, now)
        if isinstance(decision.action, Start):
            starts += 1
            ready = at(decision.meter, READY, now + 10 * SECOND)
            meter = at(ready.meter, FAILED, now + 11 * SECOND).meter
            now += 11 * SECOND
        else:
            now = decision.check_at
    assert now < NOW + 50 * MINUTE + 12 * SECOND
    assert starts < 20


def test_no_capacity_goes_to_the_next_variant_and_another_failure_does_not():
    no_capacity = replace(FAILED, cause=Cause.CAPACITY)
    tried = at(STARTED, no_capacity, NOW + MINUTE).meter
    assert at(tried, ABSENT, tried.run.next_try).action.variant == "ml.g6.12xlarge"
    other = at(STARTED, FAILED, NOW + MINUTE).meter
    assert at(other, ABSENT, other.run.next_try).action.variant == "ml.g5.12xlarge"
    again = at(at(tried, ABSENT, tried.run.next_try).meter, no_capacity, NOW + 2 * MINUTE).meter
    assert at(again, ABSENT, again.run.next_try).action.variant == "ml.g5.12xlarge"


def test_an_endpoint_that_vanished_is_a_failure():
    decision = at(SERVING, ABSENT, NOW + 2 * MINUTE)
    assert kinds(decision) == [Kind.FAILURE]
    assert decision.action == Rest()
    assert decision.meter.run.phase is Phase.FAILED


def test_a_refused_start_backs_off():
    decision = start_refused(SPEC, STARTED, replace(FAILED, cause=Cause.CAPACITY), NOW)
    assert decision.meter.run.next_try == NOW + SECOND
    assert decision.meter.run.variant == "ml.g6.12xlarge"
    assert decision.action == Rest()


def test_at_the_close_with_nothing_in_flight_it_is_stopped_at_once():
    assert isinstance(at(SERVING, READY, CLOSE - timedelta(microseconds=1)).action, Keep)
    decision = at(SERVING, READY, CLOSE)
    assert decision.action == Stop()
    assert decision.meter.run.phase is Phase.STOPPING
    assert decision.entries == ()


def test_requests_in_flight_at_the_close_get_their_drain_and_not_more():
    drained = CLOSE + SPEC.drain
    waiting = at(SERVING, READY, CLOSE + SECOND, in_flight=1)
    assert waiting.action == Keep(drained)
    assert waiting.meter == SERVING
    assert at(SERVING, READY, CLOSE + 2 * SECOND, in_flight=0).action == Stop()
    assert at(SERVING, READY, drained, in_flight=1).action == Stop()


def test_where_requests_cannot_be_seen_the_drain_is_a_fixed_delay():
    assert at(SERVING, READY, CLOSE + SECOND, in_flight=None).action == Keep(CLOSE + SPEC.drain)
    assert at(SERVING, READY, CLOSE + SPEC.drain, in_flight=None).action == Stop()


def test_an_endpoint_that_is_still_starting_at_the_close_is_stopped():
    meter = replace(STARTED, credit_left=timedelta(0))
    assert at(meter, STARTING, NOW + 20 * MINUTE).action == Stop()


def test_a_busy_endpoint_is_not_deleted_but_the_intent_stands():
    decision = at(SERVING, BUSY, CLOSE + SPEC.drain)
    assert decision.action == Rest()
    assert decision.meter.run.phase is Phase.STOPPING
    assert at(decision.meter, READY, CLOSE + SPEC.drain).action == Stop()


def test_a_stop_that_had_no_effect_is_asked_again_without_another_commit():
    stopping = at(SERVING, READY, CLOSE).meter
    again = at(stopping, READY, CLOSE + SECOND)
    assert again.action == Stop()
    assert again.meter == stopping


def test_a_stop_is_done_when_the_endpoint_is_absent_and_then_the_meter_is_settled():
    stopping = at(SERVING, READY, CLOSE).meter
    assert at(stopping, STOPPING, CLOSE + SECOND).action == Rest()
    decision = at(stopping, replace(ABSENT, since=CLOSE + SECOND), CLOSE + 2 * SECOND)
    assert kinds(decision) == [Kind.STOP]
    assert decision.entries[0].at == CLOSE + SECOND
    assert decision.meter.settled
    assert decision.check_at is None
    assert decision.meter.run == Run()


def test_what_is_found_running_although_settled_is_stopped_and_seen_as_unsettled():
    settled = Meter("flan-t5", settled=True, version=3)
    decision = at(settled, READY)
    assert decision.action == Stop()
    assert not decision.meter.settled


def test_a_late_look_at_an_end_that_is_journaled_is_no_second_end():
    settled = Meter("flan-t5", settled=True)
    decision = at(settled, STOPPING)
    assert (decision.action, decision.meter, decision.entries) == (Rest(), settled, ())
    assert decision.check_at > NOW


def test_a_late_look_at_an_end_that_is_journaled_delays_a_new_start_and_is_no_second_end():
    waiting = at(OPEN, STOPPING, NOW + SECOND)
    assert (waiting.action, waiting.entries) == (Rest(), ())
    assert shown(waiting.meter, NOW + SECOND).reason == BEFORE
    started = at(waiting.meter, ABSENT, NOW + 2 * SECOND)
    assert kinds(started) == [Kind.START]
    assert started.meter.run.started_at == NOW


def test_a_top_up_while_draining_lets_it_go_on():
    topped_up = replace(SERVING, expires_at=CLOSE + 10 * MINUTE)
    decision = at(topped_up, READY, CLOSE + SECOND)
    assert decision.action == Keep(CLOSE + 10 * MINUTE)
    assert decision.meter.run.phase is Phase.READY


def test_a_top_up_while_stopping_waits_for_the_end_and_starts_again():
    stopping = at(SERVING, READY, CLOSE).meter
    topped_up = replace(
        stopping, expires_at=CLOSE + 10 * MINUTE, opened_at=CLOSE, credit_left=30 * MINUTE
    )
    waiting = at(topped_up, STOPPING, CLOSE + SECOND)
    assert waiting.action == Rest()
    started = at(waiting.meter, ABSENT, CLOSE + 5 * SECOND)
    assert isinstance(started.action, Start)
    assert kinds(started) == [Kind.STOP, Kind.START]
    ready = at(started.meter, READY, CLOSE + 65 * SECOND)
    assert time_left(ready.meter, CLOSE + 65 * SECOND) == 10 * MINUTE


def test_what_was_served_on_reopened_time_is_not_given_back_as_a_start():
    reopened = replace(
        SERVING, expires_at=CLOSE + 60 * MINUTE, opened_at=CLOSE, credit_left=30 * MINUTE
    )
    late = CLOSE + 40 * MINUTE
    serving = at(reopened, READY, CLOSE + SECOND).meter
    waiting = at(serving, STOPPING, late).meter
    again = at(at(waiting, ABSENT, late).meter, READY, late + SECOND).meter
    assert time_left(again, late + SECOND) == 20 * MINUTE


def test_a_run_after_the_clock_was_set_back_has_keys_of_its_own():
    """Else its start is taken for that of the run before, and is in no journal."""
    stopping, earlier = at(SERVING, READY, CLOSE).meter, NOW - timedelta(hours=5)
    waiting = at(stopping, STOPPING, earlier)
    started = at(waiting.meter, ABSENT, earlier + SECOND)
    ready = at(started.meter, READY, earlier + MINUTE)
    assert kinds(started) == [Kind.STOP, Kind.START]
    keys = {one.key for one in (*started.entries, *ready.entries)}
    before = at(OPEN, ABSENT).entries + at(STARTED, READY, NOW + MINUTE).entries
    assert not keys & {one.key for one in before}


def test_a_top_up_that_comes_before_the_stop_had_effect_takes_it_back():
    stopping = at(SERVING, READY, CLOSE).meter
    topped_up = replace(stopping, expires_at=CLOSE + 10 * MINUTE)
    decision = at(topped_up, READY, CLOSE + SECOND)
    assert decision.meter.run.phase is Phase.READY
    assert decision.action == Keep(CLOSE + 10 * MINUTE)


def test_warnings_come_once_and_only_those_that_were_ahead_when_the_expiry_was_set():
    warned = at(SERVING, READY, CLOSE - 10 * MINUTE)
    assert kinds(warned) == [Kind.WARNING]
    assert at(warned.meter, READY, CLOSE - 9 * MINUTE).entries == ()
    assert kinds(at(warned.meter, READY, CLOSE - 2 * MINUTE)) == [Kind.WARNING]
    late = replace(SERVING, set_at=CLOSE - 5 * MINUTE)
    assert at(late, READY, CLOSE - 4 * MINUTE).entries == ()
    assert kinds(at(late, READY, CLOSE - 2 * MINUTE)) == [Kind.WARNING]


def test_a_warning_is_looked_for_at_its_moment():
    just_before = CLOSE - 10 * MINUTE - SECOND / 2
    assert at(SERVING, READY, just_before).check_at == CLOSE - 10 * MINUTE


def test_trouble_is_shown_at_once_and_journaled_once_per_cause_when_it_lasts():
    first = trouble(SPEC, SERVING, "the disk is full", NOW)
    assert shown(first.meter, NOW).reason == "the disk is full"
    assert first.entries == ()
    assert first.check_at == NOW + SECOND
    soon = trouble(SPEC, first.meter, "the disk is full", NOW + 9 * SECOND)
    assert (soon.entries, soon.meter) == ((), first.meter)
    later = trouble(SPEC, soon.meter, "the disk is full", NOW + 10 * SECOND)
    assert kinds(later) == [Kind.FAILURE]
    assert trouble(SPEC, later.meter, "the disk is full", NOW + MINUTE).entries == ()


def test_troubles_that_take_turns_are_journaled_too():
    meter, whys = SERVING, []
    for second in range(25):
        why = "no answer" if second % 2 else "too many requests"
        decision = trouble(SPEC, meter, why, NOW + second * SECOND)
        meter = decision.meter
        whys += [entry.why for entry in decision.entries]
    assert 1 <= len(whys) <= 3


def test_parking_stops_the_endpoint_and_leaves_the_time_on_the_meter():
    stopping = park(SPEC, SERVING, READY, PARKED, NOW + 2 * MINUTE)
    assert stopping.action == Stop()
    parked = park(SPEC, stopping.meter, ABSENT, PARKED, NOW + 2 * MINUTE)
    assert kinds(parked) == [Kind.STOP]
    assert parked.meter.expires_at == SERVING.expires_at
    assert not parked.meter.settled
    assert parked.check_at is None
    assert isinstance(at(parked.meter, ABSENT, NOW + 3 * MINUTE).action, Start)


observations = some.sampled_from([ABSENT, STARTING, READY, STOPPING, BUSY, FAILED])


@given(
    steps=some.lists(
        some.tuples(
            observations,
            some.timedeltas(timedelta(0), 15 * MINUTE),
            some.sampled_from([0, 1, None]),
        )
    )
)
def test_whatever_is_seen_a_decision_keeps_the_rules(steps):
    meter, now = OPEN, NOW
    for observed, pause, in_flight in steps:
        now += pause
        before = meter
        decision = decide(SPEC, before, observed, in_flight, now)
        meter = decision.meter
        # What was bought never shrinks, and credit never grows.
        assert meter.expires_at + meter.credit_left == before.expires_at + before.credit_left
        assert meter.credit_left <= before.credit_left
        assert is_open(meter, now) == is_open(before, now)
        # Nothing is started on a closed meter, and a leash never outlives meter, credit and drain.
        match decision.action:
            case Start(_, until):
                assert is_open(meter, now)
                assert until == latest_close(meter)
            case Keep(until):
                assert until <= latest_close(meter) + SPEC.drain
            case Stop():
                assert not is_open(meter, now) or observed.phase is Phase.FAILED
            case Rest():
                pass
        # Another look is due as long as anything may be there.
        assert decision.check_at is not None or meter.settled
        # Deciding again and again on what was decided comes to rest at once.
        settled = meter
        for _ in range(3):
            again = decide(SPEC, settled, observed, in_flight, now)
            settled = again.meter
        assert again.entries == ()


@pytest.mark.parametrize("observed", [STARTING, READY, BUSY, STOPPING, FAILED])
def test_a_closed_meter_is_looked_at_at_least_every_second_until_all_is_gone(observed):
    late = CLOSE + timedelta(hours=1)
    assert at(SERVING, observed, late).check_at <= late + SECOND
