"""Endpoints with hours, on a wound clock: each window opens the meter once, to its end."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkmeter.errors import LimitExceededError
from parkmeter.hours import Hours
from parkmeter.journal import SYSTEM, Entry, Kind
from parkmeter.meter import Meter, Spec
from parkmeter.receipt import receipt
from parkmeter.service import Edit
from parkmeter.stores.records import read, written
from tests.world import ADA, MINUTE, NOON, SECOND, World

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LOOK = timedelta(minutes=10)
OFFICE = "Mon-Fri 09:00-17:00 Europe/London"
NINE = datetime(2026, 6, 23, 8, tzinfo=UTC)
"""Tuesday, as London has it."""


def spec(*texts: str, name: str = "flan-t5", **more: object) -> Spec:
    return Spec(name, hours=Hours.of(texts or [OFFICE]), look_again=LOOK, **more)


def world(*specs: Spec, at: datetime = NINE - HOUR) -> World:
    made = World(*(specs or (spec(),)))
    made.clock.time = at
    made.service.begin()
    return made


def entries(made: World, kind: Kind, name: str = "flan-t5") -> list[Entry]:
    return [e for e in made.service.journal(name, 100_000)[::-1] if e.kind is kind]


def restarted(made: World) -> None:
    made.service = made.another_service()
    made.service.begin()


def reconfigured(made: World, *specs: Spec) -> None:
    made.specs = {one.name: one for one in specs}
    made.service.configure(made.specs)
    made.service.begin()


# ── A window's turn ─────────────────────────────────────────────────────────────────────────────


def test_a_window_opens_the_meter_to_its_end_and_nobody_has_to_do_anything():
    made = world()
    made.wind(HOUR - SECOND)
    assert made.status() == "stopped"
    made.wind(SECOND)
    assert (made.status(), made.left()) == ("starting", 8 * HOUR)
    made.wind(MINUTE)
    assert made.status() == "running"
    made.wind(8 * HOUR - MINUTE - SECOND)
    assert made.status() == "running"
    made.wind(MINUTE)
    assert made.status() == "stopped"
    (turn,) = entries(made, Kind.TOP_UP)
    assert (turn.who, turn.at, turn.amount) == (SYSTEM, NINE, 8 * HOUR)
    assert turn.key == f"hours:{NINE.isoformat()}"
    assert turn.why == f"its hours ({OFFICE}): on until Tue 17:00"


def test_the_time_a_start_takes_is_not_put_behind_the_window():
    made = world()
    made.driver.start_takes = 20 * MINUTE
    made.wind(9 * HOUR)
    assert entries(made, Kind.CREDIT) == []
    stops = [call.at for call in made.driver.calls if call.method == "stop"]
    assert stops == [NINE + 8 * HOUR]


def test_each_working_day_of_a_week_has_its_turn_and_the_weekend_has_none():
    made = world(at=NINE - DAY - HOUR)
    made.wind(8 * DAY)
    begun = [entry.at for entry in entries(made, Kind.TOP_UP)]
    assert begun == [NINE + day * DAY for day in (-1, 0, 1, 2, 3, 6)]
    assert made.clock.due == {"flan-t5": NINE + 7 * DAY}


def test_a_meter_that_holds_more_is_not_shortened():
    made = world()
    made.top_up(600)
    made.wind(HOUR + MINUTE)
    until = made.service.report("flan-t5").meter.expires_at
    assert until > NINE + 8 * HOUR
    assert [entry.who for entry in entries(made, Kind.TOP_UP)] == ["ada"]


def test_a_meter_that_holds_less_is_topped_up_to_the_end():
    made = world()
    made.top_up(90)
    made.wind(HOUR)
    assert made.service.report("flan-t5").meter.expires_at == NINE + 8 * HOUR
    bought, turn = entries(made, Kind.TOP_UP)
    assert bought.amount == 90 * MINUTE
    assert turn.amount == NINE + 8 * HOUR - bought.expires_at - sum(
        (entry.amount for entry in entries(made, Kind.CREDIT)), timedelta()
    )


def test_a_gateway_started_in_the_middle_of_a_window_gives_it_its_turn_then():
    made = world(at=NINE + 3 * HOUR)
    made.wind(MINUTE)
    assert (made.status(), made.left()) == ("running", 5 * HOUR - MINUTE)


def test_a_settled_meter_is_found_again_after_a_restart():
    made = world()
    made.wind(10 * HOUR)
    assert list(made.store.unsettled()) == []
    restarted(made)
    made.wind(15 * HOUR + MINUTE)
    assert made.status() == "running"


def test_a_restart_within_a_window_does_not_buy_it_twice():
    made = world(at=NINE)
    made.wind(HOUR)
    restarted(made)
    made.wind(HOUR)
    assert len(entries(made, Kind.TOP_UP)) == 1
    assert made.left() == 6 * HOUR


def test_a_window_may_be_longer_than_a_top_up_may_be():
    made = world(spec("Mon-Fri 09:00-17:00 Europe/London", max_top_up=MINUTE), at=NINE)
    made.wind(MINUTE)
    assert made.left() == 8 * HOUR - MINUTE
    with pytest.raises(LimitExceededError):
        made.top_up(2)


def test_a_window_longer_than_a_meter_may_hold_is_put_on_it_piece_by_piece():
    made = world(spec(max_ahead=HOUR), at=NINE)
    most = []
    for _ in range(8 * 60 - 1):
        made.wind(MINUTE)
        most.append(made.left())
        assert (made.status(), made.service.report("flan-t5").held) == ("running", False)
    assert max(most) < HOUR
    turns = entries(made, Kind.TOP_UP)
    assert turns[0].why.endswith("on until Tue 10:00, as far as max_minutes_ahead allows")
    assert turns[-1].why.endswith("on until Tue 17:00")
    assert sum((turn.amount for turn in turns), timedelta()) == 8 * HOUR
    assert len(turns) < 20
    assert entries(made, Kind.WARNING)[0].at == NINE + 8 * HOUR - 10 * MINUTE
    made.wind(2 * MINUTE)
    assert made.status() == "stopped"
    assert made.calls("start", "stop") == ["start", "stop"]


def test_a_window_of_25_hours_is_not_cut_by_a_meter_that_holds_24():
    """London, 25 October 2026: its Sunday is an hour longer."""
    autumn = datetime(2026, 10, 24, 22, tzinfo=UTC)
    made = world(spec("Sun 00:00-24:00 Europe/London", max_ahead=DAY), at=autumn)
    made.wind(26 * HOUR - SECOND)
    assert (made.status(), made.left()) == ("running", SECOND)
    made.wind(MINUTE)
    assert made.status() == "stopped"
    assert made.calls("start", "stop") == ["start", "stop"]


def test_an_eject_of_a_window_that_is_put_on_piece_by_piece_holds():
    made = world(spec(max_ahead=HOUR), at=NINE)
    made.wind(2 * HOUR)
    made.service.eject("flan-t5", ADA)
    made.wind(5 * HOUR)
    assert (made.status(), made.service.report("flan-t5").held) == ("stopped", True)


def test_a_gateway_that_was_off_as_a_piece_ran_out_goes_on_with_the_window():
    made = world(spec(max_ahead=HOUR), at=NINE)
    made.wind(MINUTE)
    made.clock.due.clear()
    made.clock.time += 3 * HOUR
    restarted(made)
    made.wind(MINUTE)
    assert made.status() == "running"


def test_a_start_that_needs_less_credit_than_it_may_does_not_end_before_the_window():
    made = world(spec(startup_credit=HOUR))
    made.driver.start_takes = MINUTE
    made.wind(HOUR - SECOND)
    made.top_up(7 * 60 + 30)
    made.wind(7 * HOUR + 50 * MINUTE)
    assert made.status() == "running"


# ── Ended by hand ───────────────────────────────────────────────────────────────────────────────


def test_an_eject_holds_until_the_next_window_whatever_is_restarted():
    made = world(at=NINE)
    made.wind(HOUR)
    made.service.eject("flan-t5", ADA)
    made.wind(MINUTE)
    report = made.service.report("flan-t5")
    assert (report.shown.status, report.held) == ("stopped", True)
    assert report.shown.reason == "ejected; starts Wed 09:00 by itself"
    restarted(made)
    made.wind(5 * HOUR)
    assert made.status() == "stopped"
    made.wind(DAY - 6 * HOUR)
    assert made.status() == "running"


def test_an_eject_of_a_meter_that_held_more_than_the_window_holds_too():
    made = world()
    made.top_up(600)
    made.wind(2 * HOUR)
    made.service.eject("flan-t5", ADA)
    restarted(made)
    made.wind(2 * HOUR)
    assert made.status() == "stopped"
    assert made.service.report("flan-t5").held


def test_an_eject_before_a_window_does_not_hold_it_off():
    made = world()
    made.top_up(600)
    made.wind(30 * MINUTE)
    made.service.eject("flan-t5", ADA)
    made.wind(HOUR)
    assert made.status() == "running"


def test_an_eject_in_the_very_moment_a_window_begins_holds():
    made = world()
    made.wind(HOUR - SECOND)
    made.clock.time = NINE  # and nobody has looked yet
    made.service.eject("flan-t5", ADA)
    made.wind(HOUR)
    assert (made.status(), entries(made, Kind.TOP_UP)) == ("stopped", [])


def test_what_was_ejected_may_be_topped_up_and_then_ends_with_that():
    made = world(at=NINE)
    made.wind(HOUR)
    made.service.eject("flan-t5", ADA)
    made.wind(HOUR)
    made.top_up(30)
    made.wind(MINUTE)
    assert not made.service.report("flan-t5").held
    assert made.status() == "running"
    made.wind(HOUR)
    assert made.status() == "stopped"


# ── Other settings while it runs ────────────────────────────────────────────────────────────────


def test_hours_that_are_configured_in_their_window_have_their_turn_at_once():
    made = world(replace(spec(), hours=None), at=NINE + HOUR)
    made.wind(HOUR)
    assert made.status() == "stopped"
    reconfigured(made, spec())
    made.wind(MINUTE)
    assert made.left() == 6 * HOUR - MINUTE


def test_a_window_that_is_made_longer_is_topped_up_to_its_new_end():
    made = world(at=NINE)
    made.wind(HOUR)
    reconfigured(made, spec("Mon-Fri 09:00-19:00 Europe/London"))
    made.wind(MINUTE)
    assert made.left() == 9 * HOUR - MINUTE
    assert [entry.amount for entry in entries(made, Kind.TOP_UP)] == [8 * HOUR, 2 * HOUR]


def test_a_window_that_is_made_longer_stays_closed_if_it_was_ejected():
    made = world(at=NINE)
    made.wind(HOUR)
    made.service.eject("flan-t5", ADA)
    reconfigured(made, spec("Mon-Fri 09:00-19:00 Europe/London"))
    made.wind(HOUR)
    assert made.status() == "stopped"


def test_a_window_that_is_made_longer_after_its_end_goes_on():
    made = world(at=NINE)
    made.wind(8 * HOUR + MINUTE)
    assert made.status() == "stopped"
    reconfigured(made, spec("Mon-Fri 09:00-19:00 Europe/London"))
    made.wind(MINUTE)
    assert (made.status(), made.left()) == ("running", 2 * HOUR - 2 * MINUTE)


# ── Hours that are taken away ───────────────────────────────────────────────────────────────────

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
    assert change.why == "its hours changed: none any more; 420 min 0 s given back"
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
    assert change.why == f"its hours changed: {SHORTER}; 300 min 0 s given back"
    made.wind(2 * HOUR)
    assert made.status() == "stopped"
    assert entries(made, Kind.WARNING)[-1].at == NINE + 3 * HOUR - 2 * MINUTE


def test_a_window_that_is_moved_ends_now_and_begins_again_when_it_says():
    made = world(at=NINE)
    made.wind(HOUR)
    reconfigured(made, spec("Mon-Fri 14:00-18:00 Europe/London"))
    made.wind(MINUTE)
    assert made.status() == "stopped"
    told = made.service.report("flan-t5").shown.reason
    assert told == "its hours changed; starts Tue 14:00 by itself"
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
def test_whatever_becomes_of_a_window_all_that_people_put_on_top_of_it_is_left(steps):
    """A number is a top-up by so many minutes, a text the window's new end; time may go by."""
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


