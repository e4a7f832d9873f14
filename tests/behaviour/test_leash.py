"""The leash on real processes: whichever dies or misbehaves, no server outlives its time."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from parkmeter.core.meter import Phase, Spec
from parkmeter.drivers.process_launch import Launch
from parkmeter.drivers.process_leash_client import LEASH
from parkmeter.leash.files import read_json, ring, write_json
from parkmeter.leash.log import Log
from parkmeter.leash.processes import process_of
from parkmeter.leash.supervise import HEAD_START
from tests.support.driver_fixtures import (
    SERVER,
    ProcessHandle,
    process,
    start,
    wait_for,
    watch,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs prctl and /proc")


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[ProcessHandle]:
    with process(tmp_path) as made:
        yield made


def exists(pid: int) -> bool:
    """Return True if there is such a process, even as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def lives(pid: int) -> bool:
    """Return True if such a process runs; not for a zombie that init has not collected."""
    return exists(pid) and (sys.platform != "linux" or process_of(pid) is not None)


def pid_in(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text() != "", f"{path.name} is written")
    return int(path.read_text())


def ready(handle: ProcessHandle, spec: Spec, seconds: float = 600) -> None:
    start(handle, spec, seconds=seconds)
    watch(handle, spec, Phase.READY)


# ── The deadline, with no gateway ────────────────────────────────────────────────────────────────

GATEWAY = """
import sys, time
from datetime import datetime, timedelta, UTC
from pathlib import Path
from parkmeter.drivers.process import ProcessDriver
from parkmeter.drivers.process_launch import Launch
from parkmeter.core.meter import Spec

folder, seconds, *command = sys.argv[1:]
driver = ProcessDriver(Path(folder), {"demo": Launch(tuple(command))})
until = datetime.now(UTC) + timedelta(seconds=float(seconds))
driver.start(Spec("demo"), "local", until, 1)
print(until.timestamp(), flush=True)
time.sleep(600)
"""


def test_with_its_gateway_killed_a_server_and_its_workers_end_at_the_deadline(handle, tmp_path):
    worker_file = tmp_path / "worker"
    command = [sys.executable, str(SERVER), "{port}", "--worker-pid-file", str(worker_file)]
    gateway = subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(tmp_path), "2", *command], stdout=subprocess.PIPE
    )
    with gateway:
        deadline = float(gateway.stdout.readline())
        server, worker = handle.server_of(Spec("demo")), pid_in(worker_file)
        gateway.kill()
    wait_for(lambda: not lives(server) and not lives(worker), "both are gone")
    late = time.time() - deadline
    assert 0 <= late <= 2
    assert watch(handle, Spec("demo"), Phase.ABSENT)[-1].phase is Phase.ABSENT


def test_a_leash_reads_its_deadline_again_before_it_acts(handle, monkeypatch):
    spec = handle.good()
    start(handle, spec, seconds=2)
    deadline = handle.now() + timedelta(seconds=2)
    # Stopped, so that it cannot act before the deadline has moved, however slow this machine is.
    os.kill(handle.leash_of(spec), signal.SIGSTOP)
    time.sleep((deadline - handle.now()).total_seconds() + HEAD_START)
    monkeypatch.setattr("parkmeter.drivers.process.ring", lambda *_: None)
    handle.driver.keep(spec, handle.now() + timedelta(minutes=10), 2)
    os.kill(handle.leash_of(spec), signal.SIGCONT)
    watch(handle, spec, Phase.READY)
    time.sleep(0.3)
    assert handle.driver.observe(spec).phase is Phase.READY


def test_a_deadline_brought_forward_is_noticed_at_once(handle):
    spec = handle.good()
    ready(handle, spec)
    handle.driver.keep(spec, handle.now(), 2)
    assert 0.4 < wait_for(lambda: handle.driver.observe(spec).phase is Phase.ABSENT, "it ends") < 3


def test_a_deadline_of_a_lower_version_is_not_taken(handle):
    spec = handle.good()
    ready(handle, spec)
    handle.driver.keep(spec, handle.now() + timedelta(seconds=600), 5)
    files = handle.files(spec)
    time.sleep(0.3)  # for the leash, which was rung, to read it
    # As written by a driver that read the file before the other one wrote it.
    write_json(files.deadline, {"version": 4, "until": time.time()})
    ring(files.bell, b"\n")
    time.sleep(1.5)  # longer than head start and longest nap
    assert handle.driver.observe(spec).phase is Phase.READY
    write_json(files.deadline, {"version": 5, "until": time.time()})
    ring(files.bell, b"\n")
    assert wait_for(lambda: handle.driver.observe(spec).phase is Phase.ABSENT, "it ends") < 3


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_the_one_before(tmp_path, monkeypatch):
    path, steps = str(tmp_path / "file"), []

    def recorded(step):
        done = getattr(os, step)

        def call(*arguments):
            steps.append(step)
            return done(*arguments)

        monkeypatch.setattr(os, step, call)

    write_json(path, {"old": True})
    for step in ("fsync", "replace"):
        recorded(step)
    write_json(path, {"old": False})
    assert steps == ["fsync", "replace"]
    assert read_json(path) == {"old": False}


