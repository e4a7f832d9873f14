"""Words, columns and amounts in the terminal."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from rich.console import Console
from rich.text import Text

from parkmeter.cli import output
from parkmeter.cli.output import (
    clock_time,
    columns,
    countdown,
    harmless,
    hours,
    minutes,
    money,
    out,
    plain_json,
)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00"),
        (9.9, "0:09"),
        (59, "0:59"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (90061, "25:01:01"),
    ],
)
def test_time_left_counts_down_like_a_clock(seconds, shown):
    assert countdown(timedelta(seconds=seconds)) == shown


def test_a_time_on_another_day_has_its_date():
    today = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
    assert clock_time(today + timedelta(hours=1), today) == "18:00"
    assert clock_time(today + timedelta(hours=9), today) == "Sat 21 Nov 02:00"


def test_an_unknown_amount_is_unknown_and_zero_is_zero():
    assert money(None) == "unknown"
    assert money(Decimal(0)) == "$0.00"
    assert money(Decimal("1234.5")) == "$1,234.50"


def test_a_short_time_is_not_shown_as_zero():
    assert hours(timedelta(seconds=4)) == "0.1 min"
    assert hours(timedelta(0)) == "0.00 h"
    assert hours(timedelta(hours=1000)) == "1,000.00 h"


@pytest.mark.parametrize(
    ("amount", "shown"), [(10, "+10 min"), (-1.5, "-1.5 min"), (0.25, "+0.25 min")]
)
def test_minutes_have_their_sign_and_no_more_digits_than_they_need(amount, shown):
    assert minutes(timedelta(minutes=amount)) == shown


def test_columns_stand_below_each_other_and_an_empty_one_takes_no_room():
    rows = [["a", "", Text("long"), "x"], ["longer", "", "b", ""]]
    assert [line.plain for line in columns(rows)] == ["a       long  x", "longer  b"]


def test_brackets_in_the_text_of_others_are_not_markup():
    assert columns([["[red]boom[/red]"]])[0].plain == "[red]boom[/red]"


def test_the_text_of_others_has_no_names_of_pictures(capsys):
    plain_json({"why": "tcp:x:10:key:"})
    out.print("level:ok:up", markup=False)
    assert capsys.readouterr().out == '{"why": "tcp:x:10:key:"}\nlevel:ok:up\n'


CODES = (
    "\x1b[1;31mred\x1b[0m\x1b]52;c;ZXZpbA==\x07\x1b]0;t\x1b\\"
    "\x1b[2J\x1b[1A\x1bc\x9b2J\x08\x00\ttab\x1b"
)


def test_of_what_a_model_writes_only_colours_reach_a_terminal(monkeypatch):
    monkeypatch.setattr(output, "out", Console(force_terminal=True))
    assert harmless(CODES) == "\x1b[1;31mred\x1b[0m2J\ttab"


def test_what_is_piped_is_what_a_model_wrote(monkeypatch):
    monkeypatch.setattr(output, "out", Console(force_terminal=False))
    assert harmless(CODES) == CODES
