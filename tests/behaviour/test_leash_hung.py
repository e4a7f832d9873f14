"""A leash that hangs, and a server that does: neither is trusted for ever."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from parkmeter.core.meter import Phase, Spec
from parkmeter.drivers import process_watch
from parkmeter.drivers.process import ProcessDriver
from parkmeter.drivers.process_watch import Watch
from parkmeter.leash.files import read_json, write_json
from tests.support.driver_fixtures import ProcessHandle, process, start, wait_for, watch
from tests.support.gateway_process import alive


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[ProcessHandle]:
    with process(tmp_path) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Call a leash hung after a moment; its beats are further apart, so only stops show it."""
    monkeypatch.setattr(process_watch, "HUNG_AFTER", 1.0)
    monkeypatch.setattr(process_watch, "PAST_THE_GRACE", 0.5)


def ready(handle: ProcessHandle, **settings: object) -> Spec:
    spec = handle.server("good", stop_grace=timedelta(seconds=0.5), **settings)
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    return spec


def test_a_stopped_leash_is_ended_with_its_server_past_deadline_and_grace(handle, impatient):
    spec = ready(handle)
    server, leash = handle.server_of(spec), handle.leash_of(spec)
    os.kill(leash, signal.SIGSTOP)
    handle.driver.keep(spec, handle.now(), 2)
    # As the clock does with a closed meter: the stop is requested until it is gone.
    handle.driver.stop(spec)
    gave_up = watch(handle, spec, Phase.FAILED)[-1]
    assert gave_up.reason == "its supervisor does not respond"
    handle.driver.stop(spec)
    wait_for(lambda: not alive(server) and not alive(leash), "both are gone", within=10)
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)


def test_a_stop_that_could_not_be_written_is_given_up_too(handle, impatient, monkeypatch):
    spec = ready(handle)
    server, leash = handle.server_of(spec), handle.leash_of(spec)
    os.kill(leash, signal.SIGSTOP)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("parkmeter.drivers.process_stop.write_json", full)

    def stopped() -> bool:
        handle.driver.stop(spec)
        return not alive(server)

    wait_for(stopped, "it is gone", within=10)


def test_a_leash_that_only_hangs_leaves_its_server_alone_until_then(handle, impatient):
    spec = ready(handle)
    os.kill(handle.leash_of(spec), signal.SIGSTOP)
    seen = set()

    def looked() -> bool:
        seen.add(handle.driver.observe(spec).reason)
        return "its supervisor does not respond" in seen

    wait_for(looked, "it is shown", within=10)
    assert handle.driver.observe(spec).phase is Phase.READY
    assert alive(handle.server_of(spec))
    os.kill(handle.leash_of(spec), signal.SIGCONT)
    wait_for(lambda: handle.driver.observe(spec).reason == "", "it is over", within=10)


def test_a_leash_without_a_heartbeat_is_waited_for_as_before(handle, impatient):
    spec = ready(handle)
    record = {key: value for key, value in handle.record(spec).items() if key != "beats"}
    write_json(handle.files(spec).record, record)
    os.kill(handle.leash_of(spec), signal.SIGSTOP)
    handle.driver.stop(spec)
    give_up = time.monotonic() + 3
    while time.monotonic() < give_up:
        assert handle.driver.observe(spec).phase is Phase.STOPPING
        time.sleep(0.05)
    assert alive(handle.server_of(spec))


def test_a_leash_at_work_touches_its_record_every_five_seconds(handle):
    spec = ready(handle)
    record = Path(handle.files(spec).record)
    os.utime(record, (1, 1))
    assert wait_for(lambda: record.stat().st_mtime > 1, "a beat", within=8) < 7


def test_a_pause_of_the_gateway_itself_is_no_silence(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    seen = Watch()
    assert seen.silent_for("a", "beat") == 0
    now[0] = 3600
    assert seen.silent_for("a", "beat") <= 2
    now[0] += 1
    assert seen.silent_for("a", "another") == 0


# ── Liveness of the server ───────────────────────────────────────────────────────────────────────


def test_a_server_that_hangs_has_failed_if_a_liveness_is_set(handle, tmp_path):
    handle.launches.clear()
    spec = handle.server(
        "good",
        "--mute-file",
        str(tmp_path / "mute"),
        liveness=timedelta(seconds=1),
        health_timeout=timedelta(seconds=0.3),
        stop_grace=timedelta(seconds=0.5),
    )
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    (tmp_path / "mute").touch()
    failed = watch(handle, spec, Phase.FAILED)[-1]
    assert failed.reason.startswith("no answer to its health check for 1 s")
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)


def test_one_that_answers_late_but_in_time_is_no_failure(handle, tmp_path):
    spec = ready(handle, liveness=timedelta(seconds=1))
    give_up = time.monotonic() + 2.5
    while time.monotonic() < give_up:
        assert handle.driver.observe(spec).phase is Phase.READY
        time.sleep(0.05)


# ── A record that lacks its fields ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("damage", ['{"state": "running"}', "", "[]", '{"run": "x"}'])
def test_a_run_with_a_damaged_record_is_shown_as_failed_and_can_be_stopped(handle, damage):
    spec = ready(handle)
    server = handle.server_of(spec)
    Path(handle.files(spec).record).write_text(damage)
    seen = handle.driver.observe(spec)
    assert (seen.phase, seen.reason) == (Phase.FAILED, "the record of its run is damaged")
    assert list(handle.driver.owned()) == ["good"]
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    assert not alive(server)


def test_what_a_killed_leash_left_is_cleared_although_its_record_is_damaged(handle, tmp_path):
    spec = handle.server("crowd", "--escaped-worker-pid-file", str(tmp_path / "worker"))
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    worker = int((tmp_path / "worker").read_text())
    os.kill(handle.leash_of(spec), signal.SIGKILL)
    Path(handle.files(spec).record).write_text('{"state": "running"}')
    lost = "its supervisor was killed"
    wait_for(lambda: handle.driver.observe(spec).reason == lost, "the loss is seen")
    other = ProcessDriver(handle.folder, {})
    other.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    assert not alive(worker)
    assert read_json(handle.files(spec).record)["state"] == "stopped"
