"""Hours that change during their window, on a wound clock.

Time that only the window put on the meter goes with it; time people put there stays.
"""

import json
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from parkmeter.core.journal import SYSTEM, Kind
from parkmeter.core.meter import Meter
from parkmeter.service.changes import Edit
from parkmeter.stores.records import read, written
from tests.support.scheduled import DAY, HOUR, NINE, entries, reconfigured, restarted, spec, world
from tests.support.world import ADA, MINUTE, SECOND

NO_HOURS = replace(spec(), hours=None)
SHORTER = "Mon-Fri 09:00-12:00 Europe/London"


def test_hours_that_are_taken_away_end_with_that_and_the_journal_says_so():
    made = world(at=NINE)
    made.wind(HOUR)
    reconfigured(made, NO_HOURS)
    made.wind(MINUTE)
    assert made.status() == "stopped"
    (change,) = entries(made, Kind.EDIT)
    assert (change.who, change.at, change.amount) == (SYSTEM, NINE + HOUR, -7 * HOUR)
    assert change.why == "its hours changed: none"
    assert made.service.report("flan-t5").shown.reason == "its hours changed: top up to start it"
    made.wind(2 * DAY)
    assert (made.status(), made.clock.due) == ("stopped", {})


def test_a_request_in_flight_gets_its_drain_when_hours_are_taken_away():
    made = world(at=NINE)
    made.wind(HOUR)
    made.gate.requests["flan-t5"] = 1
    reconfigured(made, NO_HOURS)
    made.wind(20 * SECOND)
    assert made.calls("stop") == []
    made.wind(20 * SECOND)
    assert made.calls("stop") == ["stop"]


def test_a_window_that_is_made_shorter_ends_as_it_is_now():
    made = world(at=NINE)
    made.wind(HOUR)
    reconfigured(made, spec(SHORTER))
    made.wind(MINUTE)
    assert (made.status(), made.left()) == ("running", 2 * HOUR - MINUTE)
    (change,) = entries(made, Kind.EDIT)
    assert change.why == f"its hours changed: {SHORTER}"
    assert change.amount == -5 * HOUR
    made.wind(2 * HOUR)
    assert made.status() == "stopped"
    assert entries(made, Kind.WARNING)[-1].at == NINE + 3 * HOUR - 2 * MINUTE


def test_a_window_that_is_moved_ends_now_and_begins_again_when_it_says():
    made = world(at=NINE)
    made.wind(HOUR)
    reconfigured(made, spec("Mon-Fri 14:00-18:00 Europe/London"))
    made.wind(MINUTE)
    assert made.status() == "stopped"
    reported = made.service.report("flan-t5").shown.reason
    assert reported == "its hours changed; starts Tue 14:00 Europe/London"
    made.wind(4 * HOUR)
    assert made.service.report("flan-t5").meter.expires_at == NINE + 9 * HOUR


def test_a_change_that_is_taken_back_gives_the_window_back_however_often():
    made = world(at=NINE)
    for _ in range(3):
        made.wind(30 * MINUTE)
        reconfigured(made, spec(SHORTER))
        made.wind(MINUTE)
        reconfigured(made, spec())
        made.wind(MINUTE)
        reconfigured(made, NO_HOURS)
        made.wind(MINUTE)
        reconfigured(made, spec())
        made.wind(MINUTE)
        assert made.service.report("flan-t5").meter.expires_at == NINE + 8 * HOUR


def test_hours_that_were_changed_while_the_gateway_was_off_end_as_it_comes_back():
    made = world(at=NINE)
    made.wind(HOUR)
    made.specs = {"flan-t5": NO_HOURS}
    restarted(made)
    made.wind(MINUTE)
    assert made.status() == "stopped"


def test_a_meter_from_before_this_was_remembered_is_read_and_keeps_its_time():
    made = world(at=NINE)
    made.wind(HOUR)
    row = json.loads(written(made.store.load("flan-t5")))
    for added in ("window_since", "ended"):
        del row[added]
    made.store.commit(read(Meter, json.dumps(row)), [])
    reconfigured(made, NO_HOURS)
    made.wind(HOUR)
    assert (made.status(), made.left()) == ("running", 6 * HOUR)


def test_another_limit_or_price_takes_nothing_away():
    made = world(at=NINE)
    made.wind(HOUR)
    reconfigured(made, spec(max_top_up=MINUTE, max_ahead=30 * MINUTE))
    made.wind(MINUTE)
    assert made.left() == 7 * HOUR - MINUTE
    assert entries(made, Kind.EDIT) == []


def test_time_that_people_had_before_the_window_is_theirs():
    made = world()
    bought = made.top_up(180).expires_at
    made.wind(2 * HOUR)
    (credit,) = entries(made, Kind.CREDIT)
    reconfigured(made, NO_HOURS)
    made.wind(MINUTE)
    until = made.service.report("flan-t5").meter.expires_at
    assert (made.status(), until) == ("running", bought + credit.amount)


def test_time_that_people_put_on_top_of_a_window_comes_after_it_wherever_it_ends_now():
    made = world(at=NINE)
    made.wind(HOUR)
    made.top_up(45)
    reconfigured(made, spec(SHORTER))
    made.wind(MINUTE)
    assert made.service.report("flan-t5").meter.expires_at == NINE + 3 * HOUR + 45 * MINUTE
    reconfigured(made, NO_HOURS)
    made.wind(MINUTE)
    assert made.left() == 44 * MINUTE