def test_a_stop_file_is_found_even_if_the_bell_is_not_rung(handle, monkeypatch):
    spec = handle.good()
    ready(handle, spec)
    rung = []
    monkeypatch.setattr("parkmeter.drivers.process_stop.ring", lambda *ring: rung.append(ring))
    handle.driver.stop(spec)
    assert wait_for(lambda: handle.driver.observe(spec).phase is Phase.ABSENT, "it ends") < 3
    assert len(rung) == 1


def test_a_server_does_not_outlive_the_folder_by_which_it_can_be_found(handle):
    spec = handle.good()
    ready(handle, spec)
    server, leash = handle.server_of(spec), handle.leash_of(spec)
    shutil.rmtree(handle.folder)
    assert wait_for(lambda: not lives(server) and not exists(leash), "both are gone") < 4


# ── Stopping ─────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_obeys_is_gone_at_once(handle):
    spec = handle.good()
    took = []
    for _ in range(3):
        ready(handle, spec)
        server = handle.server_of(spec)
        began = time.monotonic()
        handle.driver.stop(spec)
        assert time.monotonic() - began < 0.2, "stop does not wait"
        wait_for(lambda gone=server: not lives(gone), "the server is gone")
        took.append(time.monotonic() - began)
        watch(handle, spec, Phase.ABSENT)
    assert min(took) < 0.25


LEASH_ON_A_SLOW_DISK = f"""
import sys, time
sys.path.append({str(LEASH.parents[2])!r})
from parkmeter.leash import main
from parkmeter.leash import supervise

write_json = supervise.write_json

def write_late(path, content):
    if content["state"] == supervise.STOPPING:
        time.sleep(2)
    write_json(path, content)

supervise.write_json = write_late
main.main()
"""


def test_a_disk_that_takes_its_time_does_not_lengthen_the_life_of_a_server(
    handle, tmp_path, monkeypatch
):
    leash = tmp_path / "leash.py"
    leash.write_text(LEASH_ON_A_SLOW_DISK)
    monkeypatch.setattr("parkmeter.drivers.process_leash_client.LEASH", leash)
    spec = handle.good()
    ready(handle, spec)
    server = handle.server_of(spec)
    handle.driver.keep(spec, handle.now(), 2)
    assert wait_for(lambda: not lives(server), "it ends") < 1.5
    watch(handle, spec, Phase.ABSENT)


def test_a_server_that_ignores_sigterm_is_killed_after_its_grace(handle):
    spec = handle.server("deaf", "--ignore-sigterm", stop_grace=timedelta(seconds=0.7))
    ready(handle, spec)
    server = handle.server_of(spec)
    handle.driver.stop(spec)
    took = wait_for(lambda: not lives(server), "it is killed")
    assert 0.6 < took < 2.5
    assert watch(handle, spec, Phase.ABSENT)[-1].reason == "stopped"


@linux
def test_a_stop_takes_all_workers_along(handle, tmp_path):
    own_session, no_environment = tmp_path / "one", tmp_path / "other"
    flags = "--worker-pid-file", str(own_session), "--wiped-worker-pid-file", str(no_environment)
    spec = handle.server("crowd", *flags)
    ready(handle, spec)
    workers = pid_in(own_session), pid_in(no_environment)
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    assert not any(lives(worker) for worker in workers)


def test_a_wrapper_that_ends_first_does_not_cost_its_server_the_grace(handle, tmp_path):
    farewell = tmp_path / "farewell"
    # The inner shell needs a while after SIGTERM; the outer one dies of it at once.
    inner = f"trap 'sleep 0.4; echo done > {farewell}; exit' TERM; while true; do sleep 0.05; done"
    spec = Spec("wrapped")
    handle.launches["wrapped"] = Launch(("sh", "-c", 'sh -c "$1" & wait', "sh", inner))
    start(handle, spec)
    time.sleep(0.3)
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    assert farewell.exists()


def test_signals_from_a_terminal_do_not_hurt_a_leash(handle):
    spec = handle.good()
    ready(handle, spec)
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(handle.leash_of(spec), number)
    time.sleep(0.2)
    assert handle.driver.observe(spec).phase is Phase.READY
    assert lives(handle.server_of(spec))


def test_a_leash_that_is_terminated_takes_its_server_along(handle):
    spec = handle.good()
    ready(handle, spec)
    server = handle.server_of(spec)
    os.kill(handle.leash_of(spec), signal.SIGTERM)
    assert "SIGTERM" in watch(handle, spec, Phase.ABSENT)[-1].reason
    assert not lives(server)