def test_an_expiry_that_somebody_set_by_hand_is_theirs():
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


def test_the_receipt_knows_whose_time_is_left_when_a_window_is_taken_away():
    made = world(spec(drain=timedelta()), at=NINE)
    made.wind(HOUR)
    made.top_up(60)
    made.wind(HOUR)
    reconfigured(made, replace(NO_HOURS, drain=timedelta()))
    made.wind(2 * HOUR)
    parts = {part.who: part for part in made.service.receipt("flan-t5").parts}
    assert parts[SYSTEM].time_on == 2 * HOUR
    assert timedelta() <= parts["ada"].time_on - HOUR < 5 * SECOND


# ── What goes wrong ─────────────────────────────────────────────────────────────────────────────


def test_a_window_that_cannot_be_seen_to_does_not_hold_back_a_stop(caplog):
    made = world()
    made.top_up(60)
    made.wind(HOUR - SECOND)
    until = made.service.report("flan-t5").closes_at
    committed = made.store.commit

    def commit(meter, lines, budget=None, claim=None):
        if any(one.key.startswith("hours:") for one in lines):
            raise OSError("no space left on device")
        return committed(meter, lines, budget, claim)

    made.store.commit = commit
    made.wind(5 * MINUTE)
    assert made.status() == "stopped"
    (stop,) = [call.at for call in made.driver.calls if call.method == "stop"]
    assert timedelta() <= stop - until < 5 * SECOND
    assert "the hours of flan-t5 could not be seen to; tried again" in caplog.text
    made.store.commit = committed
    made.wind(MINUTE)
    assert made.status() == "running"


