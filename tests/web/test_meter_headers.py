"""The lines that show a meter, kept for as long as they are the same."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from parkmeter.core.meter import NEVER, Status
from parkmeter.core.status import View
from parkmeter.web.meter_headers import MeterStamp, meter_header_lines
from tests.support.gateway_at_work import NOON


def view(expires_at):
    return View("flan-t5", 1, expires_at, expires_at, Status.RUNNING, "serving")


VIEWS = [
    None,
    view(NEVER),
    view(NOON),
    view(NOON),
    view(NOON + timedelta(seconds=2)),
    view(NOON + timedelta(seconds=2, microseconds=1)),
]
_SECONDS = st.integers(-4, 4).map(lambda number: timedelta(seconds=number))
_MORE = st.sampled_from([-1, 0, 1, 499_999, 999_999]).map(lambda n: timedelta(microseconds=n))


@given(st.lists(st.tuples(st.sampled_from(VIEWS), _SECONDS, _MORE), max_size=20))
def test_a_kept_line_is_the_one_of_that_moment_whichever_way_the_clock_moves(steps):
    stamp = MeterStamp()
    for seen, seconds, more in steps:
        now = NOON + seconds + more
        assert stamp.lines(seen, now) == meter_header_lines(seen, now, None)


def test_lines_are_kept_for_the_second_in_which_they_are_the_same():
    stamp, seen = MeterStamp(), view(NOON + timedelta(seconds=9, microseconds=5))
    first = stamp.lines(seen, NOON)
    assert first.startswith(b"parkmeter-seconds-left: 9\r\n")
    assert stamp.lines(seen, NOON + timedelta(microseconds=5)) is first
    assert stamp.lines(seen, NOON + timedelta(microseconds=6)) is not first