def test_no_process_stays_behind_as_a_zombie(handle, tmp_path):
    spec = handle.server("crowd", "--worker-pid-file", str(tmp_path / "worker"))
    ready(handle, spec)
    everything = handle.leash_of(spec), handle.server_of(spec), pid_in(tmp_path / "worker")
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    wait_for(lambda: not any(map(exists, everything)), "all are collected", within=2)


# ── A stop command ───────────────────────────────────────────────────────────────────────────────


def test_a_stop_command_is_run_in_place_of_sigterm(handle, tmp_path):
    pid_file, note = tmp_path / "server", tmp_path / "note"
    script = f'echo "$1" > "{note}"; kill -KILL "$(cat "{pid_file}")"'
    spec = handle.server(
        "box",
        "--ignore-sigterm",
        "--pid-file",
        str(pid_file),
        stop_command=("sh", "-c", script, "sh", "port={port}"),
        stop_grace=timedelta(seconds=20),
    )
    ready(handle, spec)
    port = handle.record(spec)["port"]
    handle.driver.stop(spec)
    assert wait_for(lambda: handle.driver.observe(spec).phase is Phase.ABSENT, "it ends") < 10
    assert note.read_text() == f"port={port}\n"


def test_a_stop_command_that_fails_is_followed_by_sigterm(handle):
    spec = handle.server("box", stop_command=("false",), stop_grace=timedelta(seconds=20))
    ready(handle, spec)
    handle.driver.stop(spec)
    assert wait_for(lambda: handle.driver.observe(spec).phase is Phase.ABSENT, "it ends") < 10


def test_a_stop_command_that_hangs_is_bounded_by_the_grace(handle):
    spec = handle.server("box", stop_command=("sleep", "600"), stop_grace=timedelta(seconds=0.5))
    ready(handle, spec)
    handle.driver.stop(spec)
    assert wait_for(lambda: handle.driver.observe(spec).phase is Phase.ABSENT, "it ends") < 5


def test_absent_means_that_its_port_is_closed_too(handle):
    # A container: its processes are not ours, and its port may go on answering.
    spec = Spec("box")
    handle.launches["box"] = Launch(("sleep", "600"))
    start(handle, spec)
    with socket.create_server(("127.0.0.1", handle.record(spec)["port"])):
        handle.driver.stop(spec)
        assert "still answers" in watch(handle, spec, Phase.FAILED)[-1].reason
        handle.driver.stop(spec)
        assert handle.driver.observe(spec).phase is Phase.STOPPING
        watch(handle, spec, Phase.FAILED)
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)


# ── Sudden deaths ────────────────────────────────────────────────────────────────────────────────


@linux
def test_a_killed_leash_takes_its_server_along(handle):
    spec = handle.good()
    ready(handle, spec)
    server = handle.server_of(spec)
    os.kill(handle.leash_of(spec), signal.SIGKILL)
    assert wait_for(lambda: not lives(server), "the server is gone") < 2
    assert handle.driver.observe(spec).reason == "its supervisor was killed"


@linux
def test_what_outlives_a_killed_leash_holds_the_lock_and_is_cleared_by_a_stop(handle, tmp_path):
    spec = handle.server("crowd", "--worker-pid-file", str(tmp_path / "worker"))
    ready(handle, spec)
    server, worker = handle.server_of(spec), pid_in(tmp_path / "worker")
    os.kill(handle.leash_of(spec), signal.SIGKILL)
    wait_for(lambda: not lives(server), "the server is gone")
    assert lives(worker)
    assert handle.driver.observe(spec).phase is Phase.FAILED
    start(handle, spec, version=2)
    assert handle.starts_of(spec) == 1, "no second one beside what is left"
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    assert not lives(worker)


@linux
def test_a_worker_that_hides_its_environment_is_cleared_by_its_session(handle, tmp_path):
    spec = handle.server("crowd", "--wiped-worker-pid-file", str(tmp_path / "worker"))
    ready(handle, spec)
    worker = pid_in(tmp_path / "worker")
    os.kill(handle.leash_of(spec), signal.SIGKILL)
    wait_for(lambda: handle.driver.observe(spec).phase is Phase.FAILED, "the loss is seen")
    assert lives(worker)
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    assert not lives(worker)


@linux
def test_a_server_that_crashes_takes_its_workers_along(handle, tmp_path):
    flags = "--worker-pid-file", str(tmp_path / "worker"), "--crash-after", "0.3"
    spec = handle.server("crowd", *flags)
    start(handle, spec)
    worker = pid_in(tmp_path / "worker")
    assert watch(handle, spec, Phase.FAILED)[-1].reason.startswith("exit code 3")
    assert not lives(worker)