# ── Devices ─────────────────────────────────────────────────────────────────────────────────────


def test_a_device_that_another_holds_is_told_once_and_waited_for():
    made = world(spec(device="gpu0"), Spec("falcon", device="gpu0", look_again=LOOK))
    made.service.top_up("falcon", 90, ADA)
    made.wind(HOUR + 10 * MINUTE)
    assert made.status() == "stopped"
    (warning,) = entries(made, Kind.WARNING)
    assert warning.why.startswith("its hours have begun, and it stays closed. ")
    assert "falcon" in warning.why
    made.wind(25 * MINUTE)
    assert made.status() == "running"
    assert made.service.report("flan-t5").meter.expires_at == NINE + 8 * HOUR
    assert len(entries(made, Kind.WARNING)) == 1


def test_who_ejects_while_the_device_is_waited_for_wants_no_turn():
    made = world(spec(device="gpu0"), Spec("falcon", device="gpu0", look_again=LOOK))
    made.service.top_up("falcon", 90, ADA)
    made.wind(HOUR + 10 * MINUTE)
    made.service.eject("flan-t5", ADA)
    made.wind(HOUR)
    assert made.status() == "stopped"
    assert made.service.report("flan-t5").held


def test_a_device_that_comes_free_after_the_window_is_not_taken():
    made = world(spec(device="gpu0"), Spec("falcon", device="gpu0", look_again=LOOK))
    made.service.top_up("falcon", 10 * 60, ADA)
    made.wind(12 * HOUR)
    assert entries(made, Kind.TOP_UP) == []
    assert made.clock.due["flan-t5"] == NINE + DAY


