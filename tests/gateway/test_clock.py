"""The local clock, in real time, which is its subject."""

import subprocess
import sys
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from parkmeter.gateway import clock as local_clock
from parkmeter.gateway.clock import LocalClock

MILLISECOND = timedelta(milliseconds=1)
SOON = 600 * MILLISECOND
"""Ample on a busy machine, and sooner than the sleep of a second that a lost wake would leave."""


class Calls:
    """The calls of the clock, with their times."""

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
    assert calls.until("a", 1)[0] - woken < SOON


def test_a_later_time_is_kept_and_not_rounded_to_the_longest_sleep(clock, calls):
    due = clock.now() + 300 * MILLISECOND
    clock.wake("a", due)
    late = calls.until("a", 1)[0] - due
    assert timedelta(0) <= late < SOON


def test_the_earliest_of_several_times_counts(clock, calls):
    due = clock.now() + 100 * MILLISECOND
    clock.wake("a", clock.now() + timedelta(hours=1))
    clock.wake("a", due)
    clock.wake("a", clock.now() + timedelta(hours=2))
    assert calls.until("a", 1)[0] - due < SOON


def test_the_time_that_reconcile_names_is_kept(clock, calls):
    calls.answers["a"] = [clock.now() + 200 * MILLISECOND]
    clock.wake("a")
    first, second = calls.until("a", 2)[:2]
    assert second - first > 100 * MILLISECOND


@pytest.mark.parametrize(
    ("woken_for", "named"),
    [(0.0, 3600.0), (0.3, 3600.0), (3600.0, 0.3)],
    ids=["woken at once", "woken for soon", "named for soon"],
)
def test_a_wake_during_a_treatment_and_the_time_it_names_do_not_postpone_each_other(
    woken_for, named
):
    entered, leave = threading.Semaphore(0), threading.Event()

    def reconcile(name: str) -> datetime:
        entered.release()
        leave.wait(10)
        return clock.now() + timedelta(seconds=named)

    clock = LocalClock()
    clock.start(reconcile, lambda: None, lambda _: None)
    clock.wake("a")
    assert entered.acquire(timeout=5)
    clock.wake("a", clock.now() + timedelta(seconds=woken_for))
    leave.set()
    assert entered.acquire(timeout=5)
    clock.stop()


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


def test_a_failure_is_logged_and_retried_a_second_later(caplog):
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
    assert 0.9 < time.monotonic() - begun < 5
    assert "the disk is gone" in caplog.text


def test_a_jump_of_the_wall_clock_is_reported_and_everything_swept(calls):
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


# ── What must not end it ─────────────────────────────────────────────────────────────────────────


