"""Warnings of the close: of every open meter, whatever its endpoint does, once per expiry."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from parkmeter.core import meter as rules
from parkmeter.core.decide import decide, start_refused, trouble
from parkmeter.core.decide_closed import PARKED, park
from parkmeter.core.decision import Cause, Decision, Observed, Start
from parkmeter.core.events import document, text, title
from parkmeter.core.extend_link import LinkOutdatedError, offer_for
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Meter, Phase, Spec, is_open, time_left
from parkmeter.notify.sns import SnsReceiver
from parkmeter.service.event_builder import EventBuilder
from tests.support.world import ADA, MINUTE, NOON, SECOND, World, spec


def warnings(world: World) -> list[Entry]:
    lines = world.service.journal("flan-t5", 1000)[::-1]
    return [line for line in lines if line.kind is Kind.WARNING]


@pytest.fixture
def failing() -> World:
    """Make every start fail, until bought time and credit are used up."""
    world = World(spec(startup_credit=5 * MINUTE))
    world.top_up(20)
    world.driver.refuse("start", "flan-t5", times=10_000, reason="exit code 1")
    world.wind(40 * MINUTE)
    assert world.status() == "stopped"
    return world


@pytest.fixture
def slow() -> World:
    """Make a start that takes longer than bought time and credit."""
    world = World(spec(startup_credit=5 * MINUTE))
    world.driver.start_takes = 60 * MINUTE
    world.top_up(20)
    world.wind(40 * MINUTE)
    assert world.status() == "stopped"
    return world


def test_a_meter_that_closes_while_its_endpoint_fails_does_so_with_all_warnings(failing):
    ten, two = warnings(failing)
    assert (ten.at, two.at) == (NOON + 15 * MINUTE, NOON + 23 * MINUTE)
    assert ten.why.startswith("10 min 0 s left and it has failed: exit code 1; trying again at ")
    assert two.left == 2 * MINUTE


def test_a_start_that_takes_too_long_is_warned_of_by_the_close_that_nothing_but_time_can_move(slow):
    ten, two = warnings(slow)
    assert (ten.at, two.at) == (NOON + 15 * MINUTE, NOON + 23 * MINUTE)
    assert ten.why == "10 min 0 s left and it does not serve yet: starting, 15 min 0 s so far"


def test_no_warning_while_the_meter_stands_still():
    world = World(spec(startup_credit=30 * MINUTE))
    world.driver.start_takes = 25 * MINUTE
    world.top_up(20)
    world.wind(25 * MINUTE)
    assert warnings(world) == []
    world.wind(11 * MINUTE)
    (ten,) = warnings(world)
    assert (ten.left, ten.why) == (10 * MINUTE, "10 min 0 s left")
    assert NOON + 35 * MINUTE <= ten.at < NOON + 35 * MINUTE + SECOND


def test_a_start_does_not_repeat_earlier_warnings():
    world = World(spec(startup_credit=30 * MINUTE))
    world.top_up(20)
    world.wind(12 * MINUTE)
    world.driver.crash("flan-t5", "out of memory")
    world.driver.start_takes = 60 * MINUTE
    world.wind(60 * MINUTE)
    assert [warning.left for warning in warnings(world)] == [10 * MINUTE, 2 * MINUTE]


def test_a_driver_that_cannot_observe_does_not_prevent_warnings():
    world = World(spec(startup_credit=timedelta(0)))
    world.top_up(20)
    world.wind(5 * MINUTE)
    world.driver.refuse("observe", "flan-t5", times=10_000, reason="too many requests")
    world.wind(14 * MINUTE)
    assert [warning.left for warning in warnings(world)] == [10 * MINUTE, 2 * MINUTE]


def test_credited_time_is_not_warned_of_again():
    """It waits for its predecessor to stop, which is known at the next look."""
    world = World(spec(startup_credit=5 * MINUTE))
    world.top_up(60)
    world.wind(MINUTE)
    world.driver.stop_takes = 60 * MINUTE
    world.service.eject("flan-t5", ADA)
    world.wind(MINUTE)
    world.driver.refuse("observe", "flan-t5", times=100, reason="too many requests")
    world.top_up(11)
    world.wind(40 * MINUTE)
    assert world.status() == "stopping"
    assert [warning.left for warning in warnings(world)] == [10 * MINUTE, 2 * MINUTE]


def test_a_warning_of_an_endpoint_that_does_not_serve_is_true(failing, slow):
    for world, said in (
        (failing, "flan-t5 has failed, and its time ends in 10 minutes"),
        (slow, "flan-t5 does not serve yet, and its time ends in 10 minutes"),
    ):
        warning = warnings(world)[0]
        event = EventBuilder(world.store).event(warning)
        assert title(event) == said
        close = "2026-06-22 12:25:00 UTC"
        assert any(line.startswith(f"Closes at: {close}") for line in text(event).splitlines())
        assert "On until" not in text(event)
        assert document(event)["closes_at"] == "2026-06-22T12:25:00Z"
        mail = Mail()
        SnsReceiver(mail, "arn").send(event)
        assert f"Closes at: {close}" in mail.messages[0]


class Mail:
    """Behaves as boto3's SNS client."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def publish(self, **request: object) -> None:
        self.messages.append(str(request["Message"]))