# ── Idleness within hours ───────────────────────────────────────────────────────────────────────


def test_idleness_in_a_window_holds_until_the_next_one():
    made = world(spec(idle=30 * MINUTE), at=NINE)
    made.wind(40 * MINUTE)
    assert made.status() == "stopped"
    (eject,) = entries(made, Kind.EJECT)
    assert eject.who == SYSTEM
    restarted(made)
    made.wind(2 * HOUR)
    assert made.status() == "stopped"
    made.wind(DAY - 3 * HOUR)
    assert entries(made, Kind.TOP_UP)[-1].at == NINE
    made.wind(HOUR)
    assert entries(made, Kind.TOP_UP)[-1].at == NINE + DAY


# ── What is shown ───────────────────────────────────────────────────────────────────────────────


def test_people_see_the_window_that_is_on_and_the_next():
    made = world()
    made.wind(MINUTE)
    report = made.service.report("flan-t5")
    assert (report.window, report.next_window.begin, report.held) == (None, NINE, False)
    assert report.shown.reason == "outside its hours; starts Tue 09:00 by itself"
    made.wind(HOUR)
    report = made.service.report("flan-t5")
    assert (report.window.end, report.held) == (NINE + 8 * HOUR, False)
    assert report.next_window.begin == NINE + DAY


def reason(made: World) -> str:
    return made.service.report("flan-t5").shown.reason


def test_idleness_in_a_window_is_told_and_when_it_starts_again():
    made = world(spec(idle=30 * MINUTE), at=NINE)
    made.wind(40 * MINUTE)
    assert reason(made) == "no request for 30 min 0 s; starts Wed 09:00 by itself"
    made.specs = {"flan-t5": spec(idle=10 * MINUTE, wake=MINUTE)}
    restarted(made)
    said = "no request for 30 min 0 s; starts Wed 09:00 by itself, or a prompt wakes it"
    assert reason(made) == said


