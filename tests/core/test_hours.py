"""Opening hours: how they are read, and which windows of time they are."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parkmeter.core.hours import DAYS, LONGEST, Hours, Window

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MONDAY = date(2026, 6, 22)

ZONES = [
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",  # changes by half an hour
    "America/St_Johns",
    "Asia/Kolkata",
    "UTC",
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def windows(text: str, first: date, days: int = 7) -> list[str]:
    """Begin and end as local times, of the windows that begin on these days."""
    hours = Hours.of([text])
    zone = ZoneInfo(text.rsplit(maxsplit=1)[1])
    return [
        f"{w.begin.astimezone(zone):%a %H:%M}-{w.end.astimezone(zone):%a %H:%M}"
        for w in hours.within(first, days)
    ]


def test_working_hours_are_a_window_on_each_working_day():
    assert windows("Mon-Fri 09:00-17:00 Europe/London", MONDAY) == [
        f"{day} 09:00-{day} 17:00" for day in DAYS[:5]
    ]


def test_days_may_be_listed_and_a_range_may_go_round_the_weekend():
    assert [w[:3] for w in windows("Mon,Wed,Fri-Sat 09:00-10:00 UTC", MONDAY)] == [
        "Mon",
        "Wed",
        "Fri",
        "Sat",
    ]
    assert [w[:3] for w in windows("Sat-Mon 09:00-10:00 UTC", MONDAY)] == ["Mon", "Sat", "Sun"]


def test_letters_and_blanks_do_not_matter():
    hours = Hours.of(["  mon-FRI   09:00-17:00  Europe/London "])
    assert hours.text == "mon-FRI 09:00-17:00 Europe/London"
    assert hours.weekly == Hours.of(["Mon-Fri 09:00-17:00 Europe/London"]).weekly


def test_a_window_over_midnight_belongs_to_the_day_it_begins():
    assert windows("Fri 22:00-06:00 UTC", MONDAY) == ["Fri 22:00-Sat 06:00"]
    hours = Hours.of(["Fri 22:00-06:00 UTC"])
    saturday_morning = utc("2026-06-27 05:59:59")
    assert hours.window(saturday_morning) == Window(
        utc("2026-06-26 22:00"), utc("2026-06-27 06:00")
    )
    assert hours.window(saturday_morning - DAY) is None
    assert hours.window(utc("2026-06-27 06:00")) is None


def test_a_day_may_end_at_24():
    assert windows("Mon 18:00-24:00 UTC", MONDAY) == ["Mon 18:00-Tue 00:00"]


def test_windows_that_touch_or_overlap_are_one():
    hours = Hours.of(["Mon 09:00-12:00 UTC", "Mon 11:00-14:00 UTC", "Mon 14:00-15:00 UTC"])
    assert hours.within(MONDAY, 7) == [Window(utc("2026-06-22 09:00"), utc("2026-06-22 15:00"))]
    workweek = Hours.of(["Mon-Fri 00:00-24:00 Europe/London"])
    assert workweek.longest == 5 * DAY


@pytest.mark.parametrize(
    ("texts", "longest"),
    [
        (["Sun 00:00-24:00 UTC"], timedelta(hours=24)),
        (["Sun 00:00-24:00 Europe/London"], timedelta(hours=25)),
        (["Sat 22:00-06:00 America/New_York"], timedelta(hours=9)),
        (["Sat-Sun 00:00-24:00 Australia/Lord_Howe"], timedelta(hours=48, minutes=30)),
        (["Sat 12:00-11:00 Africa/Casablanca"], timedelta(hours=24)),
        # For some weeks of spring these overlap by an hour less than in the rest of the year.
        (["Mon 09:00-17:00 Europe/London", "Mon 09:00-17:00 America/New_York"], 13 * HOUR),
    ],
)
def test_the_longest_window_is_measured_over_clock_changes(texts, longest):
    assert Hours.of(texts).longest == longest


def test_several_windows_may_have_several_zones():
    hours = Hours.of(["Mon 09:00-10:00 Europe/London", "Mon 09:00-10:00 America/New_York"])
    assert [w.begin.hour for w in hours.within(MONDAY, 1)] == [8, 13]
    assert hours.local(utc("2026-06-22 16:00")) == "Mon 17:00"


def test_the_next_window_is_found_from_anywhere():
    hours = Hours.of(["Mon-Fri 09:00-17:00 Europe/London"])
    friday = utc("2026-06-26 08:00")
    assert hours.next_window(friday - timedelta(microseconds=1)).begin == friday
    assert hours.next_window(friday).begin == utc("2026-06-29 08:00")


@pytest.mark.parametrize(
    ("text", "day", "begin", "end"),
    [
        # London, 29 March: 01:00 becomes 02:00.
        ("Sun 01:30-03:00 Europe/London", "2026-03-29", "01:00", "02:00"),
        ("Sun 00:30-01:30 Europe/London", "2026-03-29", "00:30", "01:00"),
        ("Sun 00:00-04:00 Europe/London", "2026-03-29", "00:00", "03:00"),
        # London, 25 October: 02:00 becomes 01:00.
        ("Sun 01:30-03:00 Europe/London", "2026-10-25", "00:30", "03:00"),
        ("Sun 00:30-01:30 Europe/London", "2026-10-25", "2026-10-24 23:30", "01:30"),
        ("Sun 01:15-01:45 Europe/London", "2026-10-25", "00:15", "01:45"),
        # New York, 8 March: 02:00 becomes 03:00; 1 November: back again.
        ("Sun 02:30-04:00 America/New_York", "2026-03-08", "07:00", "08:00"),
        ("Sun 01:30-02:30 America/New_York", "2026-11-01", "05:30", "07:30"),
        ("Sat 22:00-06:00 America/New_York", "2026-03-07", "2026-03-08 03:00", "2026-03-08 10:00"),
        # Lord Howe, 4 October: 02:00 becomes 02:30; 5 April: 02:00 becomes 01:30.
        ("Sun 02:15-23:00 Australia/Lord_Howe", "2026-10-04", "2026-10-03 15:30", "12:00"),
        ("Sun 01:40-23:00 Australia/Lord_Howe", "2026-04-05", "2026-04-04 14:40", "12:30"),
    ],
)  # fmt: skip
def test_clock_changes(text, day, begin, end):
    def moment(time: str) -> datetime:
        return utc(time if " " in time else f"{day} {time}")

    (window,) = Hours.of([text]).within(date.fromisoformat(day), 1)
    assert (window.begin, window.end) == (moment(begin), moment(end))


def test_a_window_that_the_clock_change_leaves_out_is_left_out():
    hours = Hours.of(["Sun 01:15-01:45 Europe/London"])
    assert hours.within(date(2026, 3, 29), 1) == []
    assert hours.next_window(utc("2026-03-28 12:00")).begin == utc("2026-04-05 00:15")


def test_a_day_that_a_zone_left_out_has_no_window():
    apia = Hours.of(["Thu-Sat 10:00-12:00 Pacific/Apia"])
    assert len(apia.within(date(2011, 12, 29), 3)) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Mon-Fri 09:00-17:00", "the time zone is missing"),
        ("Mon-Fry 09:00-17:00 UTC", "'Fry' is not a day; days are Mon, Tue"),
        ("09:00-17:00 UTC", "is not a day"),
        ("Mon 9:00-17:00 UTC", "'9:00' is not a time of day"),
        ("Mon 09:00-25:00 UTC", "'25:00' is not a time of day"),
        ("Mon 09:00 UTC", "'09:00' is not a time range such as 09:00-17:00"),
        ("Mon 24:00-03:00 UTC", "24:00 can only be an end"),
        ("Mon 09:00-09:00 UTC", "ends when it begins; a whole day is 00:00-24:00"),
        ("Mon 09:00-17:00 Europe/Lundon", "did you mean Europe/London?"),
        ("Mon 09:00-17:00 Europe", "'Europe' is not a known time zone"),
        ("Mon 09:00-17:00 ../../etc/passwd", "is not a known time zone"),
        ("Mon-Sun 00:00-24:00 UTC", "leaves no gap in the week"),
    ],
)
def test_mistakes_are_reported(text, said):
    with pytest.raises(ValueError, match=r"(?s).*") as raised:
        Hours.of([text])
    assert said in str(raised.value)


def test_no_text_at_all_is_a_mistake():
    with pytest.raises(ValueError, match="must not be empty"):
        Hours.of([])


# ── Whatever is written ─────────────────────────────────────────────────────────────────────────


@st.composite
def hours_texts(draw: st.DrawFn) -> str:
    days = ",".join(draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=3)))
    begin = draw(st.integers(0, 24 * 4 - 1)) * 15
    length = draw(st.integers(1, 24 * 4 - 1)) * 15
    end = (begin + length) % (24 * 60)
    zone = draw(st.sampled_from(ZONES))
    return f"{days} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02} {zone}"


moments = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 (its zone follows)
    datetime(2030, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
some_hours = st.lists(hours_texts(), min_size=1, max_size=3).map(Hours.of)


@settings(deadline=None)
@given(some_hours, moments)
def test_the_next_window_is_after_now_and_nothing_is_left_out(hours, now):
    following = hours.next_window(now)
    assert following.begin > now
    present = hours.window(now)
    assert present is None or (now in present and present.end < following.begin)
    assert present is None or present.length <= LONGEST
    before = following.begin - timedelta(microseconds=1)
    assert hours.window(before) in (None, present)
    assert hours.window(following.begin) == following


def windows_in(hours: Hours, year: int) -> list[Window]:
    """Return the windows that begin in a year (UTC), whatever day it is in their zones."""
    margin = 2 * LONGEST  # the first one may go back by the longest, and a day is another elsewhere
    found = hours.within(date(year, 1, 1) - margin, 366 + 2 * margin.days)
    return [window for window in found if window.begin.year == year]


def follow_each_other(hours: Hours, year: int) -> None:
    found = windows_in(hours, year)
    assert all(window.begin < window.end for window in found)
    for one, following in pairwise(found):
        assert one.end < following.begin
        assert hours.next_window(one.begin) == following


@settings(max_examples=30, deadline=None)
@given(some_hours, st.integers(2020, 2030))
@example(Hours.of(["Sun 01:00-02:00 Europe/London", "Sat 23:30-01:30 Europe/London"]), 2026)
def test_the_windows_of_a_year_never_overlap(hours, year):
    follow_each_other(hours, year)


def test_windows_of_several_zones_follow_each_other_over_new_year():
    # Found at random: the first day of the year is not on in all zones at once.
    hours = Hours.of(
        [
            "Tue 20:15-19:45 Asia/Kolkata",
            "Thu,Mon,Wed 06:45-14:00 Australia/Lord_Howe",
            "Wed,Sun,Tue 03:15-02:00 UTC",
        ]
    )
    for year in (2024, 2025):
        follow_each_other(hours, year)
    assert windows_in(hours, 2025)[0] == Window(utc("2025-01-05 03:15"), utc("2025-01-06 03:00"))


@settings(deadline=None)
@given(hours_texts(), moments)
def test_what_is_in_a_window_shows_its_times_on_the_wall(text, now):
    """Away from clock changes, local time between the two written times is what a window is."""
    hours = Hours.of([text])
    (weekly,) = hours.weekly
    there = now.astimezone(weekly.zone)
    if any(
        (there + ahead * HOUR).astimezone(weekly.zone).utcoffset() != there.utcoffset()
        for ahead in range(-48, 49, 3)
    ):
        return
    minute = there.hour * 60 + there.minute
    inside = any(
        (there - days * DAY).weekday() in weekly.days
        and weekly.begin <= minute + days * 24 * 60 < weekly.end
        for days in (0, 1)
    )
    assert (hours.window(now) is not None) == inside