def test_the_link_of_such_a_warning_works_until_that_close_and_extends_the_start(slow):
    world = World(spec(startup_credit=5 * MINUTE))
    world.driver.start_takes = 60 * MINUTE
    world.top_up(20)
    world.wind(24 * MINUTE)
    assert world.service.report("flan-t5").meter.expires_at < world.now
    offer = offer_for(warnings(world)[-1], world.specs["flan-t5"])
    assert offer.until == NOON + 25 * MINUTE
    world.service.extend(offer, ADA)
    assert world.left() == 31 * MINUTE


@pytest.mark.parametrize("again", [1 * SECOND, 3 * MINUTE])
def test_a_crash_and_its_credit_leave_an_extend_link_valid(again):
    world = World(spec(startup_credit=30 * MINUTE))
    world.top_up(20)
    world.wind(11 * MINUTE)
    offer = offer_for(warnings(world)[-1], world.specs["flan-t5"])
    world.driver.start_takes = again
    world.driver.crash("flan-t5", "out of memory")
    for _ in range(2):  # while it starts again, and when it serves again
        world.wind(90 * SECOND)
        world.service.offered(offer)
    left = world.left()
    world.service.extend(offer, ADA)
    assert world.left() == left + offer.amount
    with pytest.raises(LinkOutdatedError):
        world.service.offered(offer)


def test_the_link_of_such_a_warning_works_on_when_the_endpoint_got_ready_since():
    world = World(spec(startup_credit=5 * MINUTE))
    world.driver.start_takes = 20 * MINUTE
    world.top_up(20)
    world.wind(17 * MINUTE)
    offer = offer_for(warnings(world)[-1], world.specs["flan-t5"])
    world.wind(5 * MINUTE)
    assert world.status() == "running"
    world.service.extend(offer, ADA)
    assert world.service.report("flan-t5").left == 3 * MINUTE + offer.amount


# ── Whatever happens ────────────────────────────────────────────────────────────────────────────

SPEC = Spec("flan-t5", variants=("ml.g5.12xlarge", "ml.g6.12xlarge"))
SEEN = (
    Observed(Phase.ABSENT),
    Observed(Phase.STARTING),
    Observed(Phase.READY, address="http://127.0.0.1:4321"),
    Observed(Phase.STOPPING),
    Observed(Phase.BUSY),
    Observed(Phase.FAILED, "exit code 1"),
    Observed(Phase.FAILED, "no capacity", cause=Cause.CAPACITY),
)