def test_who_topped_up_in_a_window_that_was_then_made_longer_keeps_the_minutes():
    made = world(at=NINE)
    made.wind(HOUR)
    made.top_up(60)
    reconfigured(made, spec("Mon-Fri 09:00-20:00 Europe/London"))
    made.wind(MINUTE)
    assert made.service.report("flan-t5").meter.expires_at == NINE + 11 * HOUR
    reconfigured(made, NO_HOURS)
    made.wind(MINUTE)
    assert made.left() == 59 * MINUTE


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(1, 90),
            st.sampled_from(["12:00", "15:00", "17:00", "20:00", "23:00"]),
            st.timedeltas(SECOND, 15 * MINUTE),
        ),
        max_size=10,
    )
)
def test_time_people_put_on_top_of_a_window_survives_every_change_of_it(steps):
    """A number is a top-up by that many minutes, a text the window's new end; time may go by."""
    made = world(at=NINE)
    made.wind(5 * SECOND)
    bought = 0
    for step in steps:
        match step:
            case int():
                made.top_up(step)
                bought += step
            case str():
                reconfigured(made, spec(f"Mon-Fri 09:00-{step} Europe/London"))
                made.wind(SECOND)
            case timedelta():
                made.wind(step)
    reconfigured(made, NO_HOURS)
    made.wind(timedelta())
    assert made.left() == bought * MINUTE
    made.wind((bought + 1) * MINUTE)
    used = [p.time_on for p in made.service.receipt("flan-t5").parts if p.who != SYSTEM]
    assert timedelta() <= sum(used, timedelta()) - bought * MINUTE < 5 * SECOND


def test_what_people_bought_after_an_eject_is_not_the_windows():
    made = world(at=NINE)
    made.wind(HOUR)
    made.service.eject("flan-t5", ADA)
    made.wind(MINUTE)
    made.top_up(10 * 60)
    reconfigured(made, NO_HOURS)
    made.wind(MINUTE)
    assert made.left() > 10 * HOUR - 2 * MINUTE
    assert entries(made, Kind.EDIT) == []


def test_what_was_ejected_stays_so_when_its_hours_change_and_come_back():
    made = world(at=NINE)
    made.wind(HOUR)
    made.service.eject("flan-t5", ADA)
    for hours in (NO_HOURS, spec(), spec("Mon-Fri 09:00-19:00 Europe/London")):
        reconfigured(made, hours)
        made.wind(MINUTE)
        assert made.status() == "stopped"


def test_an_eject_in_a_window_of_days_does_not_hold_back_the_days_of_other_hours():
    made = world(spec("Mon-Fri 00:00-24:00 Europe/London"), at=NINE)
    made.wind(HOUR)
    made.service.eject("flan-t5", ADA)
    reconfigured(made, spec())
    made.wind(HOUR)
    assert (made.status(), made.service.report("flan-t5").held) == ("stopped", True)
    made.wind(DAY)
    assert made.status() == "running"
    assert entries(made, Kind.TOP_UP)[-1].at == NINE + DAY


def test_what_was_idle_stays_closed_when_its_window_is_made_longer():
    made = world(spec(idle=30 * MINUTE), at=NINE)
    made.wind(40 * MINUTE)
    longer = spec("Mon-Fri 09:00-19:00 Europe/London", idle=30 * MINUTE)
    reconfigured(made, longer)
    made.wind(HOUR)
    assert made.status() == "stopped"


def test_an_expiry_set_by_hand_survives_a_change_of_hours():
    made = world(at=NINE)
    made.wind(HOUR)
    edit = Edit("e1", made.now, "operator")
    made.service.adopt("flan-t5", NINE + 3 * HOUR, edit)
    made.wind(MINUTE)
    reconfigured(made, NO_HOURS)
    made.wind(MINUTE)
    assert made.service.report("flan-t5").meter.expires_at == NINE + 3 * HOUR


def test_an_expiry_that_was_set_by_hand_is_not_put_off_by_a_window_the_meter_had_no_need_of():
    made = world()
    made.top_up(10 * 60)
    made.wind(2 * HOUR)
    made.service.adopt("flan-t5", NINE + 3 * HOUR, Edit("e1", made.now, "operator"))
    made.wind(MINUTE)
    assert made.service.report("flan-t5").meter.expires_at == NINE + 3 * HOUR


def test_two_clocks_that_find_changed_hours_take_them_back_once():
    made = world(at=NINE)
    made.wind(HOUR)
    made.top_up(45)
    made.specs = {"flan-t5": NO_HOURS}
    clocks = [made.another_service() for _ in range(3)]
    for clock in (*clocks, *clocks):
        clock.reconcile("flan-t5")
    assert len(entries(made, Kind.EDIT)) == 1
    assert made.left() == 45 * MINUTE


def test_a_clock_a_moment_behind_the_one_that_gave_a_window_takes_nothing_back():
    made = world(at=NINE)
    made.wind(timedelta())
    made.clock.time = NINE - SECOND / 10
    made.service.reconcile("flan-t5")
    assert entries(made, Kind.EDIT) == []
    assert made.service.report("flan-t5").meter.expires_at == NINE + 8 * HOUR


def test_the_receipt_is_right_after_a_window_is_removed():
    made = world(spec(drain=timedelta()), at=NINE)
    made.wind(HOUR)
    made.top_up(60)
    made.wind(HOUR)
    reconfigured(made, replace(NO_HOURS, drain=timedelta()))
    made.wind(2 * HOUR)
    parts = {part.who: part for part in made.service.receipt("flan-t5").parts}
    assert parts[SYSTEM].time_on == 2 * HOUR
    assert timedelta() <= parts["ada"].time_on - HOUR < 5 * SECOND
