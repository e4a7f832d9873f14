"""The local clock, in real time, which is what it is about."""

import threading
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from parkmeter.local_clock import LocalClock

MILLISECOND = timedelta(milliseconds=1)


class Calls:
    """What the clock called, and when."""

    def __init__(self) -> None:
        self.times: defaultdict[str, list[datetime]] = defaultdict(list)
        self.answers: dict[str, list[datetime | None]] = {}
        self.swept = threading.Event()
        self.jumps: list[timedelta] = []
        self._changed = threading.Condition()

    def reconcile(self, name: str) -> datetime | None:
        with self._changed:
            self.times[name].append(datetime.now(UTC))
            self._changed.notify_all()
        answers = self.answers.get(name)
        return answers.pop(0) if answers else None

    def until(self, name: str, times: int) -> list[datetime]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.times[name]) >= times, timeout=10)
            return self.times[name]


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture
def clock(calls):
    made = LocalClock()
    made.start(calls.reconcile, calls.swept.set, calls.jumps.append)
    yield made
    made.stop()


def test_it_sweeps_at_once(clock, calls):
    assert calls.swept.wait(5)


def test_who_is_woken_is_treated_at_once(clock, calls):
    woken = datetime.now(UTC)
    clock.wake("a")
    assert calls.until("a", 1)[0] - woken < 200 * MILLISECOND


def test_a_later_time_is_kept_to_some_milliseconds(clock, calls):
    due = clock.now() + 300 * MILLISECOND
    clock.wake("a", due)
    late = calls.until("a", 1)[0] - due
    assert timedelta(0) <= late < 150 * MILLISECOND


def test_the_earliest_of_several_times_counts(clock, calls):
    due = clock.now() + 100 * MILLISECOND
    clock.wake("a", clock.now() + timedelta(hours=1))
    clock.wake("a", due)
    clock.wake("a", clock.now() + timedelta(hours=2))
    assert calls.until("a", 1)[0] - due < 150 * MILLISECOND


def test_the_time_that_reconcile_names_is_kept(clock, calls):
    calls.answers["a"] = [clock.now() + 200 * MILLISECOND]
    clock.wake("a")
    first, second = calls.until("a", 2)[:2]
    assert second - first > 100 * MILLISECOND


def test_a_name_is_never_treated_twice_at_once_and_comes_again_if_woken_meanwhile():
    entered, leave = threading.Semaphore(0), threading.Semaphore(0)
    at_once: list[int] = []
    busy = threading.Lock()

    def reconcile(name: str) -> None:
        at_once.append(not busy.acquire(blocking=False))
        entered.release()
        leave.acquire(timeout=10)
        busy.release()

    clock = LocalClock()
    clock.start(reconcile, lambda: None, lambda _: None)
    clock.wake("a")
    assert entered.acquire(timeout=5)
    clock.wake("a")
    clock.wake("a")
    assert not entered.acquire(timeout=0.1)
    leave.release()
    assert entered.acquire(timeout=5)
    leave.release()
    assert not entered.acquire(timeout=0.1)
    clock.stop()
    assert at_once == [False, False]


def test_a_slow_endpoint_does_not_hold_up_another(calls):
    leave = threading.Event()

    def reconcile(name: str) -> datetime | None:
        if name == "slow":
            leave.wait(10)
            return None
        return calls.reconcile(name)

    clock = LocalClock()
    clock.start(reconcile, lambda: None, lambda _: None)
    clock.wake("slow")
    clock.wake("quick")
    calls.until("quick", 1)
    leave.set()
    clock.stop()


def test_a_failure_is_told_and_tried_again_a_second_later(caplog):
    tried = threading.Semaphore(0)

    def reconcile(name: str) -> None:
        tried.release()
        raise RuntimeError("the disk is gone")

    clock = LocalClock()
    begun = time.monotonic()
    clock.start(reconcile, lambda: None, lambda _: None)
    clock.wake("a")
    assert tried.acquire(timeout=5)
    assert tried.acquire(timeout=5)
    clock.stop()
    assert 0.9 < time.monotonic() - begun < 3
    assert "the disk is gone" in caplog.text


def test_a_jump_of_the_wall_clock_is_told_and_everything_swept(calls):
    class Jumping(LocalClock):
        ahead = timedelta(0)

        def now(self) -> datetime:
            return super().now() + self.ahead

    clock = Jumping()
    clock.start(calls.reconcile, calls.swept.set, calls.jumps.append)
    assert calls.swept.wait(5)
    calls.swept.clear()
    clock.ahead = timedelta(hours=1)
    assert calls.swept.wait(5)
    clock.stop()
    assert [round(jump.total_seconds() / 3600, 2) for jump in calls.jumps] == [1.0]