@dataclass
class RunSpan:
    """A meter that is looked at; checks each look against how much time was left."""

    spec: Spec
    meter: Meter = field(default_factory=lambda: Meter("flan-t5"))
    now: datetime = NOON
    check_at: datetime | None = None
    left: timedelta = timedelta(0)
    warned: list[Entry] = field(default_factory=list)
    lowest: timedelta = timedelta.max

    def top_up(self, minutes: int) -> None:
        self._set(rules.top_up(self.spec, self.meter, minutes * MINUTE, self.now))

    def eject(self) -> None:
        self._set(rules.eject(self.meter, self.now))

    def _set(self, meter: Meter) -> None:
        """Expect every warning that is still ahead of a new expiry, once."""
        self.meter, self.lowest = meter, timedelta.max
        self.left = time_left(meter, self.now)
        self.check_at = self.now

    def park(self, observed: Observed) -> None:
        if is_open(self.meter, self.now):
            self.meter = park(self.spec, self.meter, observed, PARKED, self.now).meter
            self.left, self.check_at = time_left(self.meter, self.now), None

    def look(self, how: str, observed: Observed, pause: timedelta | None) -> None:
        """Look at the requested time, or after a pause, which may be longer."""
        asked = self.check_at or self.now
        self.now = max(self.now, asked) if pause is None else self.now + pause
        in_time = self.now <= asked
        was_open = is_open(self.meter, self.now)
        decision = self._decided(how, observed)
        # Time can come back: that it was waiting for the one before to stop, and stood still, is
        # known only when that one is seen.
        left = time_left(decision.meter, self.now)
        self._judge(decision, was_open=was_open, left=left, in_time=in_time)
        self.meter, self.check_at = decision.meter, decision.check_at
        self.left = left
        if how == "refused" and isinstance(decision.action, Start):
            refused = start_refused(self.spec, self.meter, SEEN[-1], self.now)
            assert Kind.WARNING not in {entry.kind for entry in refused.entries}, "twice"
            self.meter, self.check_at = refused.meter, refused.check_at

    def _decided(self, how: str, observed: Observed) -> Decision:
        if how == "trouble":
            return trouble(self.spec, self.meter, "no answer", self.now)
        return decide(self.spec, self.meter, observed, 0, self.now)

    def _judge(self, decision: Decision, *, was_open: bool, left: timedelta, in_time: bool) -> None:
        warned = [entry for entry in decision.entries if entry.kind is Kind.WARNING]
        passed = [
            before
            for before in self.spec.warn_before
            if self.left > before >= left and before < self.lowest
        ]
        if not was_open:
            assert not warned, "after the close"
            return
        # The one whose moment came last, if any did since the look before.
        assert [entry.key.rpartition(":")[2] for entry in warned] == [
            f"{min(passed) / MINUTE:g}" for _ in passed[:1]
        ]
        if in_time:
            assert all(before == left for before in passed), "at its very moment"
        self.lowest = min([self.lowest, *passed])
        self.warned += warned
        assert len({entry.key for entry in self.warned}) == len(self.warned)


LOOKS = some.tuples(
    some.sampled_from(["look", "look", "look", "trouble", "refused"]),
    some.sampled_from(SEEN),
    some.one_of(some.none(), some.integers(0, 360).map(lambda seconds: seconds * SECOND)),
)
STEPS = some.lists(
    some.one_of(
        LOOKS,
        LOOKS,
        LOOKS,
        LOOKS,
        LOOKS,
        some.tuples(some.just("top-up"), some.integers(1, 30)),
        some.tuples(some.just("eject")),
        some.tuples(some.just("park"), some.sampled_from(SEEN)),
    ),
    min_size=10,
    max_size=50,
)


@given(some.integers(1, 30), some.sampled_from([0, 2, 5, 30]), STEPS)
@settings(deadline=None, max_examples=300)
def test_each_expiry_gets_each_warning_at_its_moment_once_and_never_after_the_close(
    minutes, credit, steps
):
    life = RunSpan(replace(SPEC, startup_credit=credit * MINUTE, look_again=10 * MINUTE))
    life.top_up(minutes)
    for step in steps:
        match step:
            case ("top-up", more):
                life.top_up(more)
            case ("eject",):
                life.eject()
            case ("park", observed):
                life.park(observed)
            case (how, observed, pause):
                life.look(how, observed, pause)
