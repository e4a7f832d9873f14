"""The pauses between looks: far away, every look costs a call to a provider."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from parkmeter.core.decide import decide, trouble
from parkmeter.core.decision import Observed
from parkmeter.core.meter import Meter, Phase, Spec

NOW = datetime(2026, 6, 22, 8, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DISTANT = Spec("flan-t5", look_again=90 * SECOND)
OPEN = Meter(
    "flan-t5",
    expires_at=NOW + 20 * MINUTE,
    opened_at=NOW,
    set_at=NOW,
    credit_left=30 * MINUTE,
    settled=False,
)
STARTING = Observed(Phase.STARTING)
READY = Observed(Phase.READY, address="http://127.0.0.1:4321")
BUSY = Observed(Phase.BUSY)
STOPPING = Observed(Phase.STOPPING)


def look(meter: Meter, observed: Observed, now: datetime):
    return decide(DISTANT, meter, observed, None, now)


def paced(meter: Meter, observed: Observed, now: datetime) -> timedelta:
    return look(meter, observed, now).check_at - now


STARTED = look(OPEN, Observed(Phase.ABSENT), NOW).meter
SERVING = look(STARTED, READY, NOW + MINUTE).meter
CLOSE = SERVING.expires_at


def test_a_remote_endpoint_is_not_looked_at_while_nothing_is_due():
    assert paced(SERVING, READY, NOW + 2 * MINUTE) == 90 * SECOND


def test_far_away_a_close_and_a_warning_are_looked_at_when_they_are_due():
    assert paced(SERVING, READY, CLOSE - 30 * SECOND) == 30 * SECOND
    ahead = CLOSE - max(DISTANT.warn_before)
    assert paced(SERVING, READY, ahead - 7 * SECOND) == 7 * SECOND


def test_far_away_a_start_is_looked_at_more_slowly_the_longer_it_takes():
    assert paced(STARTED, STARTING, NOW) == 4.5 * SECOND
    five = replace(STARTING, since=NOW)
    assert paced(STARTED, five, NOW + 5 * MINUTE) == 30 * SECOND
    assert paced(STARTED, five, NOW + 16 * MINUTE) == 90 * SECOND


def test_far_away_what_must_go_is_asked_to_go_every_second_all_the_same():
    late = CLOSE + 10 * MINUTE
    assert paced(SERVING, STARTING, late) == SECOND
    assert paced(SERVING, BUSY, late) == SECOND
    # One that is going needs no asking.
    assert paced(SERVING, replace(STOPPING, since=late), late) == 4.5 * SECOND


def test_far_away_trouble_with_a_closed_meter_is_tried_every_second():
    assert trouble(DISTANT, SERVING, "no answer", CLOSE + SECOND).check_at == CLOSE + 2 * SECOND
    assert trouble(DISTANT, SERVING, "no answer", NOW).check_at == NOW + 90 * SECOND
