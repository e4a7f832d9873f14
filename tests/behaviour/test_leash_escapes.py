"""Processes that try to outlive the meter, with leash and gateway both killed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import parkmeter
from parkmeter.core.meter import Phase, Spec
from parkmeter.drivers.process import ProcessDriver
from parkmeter.drivers.process_launch import Launch
from parkmeter.errors import DriverError
from parkmeter.leash.control_group import own_group
from tests.support.driver_fixtures import ProcessHandle, process, start, wait_for, watch
from tests.support.gateway_process import alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[ProcessHandle]:
    with process(tmp_path) as made:
        yield made


def ready_with(handle: ProcessHandle, flag: str, file: Path) -> tuple[Spec, int]:
    """Return an endpoint that is ready, and the worker that it left to itself."""
    spec = handle.server("crowd", flag, str(file))
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    return spec, int(file.read_text())


def lose_leash(handle: ProcessHandle, spec: Spec) -> ProcessDriver:
    """Kill the leash; return the driver of the next gateway."""
    server = handle.server_of(spec)
    os.kill(handle.leash_of(spec), signal.SIGKILL)
    wait_for(lambda: not alive(server), "the server is gone")
    return ProcessDriver(handle.folder, {})


def test_a_worker_with_its_own_session_and_no_environment_is_found_by_the_lock(handle, tmp_path):
    spec, worker = ready_with(handle, "--escaped-worker-pid-file", tmp_path / "worker")
    driver = lose_leash(handle, spec)
    assert alive(worker)
    assert driver.observe(spec).phase is Phase.FAILED
    driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    assert not alive(worker)


def test_a_server_that_unlocks_its_run_is_ended(handle, tmp_path):
    file = tmp_path / "pid"
    spec = handle.server("thief", "--unlock", "--pid-file", str(file))
    start(handle, spec)
    watch(handle, spec, Phase.FAILED)
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    assert not alive(int(file.read_text()))


def test_who_only_examines_the_lock_is_left_alone(handle, tmp_path):
    spec, worker = ready_with(handle, "--escaped-worker-pid-file", tmp_path / "worker")
    driver = lose_leash(handle, spec)
    with Path(handle.files(spec).lock).open():  # this process has the file open
        driver.stop(spec)
        watch(handle, spec, Phase.ABSENT)
    assert not alive(worker)


@pytest.fixture
def delegated() -> Iterator[Path]:
    """Put this process into a control group that is delegated to it, as `Delegate=yes` does."""
    mounts = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
    mount = next((one for one in mounts if (one / "cgroup.procs").exists()), None)
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::")), None)
    if mount is None or own is None:
        pytest.skip("needs cgroup v2")
    before = mount / own.lstrip("/")
    group = before / f"parkmeter-test-{os.getpid()}"
    try:
        group.mkdir()
        os.setxattr(group, "user.delegate", b"1")
        (group / "cgroup.procs").write_text("0")
    except OSError:
        if group.exists():
            group.rmdir()
        pytest.skip("needs a control group to delegate")
    try:
        yield group
    finally:
        (before / "cgroup.procs").write_text("0")
        wait_for(lambda: (group / "cgroup.procs").read_text() == "", "the group is empty")
        group.rmdir()


def test_with_a_delegated_control_group_nothing_escapes(delegated, handle, tmp_path):
    spec, worker = ready_with(handle, "--lost-worker-pid-file", tmp_path / "worker")
    assert str(delegated) == own_group()
    driver = lose_leash(handle, spec)
    assert alive(worker)
    wait_for(lambda: driver.observe(spec).phase is Phase.FAILED, "the loss is seen")
    driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    wait_for(lambda: not alive(worker), "the worker is gone")
    assert [one for one in delegated.iterdir() if one.is_dir()] == []


def test_a_process_in_a_group_that_the_server_made_does_not_escape_either(delegated, handle):
    spec = handle.good()
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    below = Path(handle.record(spec)["cgroup"]) / "of-the-server"
    below.mkdir()
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as escaped:
        (below / "cgroup.procs").write_text(str(escaped.pid))
        handle.driver.stop(spec)
        watch(handle, spec, Phase.ABSENT)
        assert escaped.wait(10) == -signal.SIGKILL
    assert not below.parent.exists()


def test_the_control_group_goes_with_its_run(delegated, handle):
    spec = handle.good()
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    group = Path(handle.record(spec)["cgroup"])
    assert str(handle.server_of(spec)) in (group / "cgroup.procs").read_text().split()
    assert str(handle.leash_of(spec)) not in (group / "cgroup.procs").read_text().split()
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    assert not group.exists()


def test_without_delegation_there_is_no_control_group(handle):
    spec = handle.good()
    start(handle, spec)
    assert handle.record(spec)["cgroup"] is None


def test_when_memory_runs_out_a_server_goes_before_its_leash(handle):
    spec = handle.good()
    start(handle, spec)

    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    own = score(os.getpid())
    assert score(handle.leash_of(spec)) == own
    wait_for(lambda: score(handle.server_of(spec)) == min(1000, own + 200), "its own is higher")


# ── The clock ────────────────────────────────────────────────────────────────────────────────────

LEASH_WITH_ITS_CLOCK_SET_BACK = """
import os, sys, time
sys.path.append({path!r})
wall, flag = time.time, {flag!r}
time.time = lambda: wall() - (5 * 3600 if os.path.exists(flag) else 0)
from parkmeter.leash import main
main.main()
"""


def test_a_clock_set_back_adds_no_time_even_without_a_gateway(handle, tmp_path, monkeypatch):
    leash, flag = tmp_path / "leash.py", tmp_path / "set-back"
    path = str(Path(parkmeter.__file__).parents[1])
    leash.write_text(LEASH_WITH_ITS_CLOCK_SET_BACK.format(path=path, flag=str(flag)))
    monkeypatch.setattr("parkmeter.drivers.process_leash_client.LEASH", leash)
    spec = handle.good()
    start(handle, spec, seconds=3)
    flag.touch()
    watch(handle, spec, Phase.READY)
    server = handle.server_of(spec)
    # Bought, head start, slack, and the longest nap.
    assert wait_for(lambda: not alive(server), "it ends") < 3 + 0.5 + 2 + 1 + 1


def test_an_unchanged_deadline_is_not_written_every_second(handle):
    spec = handle.good()
    start(handle, spec)
    file = Path(handle.files(spec).deadline)
    until = handle.now() + timedelta(minutes=10)
    handle.driver.keep(spec, until, 2)
    written = file.stat().st_ino
    for _ in range(20):
        handle.driver.keep(spec, until, 2)
    assert file.stat().st_ino == written


# ── Another user, and what it may see ────────────────────────────────────────────────────────────

ATTEMPTS = """
try() {
  name=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "$name: yes"; else echo "$name: no"; fi
}
{
  echo "user: $(id -un)"
  try token cat "$1/token"
  try record cat "$1/run/tried.json"
  try deadline sh -c "echo > '$1/run/tried.deadline'"
  try stop sh -c "echo > '$1/run/tried.stop'"
  try environment cat "/proc/$PPID/environ"
  try signal kill -9 "$PPID"
} > "$2/result"
echo done >> "$2/result"
exec sleep 600
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user may write to."""
    folder = Path(tempfile.mkdtemp(prefix="parkmeter-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def text_of(file: Path) -> str:
    return file.read_text() if file.exists() else ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_server_with_its_own_user_can_neither_read_nor_signal_its_leash(open_folder):
    state = open_folder / "state"
    with process(state) as handle:
        state.mkdir(mode=0o755)
        (state / "token").touch(mode=0o600)
        handle.launches["tried"] = Launch(
            ("sh", "-c", ATTEMPTS, "sh", str(state), str(open_folder)), user="nobody"
        )
        spec = Spec("tried")
        start(handle, spec)
        result = open_folder / "result"
        wait_for(lambda: "done" in text_of(result), "it has tried")
        attempts = ("token", "record", "deadline", "stop", "environment", "signal")
        assert result.read_text().splitlines() == [
            "user: nobody",
            *(f"{attempt}: no" for attempt in attempts),
            "done",
        ]
        server = handle.server_of(spec)
        os.kill(handle.leash_of(spec), signal.SIGKILL)
        wait_for(lambda: not alive(server), "it dies with its leash")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_attempts_of_one_without_its_own_user_succeed(open_folder):
    # So that the test above shows more than a script that does nothing.
    state = open_folder / "state"
    with process(state) as handle:
        state.mkdir(mode=0o755)
        (state / "token").touch(mode=0o600)
        handle.launches["tried"] = Launch(
            ("sh", "-c", ATTEMPTS, "sh", str(state), str(open_folder))
        )
        start(handle, Spec("tried"))
        # It dies of its last attempt.
        wait_for(lambda: "environment: yes" in text_of(open_folder / "result"), "it has tried")
        assert "token: yes" in text_of(open_folder / "result")


def test_a_user_that_is_not_there_is_named(handle):
    spec = handle.server("good", user="no-such-user")
    with pytest.raises(DriverError, match="'no-such-user': there is no such user"):
        start(handle, spec)


def test_only_root_can_start_a_server_as_another_user(handle, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    spec = handle.server("good", user="root")
    with pytest.raises(DriverError, match="runs as root"):
        start(handle, spec)


def test_a_server_gets_no_secrets_of_the_gateways_environment(handle, tmp_path, monkeypatch):
    for name in ("PARKMETER_STATE", "HOOK", "my_token", "DB_PASSWORD", "API_KEY", "A_SECRET"):
        monkeypatch.setenv(name, "very-secret")
    for name in ("HF_TOKEN", "WANTED_KEY", "KEYBOARD", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "passed-on")
    spec = handle.server(
        "good",
        "--environment-file",
        str(tmp_path / "environment"),
        environment_read=frozenset({"HOOK"}),
        environment_from=("HF_TOKEN", "WANTED_KEY"),
        environment={"OWN_TOKEN": "its own"},
    )
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    text = (tmp_path / "environment").read_text()
    assert "very-secret" not in text
    assert text.count("passed-on") == 4
    assert "OWN_TOKEN=its own" in text
    leash = Path(f"/proc/{handle.leash_of(spec)}/environ").read_bytes()
    assert b"very-secret" not in leash


def test_folders_are_closed_to_others_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        with process(tmp_path / "endpoints") as handle:
            start(handle, handle.good())
            for folder in (handle.folder, handle.folder / "run", handle.folder / "logs"):
                assert folder.stat().st_mode & 0o777 == 0o700, folder
    finally:
        os.umask(before)