class Failing(LocalClock):
    """A clock that fails to hand out work the first `times`."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def _submit(self, *work: object) -> None:
        if self.times:
            self.times -= 1
            raise RuntimeError("can't start new thread")
        super()._submit(*work)


def test_work_that_cannot_be_handed_out_is_handed_out_a_second_later(calls, caplog):
    clock = Failing(0)
    clock.start(calls.reconcile, calls.swept.set, calls.jumps.append)
    assert calls.swept.wait(5)
    clock.times = 1
    woken = clock.now()
    clock.wake("a")
    calls.until("a", 1)
    assert timedelta(seconds=0.9) < calls.times["a"][0] - woken < timedelta(seconds=5)
    clock.wake("b")
    calls.until("b", 1)
    clock.stop()
    assert "can't start new thread" in caplog.text


def test_a_sweep_that_cannot_be_handed_out_is_handed_out_a_second_later(calls):
    clock = Failing(1)
    clock.start(calls.reconcile, calls.swept.set, calls.jumps.append)
    assert calls.swept.wait(5)
    clock.stop()


def test_it_is_alive_as_long_as_it_goes_round(calls, monkeypatch):
    monkeypatch.setattr("parkmeter.gateway.clock._LONGEST_SLEEP", 0.02)
    monkeypatch.setattr("parkmeter.gateway.clock._ALIVE_WITHIN", 0.6)
    clock = Failing(0)
    assert not clock.alive()
    clock.start(calls.reconcile, calls.swept.set, calls.jumps.append)
    for _ in range(10):
        assert clock.alive()
        time.sleep(0.1)
    clock.times = 1000
    clock.wake("a")
    time.sleep(0.8)
    assert not clock.alive()
    clock.times = 0
    calls.until("a", 1)
    time.sleep(0.1)
    assert clock.alive()
    clock.stop()
    assert not clock.alive()


def test_it_is_not_alive_while_none_of_its_workers_comes_back(calls, monkeypatch):
    monkeypatch.setattr("parkmeter.gateway.clock._STUCK_AFTER", 0.3)
    entered, leave = threading.Semaphore(0), threading.Event()

    def reconcile(name: str) -> None:
        entered.release()
        leave.wait(10)

    clock = LocalClock()
    clock.start(reconcile, calls.swept.set, calls.jumps.append)
    assert calls.swept.wait(5)
    for number in range(local_clock._WORKERS - 1):
        clock.wake(str(number))
        assert entered.acquire(timeout=5)
    time.sleep(0.4)
    assert clock.alive(), "one worker can still close every other meter"
    clock.wake("the last")
    assert entered.acquire(timeout=5)
    assert clock.alive(), "it may only be slow"
    time.sleep(0.4)
    assert not clock.alive()
    leave.set()
    time.sleep(0.1)
    assert clock.alive()
    clock.stop()


def test_a_sweep_that_does_not_end_gets_no_second_one_beside_it(calls, monkeypatch):
    monkeypatch.setattr("parkmeter.gateway.clock._SWEEP_EVERY", timedelta(seconds=0.01))
    entered, leave = threading.Semaphore(0), threading.Event()

    def sweep() -> None:
        entered.release()
        leave.wait(10)

    clock = LocalClock()
    clock.start(calls.reconcile, sweep, calls.jumps.append)
    assert entered.acquire(timeout=5)
    assert not entered.acquire(timeout=0.3)
    clock.wake("a")
    calls.until("a", 1)
    leave.set()
    assert entered.acquire(timeout=5), "swept again, as ever"
    clock.stop()


def test_a_call_that_never_returns_does_not_keep_it_from_stopping(monkeypatch, caplog):
    monkeypatch.setattr("parkmeter.gateway.clock._STOP_WITHIN", 0.3)
    entered, leave = threading.Event(), threading.Event()

    def stuck() -> None:
        entered.set()
        leave.wait(10)

    clock = LocalClock()
    clock.start(lambda _: None, stuck, lambda _: None)
    assert entered.wait(5)
    began = time.monotonic()
    clock.stop()
    assert time.monotonic() - began < 1
    assert "abandons calls that do not return: reconcile-" in caplog.text
    leave.set()


def test_what_was_due_but_not_begun_is_not_called_after_the_stop():
    entered, leave = threading.Semaphore(0), threading.Event()

    def reconcile(name: str) -> None:
        entered.release()
        leave.wait(10)

    clock = LocalClock()
    clock.start(reconcile, lambda: None, lambda _: None)
    for number in range(local_clock._WORKERS + 12):
        clock.wake(str(number))
    for _ in range(local_clock._WORKERS):
        assert entered.acquire(timeout=5)
    threading.Timer(0.1, leave.set).start()
    clock.stop()
    assert not entered.acquire(blocking=False)


STUCK = """
import threading, time
from parkmeter.gateway import clock as local_clock

local_clock._STOP_WITHIN = 0.1
entered = threading.Event()

def stuck():
    entered.set()
    time.sleep(60)

clock = local_clock.LocalClock()
clock.start(lambda _: None, stuck, lambda _: None)
entered.wait(10)
clock.stop()
"""


def test_a_call_that_never_returns_does_not_keep_the_process_alive():
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", STUCK], check=True, timeout=30)
    assert time.monotonic() - began < 20


def test_it_watches_at_least_once_a_second_and_not_with_each_wake(calls):
    made, watched = LocalClock(), []
    made.start(
        calls.reconcile,
        calls.swept.set,
        calls.jumps.append,
        lambda: watched.append(time.monotonic()),
    )
    try:
        for number in range(200):
            made.wake(f"endpoint-{number}")
        calls.until("endpoint-199", 1)
        assert len(watched) <= 3
        give_up = time.monotonic() + 10
        while len(watched) < 4 and time.monotonic() < give_up:
            time.sleep(0.01)
    finally:
        made.stop()
    assert len(watched) >= 4