def test_what_people_ejected_in_a_window_is_not_said_to_wake():
    made = world(spec(wake=MINUTE), at=NINE)
    assert reason(made) == "its hours have begun; it starts as soon as it can"
    made.wind(HOUR)
    made.service.eject("flan-t5", ADA)
    made.wind(MINUTE)
    assert reason(made) == "ejected; starts Wed 09:00 by itself"
    made.top_up(5)
    made.wind(HOUR)
    said = "no time on the meter; starts Wed 09:00 by itself, or a prompt wakes it"
    assert reason(made) == said


# ── Clock changes ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "around"),
    [
        ("Sat-Sun 00:30-02:30 Europe/London", datetime(2026, 3, 27, 12, tzinfo=UTC)),
        ("Sat-Sun 00:30-01:30 Europe/London", datetime(2026, 10, 23, 12, tzinfo=UTC)),
        ("Sat,Sun 22:00-06:00 America/New_York", datetime(2026, 3, 6, 12, tzinfo=UTC)),
        ("Sat-Mon 01:30-09:00 America/New_York", datetime(2026, 10, 30, 12, tzinfo=UTC)),
        ("Sat-Sun 01:45-02:15 Australia/Lord_Howe", datetime(2026, 10, 2, 12, tzinfo=UTC)),
        ("Fri-Sun 23:00-01:45 Australia/Lord_Howe", datetime(2026, 4, 3, 11, tzinfo=UTC)),
    ],
)
def test_over_a_clock_change_it_runs_from_begin_to_end(text, around):
    """What the wall shows decides; what is paid is what really went by."""
    made = world(spec(text), at=around)
    made.wind(4 * DAY)
    expected = [
        window
        for window in made.specs["flan-t5"].hours.within(around.date(), 6)
        if around < window.begin and window.end < around + 4 * DAY
    ]
    turns = entries(made, Kind.TOP_UP)
    assert len(expected) >= 2
    assert [(turn.at, turn.expires_at) for turn in turns] == [(w.begin, w.end) for w in expected]
    stops = [call.at for call in made.driver.calls if call.method == "stop"]
    starts = [call.at for call in made.driver.calls if call.method == "start"]
    assert list(zip(starts, stops, strict=True)) == [(w.begin, w.end) for w in expected]


@settings(max_examples=6, deadline=None)
@given(
    st.sampled_from(
        [
            ["Mon-Fri 09:00-17:00 Europe/London"],
            ["Mon-Sun 22:00-02:30 America/New_York", "Wed 12:00-13:00 Europe/London"],
            ["Sat-Mon 01:30-09:00 Australia/Lord_Howe", "Mon 08:00-10:00 Australia/Lord_Howe"],
        ]
    ),
    st.integers(2024, 2030),
)
def test_the_top_ups_of_a_year_add_up_to_its_windows(texts, year):
    begin = datetime(year, 1, 1, 12, tzinfo=UTC)
    made = world(spec(*texts, price_per_hour=None), at=begin)
    first = made.specs["flan-t5"].hours
    made.wind(366 * DAY)
    if last := first.window(made.now):
        made.wind(last.end - made.now + MINUTE)
    expected = [
        window
        for window in first.within(begin.date() - DAY, 376)
        if window.end > begin and window.begin <= made.now
    ]
    turns = entries(made, Kind.TOP_UP)
    paid = sum((window.end - max(window.begin, begin) for window in expected), timedelta())
    assert sum((turn.amount for turn in turns), timedelta()) == paid
    lines = made.service.journal("flan-t5", 100_000)[::-1]
    whole = receipt(lines, made.specs["flan-t5"], begin, made.now)
    assert [part.who for part in whole.parts] == [SYSTEM]
    assert whole.parts[0].bought == paid
    assert timedelta() <= whole.time_on - paid < 2 * SECOND * len(turns), "and what a stop takes"


def test_nothing_of_this_concerns_an_endpoint_without_hours():
    made = World(replace(Spec("flan-t5"), look_again=HOUR))
    made.service.begin()
    made.wind(7 * DAY)
    assert (made.clock.due, made.now) == ({}, NOON + 7 * DAY)
