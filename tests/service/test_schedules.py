"""Endpoints with hours, on a wound clock: each window opens the meter once, to its end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkmeter.core.journal import SYSTEM, Kind
from parkmeter.core.meter import Spec
from parkmeter.core.money import Minutes
from parkmeter.errors import LimitExceededError
from tests.support.replayed import receipt
from tests.support.scheduled import (
    DAY,
    HOUR,
    LOOK,
    NINE,
    OFFICE,
    entries,
    reconfigured,
    restarted,
    spec,
    world,
)
from tests.support.world import ADA, MINUTE, NOON, SECOND, World

# ── A window's turn ─────────────────────────────────────────────────────────────────────────────


def test_a_window_opens_the_meter_to_its_end():
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


def test_a_gateway_started_in_the_middle_of_a_window_opens_it():
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
    assert report.shown.reason == "ejected; starts Wed 09:00 Europe/London"
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
    made.clock.time = NINE  # and no look has happened yet
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


# ── What goes wrong ─────────────────────────────────────────────────────────────────────────────


def test_a_window_that_cannot_be_committed_does_not_prevent_a_stop(caplog):
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
    assert "flan-t5: its hours failed; retrying" in caplog.text
    made.store.commit = committed
    made.wind(MINUTE)
    assert made.status() == "running"


# ── Devices ─────────────────────────────────────────────────────────────────────────────────────


def test_a_window_waits_for_a_held_device_and_journals_it_once():
    made = world(spec(device="gpu0"), Spec("falcon", device="gpu0", look_again=LOOK))
    made.service.top_up("falcon", Minutes.of(90), ADA)
    made.wind(HOUR + 10 * MINUTE)
    assert made.status() == "stopped"
    (warning,) = entries(made, Kind.WARNING)
    assert warning.why.startswith("its hours have begun, and it stays closed. ")
    assert "falcon" in warning.why
    made.wind(25 * MINUTE)
    assert made.status() == "running"
    assert made.service.report("flan-t5").meter.expires_at == NINE + 8 * HOUR
    assert len(entries(made, Kind.WARNING)) == 1


def test_an_eject_while_the_window_waits_for_its_device_cancels_it():
    made = world(spec(device="gpu0"), Spec("falcon", device="gpu0", look_again=LOOK))
    made.service.top_up("falcon", Minutes.of(90), ADA)
    made.wind(HOUR + 10 * MINUTE)
    made.service.eject("flan-t5", ADA)
    made.wind(HOUR)
    assert made.status() == "stopped"
    assert made.service.report("flan-t5").held


def test_a_device_that_is_released_after_the_window_is_not_taken():
    made = world(spec(device="gpu0"), Spec("falcon", device="gpu0", look_again=LOOK))
    made.service.top_up("falcon", Minutes.of(10 * 60), ADA)
    made.wind(12 * HOUR)
    assert entries(made, Kind.TOP_UP) == []
    assert made.clock.due["flan-t5"] == NINE + DAY


def test_a_window_that_cannot_be_opened_does_not_prevent_a_stop():
    made = world()
    committed = made.store.commit

    def commit(meter, entries, *more, **named):
        if any(entry.key.startswith("hours:") for entry in entries):
            raise RuntimeError("this line breaks the store")
        return committed(meter, entries, *more, **named)

    made.store.commit = commit
    made.wind(HOUR - 2 * MINUTE)
    made.top_up(5)
    made.wind(4 * MINUTE)
    assert made.status() == "running"
    made.wind(5 * MINUTE)
    assert (made.status(), made.left()) == ("stopped", timedelta(0))
    assert made.calls("stop") == ["stop"]
    made.store.commit = committed
    made.wind(5 * SECOND)
    assert made.service.report("flan-t5").meter.expires_at == NINE + 8 * HOUR


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
    assert report.shown.reason == "outside its hours; starts Tue 09:00 Europe/London"
    made.wind(HOUR)
    report = made.service.report("flan-t5")
    assert (report.window.end, report.held) == (NINE + 8 * HOUR, False)
    assert report.next_window.begin == NINE + DAY


def reason(made: World) -> str:
    return made.service.report("flan-t5").shown.reason


def test_the_reason_of_an_idle_eject_says_when_the_next_window_starts():
    made = world(spec(idle=30 * MINUTE), at=NINE)
    made.wind(40 * MINUTE)
    assert reason(made) == "no prompt for 30 min 0 s; starts Wed 09:00 Europe/London"
    made.specs = {"flan-t5": spec(idle=10 * MINUTE, wake=MINUTE)}
    restarted(made)
    said = "no prompt for 30 min 0 s; starts Wed 09:00 Europe/London, or on a prompt"
    assert reason(made) == said


def test_the_reason_of_an_eject_in_a_window_does_not_promise_to_wake():
    made = world(spec(wake=MINUTE), at=NINE)
    assert reason(made) == "its hours have begun; it starts as soon as it can"
    made.wind(HOUR)
    made.service.eject("flan-t5", ADA)
    made.wind(MINUTE)
    assert reason(made) == "ejected; starts Wed 09:00 Europe/London"
    made.top_up(5)
    made.wind(HOUR)
    said = "no time on the meter; starts Wed 09:00 Europe/London, or on a prompt"
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
    """The wall clock decides the hours; elapsed time is what is paid."""
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
    made = world(spec(*texts), at=begin)
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
    whole = receipt(lines, "flan-t5", None, begin, made.now)
    assert [part.who for part in whole.parts] == [SYSTEM]
    assert whole.parts[0].bought == paid
    assert timedelta() <= whole.time_on - paid < 2 * SECOND * len(turns), "and what a stop takes"


def test_nothing_of_this_concerns_an_endpoint_without_hours():
    made = World(replace(Spec("flan-t5"), look_again=HOUR))
    made.service.begin()
    made.wind(7 * DAY)
    assert (made.clock.due, made.now) == ({}, NOON + 7 * DAY)