def test_after_a_restart_of_the_machine_nothing_is_touched(handle):
    spec = handle.good()
    ready(handle, spec)
    server = handle.server_of(spec)
    os.kill(handle.leash_of(spec), signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(server, signal.SIGKILL)
    wait_for(lambda: handle.driver.observe(spec).phase is Phase.FAILED, "the loss is seen")
    record = Path(handle.files(spec).record)
    record.write_text(record.read_text().replace(handle.record(spec)["boot"] or "-", "before"))
    if sys.platform == "linux":
        assert handle.driver.observe(spec).reason == "the machine was restarted"
    # Its old process id and its old port belong to others by now: to this test, or to whatever
    # else on this machine was given the port in the meantime.
    with contextlib.ExitStack() as others:
        with contextlib.suppress(OSError):
            others.enter_context(socket.create_server(("127.0.0.1", handle.record(spec)["port"])))
        handle.driver.stop(spec)
        watch(handle, spec, Phase.ABSENT)


def test_an_error_in_the_leash_itself_ends_the_server(handle):
    spec = handle.good()
    ready(handle, spec)
    server = handle.server_of(spec)
    Path(handle.files(spec).deadline).write_text('{"version": "not a number"}')
    failed = watch(handle, spec, Phase.FAILED)[-1]
    assert failed.reason.startswith("its supervisor failed: ")
    assert not lives(server)


# ── What it holds and writes ─────────────────────────────────────────────────────────────────────


@linux
def test_a_server_inherits_the_lock_and_no_other_file(handle):
    spec = handle.good()
    ready(handle, spec)
    folder = Path(f"/proc/{handle.server_of(spec)}/fd")
    files = [str(file.readlink()) for file in folder.iterdir()]
    assert handle.files(spec).lock in files
    others = [file for file in files if file.startswith(str(handle.folder))]
    assert others == [handle.files(spec).lock]


@linux
def test_a_leash_holds_no_files_of_its_starter(handle, tmp_path):
    spec = handle.good()
    files = handle.files(spec)
    with (tmp_path / "of the gateway").open("w") as file, socket.create_server(("", 0)) as door:
        os.set_inheritable(file.fileno(), True)
        os.set_inheritable(door.fileno(), True)
        start(handle, spec)
        folder = Path(f"/proc/{handle.leash_of(spec)}/fd")

        def held() -> list[str]:
            with contextlib.suppress(FileNotFoundError):  # closed while it was listed
                return sorted(str(entry.readlink()) for entry in folder.iterdir())
            return []

        # Its three files, nothing in place of what the gateway gave it, two pipes of its own.
        expected = sorted([files.lock, files.bell, files.log, *[os.devnull] * 3])
        wait_for(lambda: [one for one in held() if one.startswith("/")] == expected, "only its own")
        assert sum(one.startswith("pipe:") for one in held()) == 4
        assert not any(one.startswith("socket:") for one in held())


@linux
def test_command_lines_of_a_leash_show_no_secrets(handle):
    spec = handle.server("good", environment={"TOKEN": "very-secret"})
    start(handle, spec)
    for file in ("cmdline", "environ"):
        assert b"very-secret" not in Path(f"/proc/{handle.leash_of(spec)}/{file}").read_bytes()
    assert "very-secret" not in Path(handle.files(spec).record).read_text()


def test_files_are_readable_to_their_owner_only(handle):
    spec = handle.good()
    ready(handle, spec)
    for file in (handle.folder / "run").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file.name
    assert Path(handle.files(spec).log).stat().st_mode & 0o777 == 0o600
    assert (handle.folder / "run").stat().st_mode & 0o777 == 0o700


def test_everything_a_server_prints_is_in_its_log(handle):
    spec = handle.server("chatty", "--say-much", "300000")
    ready(handle, spec)
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    assert Path(handle.files(spec).log).read_text().count("x") == 300 * 999


def test_a_full_log_becomes_the_old_one(tmp_path):
    path, old = tmp_path / "log", tmp_path / "log.1"
    log = Log(str(path), str(old), limit=100)
    for letter in b"abcdefg":
        log.write(bytes([letter]) * 40)
    assert path.read_bytes() == b"g" * 40
    assert old.read_bytes() == b"e" * 40 + b"f" * 40


def test_a_log_that_was_there_is_continued(tmp_path):
    for text in (b"one", b"two"):
        Log(str(tmp_path / "log"), str(tmp_path / "log.1"), limit=100).write(text)
    assert (tmp_path / "log").read_bytes() == b"onetwo"


def test_a_log_that_cannot_be_written_is_no_reason_to_fail(tmp_path):
    Log(str(tmp_path / "no folder" / "log"), str(tmp_path / "log.1")).write(b"lost")
