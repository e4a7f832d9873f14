"""The script of the fake driver, by which tests rehearse a provider's failures."""

from datetime import UTC, datetime, timedelta

import pytest

from parkmeter.core.decision import Cause
from parkmeter.core.meter import Phase, Spec
from parkmeter.drivers.fake import Call, FakeDriver
from parkmeter.errors import DriverError

NOON = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SPEC = Spec("demo")


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now

    def wind(self, amount):
        self.now += amount


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def driver(clock):
    return FakeDriver(clock, start_takes=10 * SECOND, stop_takes=5 * SECOND)


def start(driver, seconds=600):
    driver.start(SPEC, "local", NOON + timedelta(seconds=seconds), 1)


def phase(driver):
    return driver.observe(SPEC).phase


def test_starts_and_stops_take_the_time_they_were_given(driver, clock):
    start(driver)
    clock.wind(10 * SECOND - timedelta(microseconds=1))
    assert phase(driver) is Phase.STARTING
    clock.wind(timedelta(microseconds=1))
    assert phase(driver) is Phase.READY
    driver.stop(SPEC)
    clock.wind(4 * SECOND)
    assert phase(driver) is Phase.STOPPING
    clock.wind(SECOND)
    assert phase(driver) is Phase.ABSENT


def test_a_transition_between_observations_has_its_own_time(driver, clock):
    start(driver, seconds=60)
    clock.wind(timedelta(hours=1))
    gone = driver.observe(SPEC)
    assert gone.phase is Phase.ABSENT
    assert gone.since == NOON + 65.5 * SECOND


def test_without_a_leash_nothing_stops_at_the_deadline(clock):
    driver = FakeDriver(clock, leash=False)
    start(driver, seconds=60)
    clock.wind(timedelta(hours=1))
    assert phase(driver) is Phase.READY


def test_the_next_starts_can_fail_for_a_cause(driver, clock):
    driver.fail_next_start("demo", "no g5.xlarge left", Cause.CAPACITY)
    start(driver)
    clock.wind(10 * SECOND)
    seen = driver.observe(SPEC)
    assert (seen.phase, seen.reason, seen.cause) == (
        Phase.FAILED,
        "no g5.xlarge left",
        Cause.CAPACITY,
    )
    driver.stop(SPEC)
    clock.wind(5 * SECOND)
    start(driver)
    clock.wind(10 * SECOND)
    assert phase(driver) is Phase.READY
    assert driver.lives == {"demo": 2}


@pytest.mark.parametrize("method", ["observe", "start", "keep", "stop"])
def test_each_method_can_be_made_to_refuse_a_number_of_times(driver, method):
    act = {
        "observe": lambda: driver.observe(SPEC),
        "start": lambda: start(driver),
        "keep": lambda: driver.keep(SPEC, NOON, 1),
        "stop": lambda: driver.stop(SPEC),
    }[method]
    driver.refuse(method, "demo", times=2, reason="throttled")
    for _ in range(2):
        with pytest.raises(DriverError, match="throttled"):
            act()
    act()


def test_owned_can_be_made_to_refuse(driver):
    driver.refuse("owned")
    with pytest.raises(DriverError):
        driver.owned()
    assert driver.owned() == []


def test_it_can_be_busy_which_serves_but_cannot_be_stopped(driver):
    driver.show("demo", Phase.BUSY)
    assert driver.observe(SPEC).address is not None
    with pytest.raises(DriverError):
        driver.stop(SPEC)
    driver.show("demo", Phase.READY)
    driver.stop(SPEC)
    assert phase(driver) is Phase.STOPPING


def test_it_can_get_stuck_and_go_on(driver, clock):
    start(driver)
    driver.stick("demo")
    clock.wind(60 * SECOND)
    assert phase(driver) is Phase.STARTING
    driver.unstick("demo")
    assert phase(driver) is Phase.READY


def test_it_can_crash_and_vanish(driver):
    start(driver)
    driver.crash("demo", "CUDA out of memory")
    assert driver.observe(SPEC).reason == "CUDA out of memory"
    driver.vanish("demo")
    assert phase(driver) is Phase.ABSENT


def test_it_notes_what_was_asked_and_when(driver, clock):
    start(driver)
    clock.wind(SECOND)
    driver.keep(SPEC, NOON + 700 * SECOND, 2)
    driver.refuse("stop", "demo")
    with pytest.raises(DriverError):
        driver.stop(SPEC)
    assert driver.calls == [
        Call(NOON, "start", "demo", "local", NOON + 600 * SECOND, 1),
        Call(NOON + SECOND, "keep", "demo", None, NOON + 700 * SECOND, 2),
        Call(NOON + SECOND, "stop", "demo"),
    ]


def test_addresses_can_be_given(clock):
    driver = FakeDriver(clock, addresses={"demo": "http://127.0.0.1:9"})
    start(driver)
    clock.wind(SECOND)
    assert driver.observe(SPEC).address == "http://127.0.0.1:9"
