"""The health of a gateway: every fault is found, named, and never waited for."""

import asyncio
import threading
import time

import pytest

from parkmeter.api.lanes import Lane
from parkmeter.errors import StoreBusyError
from parkmeter.gateway.health import (
    Check,
    HealthMonitor,
    descriptor_check,
    disk_check,
    store_check,
    thread_check,
)
from tests.support.gateway_at_work import on_both_loops, until
from tests.support.gateway_process import eventually


class Patient:
    """A check whose outcome a test sets."""

    def __init__(self) -> None:
        self.sound = True
        self.go_on = threading.Event()
        self.go_on.set()

    def look(self) -> bool:
        self.go_on.wait(20)
        return self.sound


@pytest.fixture
def patient():
    return Patient()


@pytest.fixture
def monitor(patient):
    made = HealthMonitor([Check("ill", "It is ill.", patient.look)], dict, every=0.01)
    made.start()
    yield made
    patient.go_on.set()
    made.stop()


def test_a_fault_is_named_until_it_is_over(monitor, patient, caplog):
    assert monitor.faults() == {}
    patient.sound = False
    eventually(lambda: monitor.faults() == {"ill": "It is ill."})
    patient.sound = True
    eventually(lambda: monitor.faults() == {})
    assert caplog.messages == ["health: ill: It is ill.", "health: ill is over"]


def test_a_check_that_does_not_come_back_is_a_fault_that_is_not_waited_for(
    monitor, patient, monkeypatch
):
    monkeypatch.setattr("parkmeter.gateway.health._PATIENCE_SECONDS", 0.1)
    patient.go_on.clear()
    eventually(lambda: monitor.faults() == {"ill": "It is ill."})
    begun = time.monotonic()
    monitor.faults()
    assert time.monotonic() - begun < 0.05
    patient.go_on.set()
    eventually(lambda: monitor.faults() == {})


def test_a_check_that_fails_is_a_fault():
    def broken() -> bool:
        raise OSError("no such folder")

    monitor = HealthMonitor([Check("broken", "It broke.", broken)], dict, every=0.01)
    monitor.start()
    eventually(lambda: monitor.faults() == {"broken": "It broke."})
    monitor.stop()


def test_figures_are_measured_in_rounds_and_never_by_those_that_ask():
    threads: list[str] = []
    broken = threading.Event()

    def measure() -> dict[str, int]:
        threads.append(threading.current_thread().name)
        if broken.is_set():
            raise OSError("no such folder")
        return {"rounds": len(threads)}

    monitor = HealthMonitor([], measure, lambda: {"connections": 3}, every=0.01)
    assert monitor.figures() == {"connections": 3}
    monitor.start()
    eventually(lambda: monitor.figures().get("rounds", 0) > 1)
    broken.set()
    before = len(threads)
    eventually(lambda: len(threads) > before + 1)
    assert monitor.figures() == {"connections": 3}, "what cannot be measured now is not known"
    monitor.stop()
    assert set(threads) == {"health"}


def test_a_store_that_is_busy_is_not_sound():
    def busy() -> None:
        raise StoreBusyError

    assert not store_check(busy).sound()
    assert store_check(lambda: None).sound()


def test_a_disk_with_less_than_a_megabyte_is_full(tmp_path, monkeypatch):
    check = disk_check(tmp_path)
    assert check.sound()
    monkeypatch.setattr("parkmeter.gateway.health.disk_free", lambda _folder: 4096)
    assert not check.sound()


def test_a_few_descriptors_have_to_be_left(monkeypatch):
    check = descriptor_check()
    assert check.sound()
    monkeypatch.setattr("parkmeter.gateway.descriptors.limit", lambda: 1024)
    monkeypatch.setattr("parkmeter.gateway.descriptors.open_count", lambda: 1000)
    assert not check.sound()


@on_both_loops
async def test_a_lane_in_which_every_call_hangs_is_a_fault_and_one_that_gets_on_is_not():
    lane, go_on = Lane(1), threading.Event()
    check = thread_check([lane])
    hanging = asyncio.create_task(lane.run("ada", go_on.wait, 20))
    await until(lambda: lane.full)
    assert [check.sound() for _ in range(4)] == [True, True, True, False]
    go_on.set()
    await hanging
    assert check.sound()
    for _ in range(5):
        await lane.run("ada", int)
        lane._free, free = 0, lane._free  # full at every look, but calls return
        assert check.sound()
        lane._free = free
