"""The process driver on real servers: observation, reasons, adoption."""

import os
import resource
import signal
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from parkmeter.core.meter import Phase, Spec
from parkmeter.drivers.process import ProcessDriver
from parkmeter.drivers.process_launch import Launch
from parkmeter.drivers.process_logs import last_lines
from parkmeter.errors import DriverError
from parkmeter.leash.files import LOG_MARK, read_json
from tests.support.driver_fixtures import ProcessHandle, process, start, wait_for, watch


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[ProcessHandle]:
    with process(tmp_path / "state") as made:
        yield made


# ── Starting ─────────────────────────────────────────────────────────────────────────────────────


def test_a_command_that_is_not_there_is_named(handle):
    with pytest.raises(DriverError) as refusal:
        start(handle, handle.impossible())
    assert refusal.value.detail == "It could not be started: not found: no-such-program."


def test_a_working_folder_that_is_not_there_is_named(handle, tmp_path):
    spec = handle.server("lost", working_folder=tmp_path / "nowhere")
    with pytest.raises(DriverError, match=r"not found: .*nowhere"):
        start(handle, spec)


def test_a_command_that_may_not_be_executed_is_named(handle, tmp_path):
    (tmp_path / "text").write_text("no program")
    handle.launches["text"] = Launch((str(tmp_path / "text"),))
    with pytest.raises(DriverError, match=r"not allowed to execute: .*text"):
        start(handle, Spec("text"))


def test_an_endpoint_without_a_command_is_refused(handle):
    with pytest.raises(DriverError, match="no command in the configuration"):
        start(handle, Spec("unheard-of"))


def test_a_state_folder_that_cannot_be_used_is_reported_in_plain_words(tmp_path):
    (tmp_path / "file").write_text("")
    driver = ProcessDriver(tmp_path / "file", {"good": Launch(("true",))})
    with pytest.raises(DriverError, match="Not a directory"):
        driver.observe(Spec("good"))


def test_a_supervisor_that_cannot_run_is_reported_in_plain_words(handle, monkeypatch, tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('no luck')")
    monkeypatch.setattr("parkmeter.drivers.process_leash_client.LEASH", tmp_path / "broken.py")
    with pytest.raises(DriverError, match="Its supervisor failed: RuntimeError: no luck"):
        start(handle, handle.good())


def test_a_supervisor_that_does_not_answer_is_given_up(handle, monkeypatch, tmp_path):
    (tmp_path / "mute.py").write_text("import time; time.sleep(600)")
    monkeypatch.setattr("parkmeter.drivers.process_leash_client.LEASH", tmp_path / "mute.py")
    monkeypatch.setattr("parkmeter.drivers.process_leash_client.ANSWER_WITHIN", 0.2)
    with pytest.raises(DriverError, match=r"did not answer within 0\.2 s"):
        start(handle, handle.good())
    assert handle.driver.observe(handle.good()).phase is Phase.ABSENT


def test_the_port_is_put_in_anywhere_and_the_environment_is_added(handle, tmp_path, monkeypatch):
    monkeypatch.setenv("OF_THE_GATEWAY", "1")
    monkeypatch.setenv("PARKMETER_BOOTSTRAP_TOKEN", "not-for-servers")
    script = 'env > "$0"; echo "$1" >> "$0"; pwd >> "$0"; exec sleep 600'
    handle.launches["show"] = Launch(
        ("sh", "-c", script, str(tmp_path / "shown"), "--listen=127.0.0.1:{port}/x"),
        environment={"OF_THE_ENDPOINT": "2"},
        working_folder=tmp_path,
    )
    start(handle, Spec("show"))
    shown = tmp_path / "shown"
    wait_for(
        lambda: shown.exists() and shown.read_text().endswith(f"{tmp_path}\n"), "it is written"
    )
    lines = shown.read_text().splitlines()
    assert f"--listen=127.0.0.1:{handle.record(Spec('show'))['port']}/x" in lines
    assert {"OF_THE_GATEWAY=1", "OF_THE_ENDPOINT=2"} <= set(lines)
    assert "not-for-servers" not in shown.read_text()


def test_a_server_gets_the_limit_on_open_files_that_the_gateway_was_started_with(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = tmp_path / "said"
    script = 'echo "$(ulimit -Sn) $(ulimit -Hn)" > "$0.new"; mv "$0.new" "$0"; exec sleep 600'
    with process(tmp_path / "state") as handle:
        handle.launches["show"] = Launch(("sh", "-c", script, str(said)))
        # As the gateway does after it has raised its own limit.
        handle.driver = ProcessDriver(
            handle.folder, handle.launches, open_files=min(soft, hard) // 2
        )
        start(handle, Spec("show"))
        wait_for(said.exists, "it is said")
        most = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
        assert said.read_text().split() == [str(min(soft, hard) // 2), most]


# ── Seeing ───────────────────────────────────────────────────────────────────────────────────────


def test_while_it_loads_the_reason_has_the_duration_and_the_last_log_line(handle):
    spec = handle.server("slow", "--ready-after", "600", "--say", "loading shard 1 of 2")
    start(handle, spec)
    text = "loading: loading shard 1 of 2"
    wait_for(lambda: handle.driver.observe(spec).reason == text, "its words are shown")


def test_only_200_is_ready(handle):
    spec = handle.server("slow", "--ready-after", "0.6")
    start(handle, spec)
    began = time.monotonic()
    watch(handle, spec, Phase.READY)
    assert time.monotonic() - began > 0.3


def test_one_that_takes_too_long_to_get_ready_has_failed_and_can_be_stopped(handle):
    limit = timedelta(seconds=0.5)
    spec = handle.server("slow", "--ready-after", "600", "--say", "fetching", start_timeout=limit)
    start(handle, spec)
    failed = watch(handle, spec, Phase.FAILED)[-1]
    assert failed.reason == "not ready after 0.5 s: fetching"
    server = handle.server_of(spec)
    handle.driver.stop(spec)
    assert handle.driver.observe(spec).phase is Phase.STOPPING
    watch(handle, spec, Phase.ABSENT)
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)


def test_one_that_crashed_says_so_in_its_own_words(handle):
    say = "Traceback …\nCUDA out of memory"
    spec = handle.server("bad", "--say", say, "--crash-after", "0.1")
    start(handle, spec)
    failed = watch(handle, spec, Phase.FAILED)[-1]
    assert failed.reason == "exit code 3: Traceback … | CUDA out of memory"


def test_one_that_just_ends_has_failed_too(handle):
    handle.launches["brief"] = Launch(("true",))
    start(handle, Spec("brief"))
    failed = watch(handle, Spec("brief"), Phase.FAILED)[-1]
    assert failed.reason == "it exited unexpectedly (exit code 0)"


def test_one_that_was_killed_says_so(handle):
    spec = handle.good()
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    os.kill(handle.server_of(spec), signal.SIGKILL)
    failed = watch(handle, spec, Phase.FAILED)[-1]
    assert failed.reason == "killed by SIGKILL, possibly because the machine ran out of memory"


def test_a_ready_server_too_busy_to_answer_stays_ready_for_a_new_gateway_too(handle, tmp_path):
    spec = handle.server("busy", "--mute-file", str(tmp_path / "mute"))
    start(handle, spec)
    ready = watch(handle, spec, Phase.READY)[-1]
    (tmp_path / "mute").touch()
    assert handle.driver.observe(spec) == ready
    assert ProcessDriver(handle.folder, {}).observe(spec) == ready


def test_a_server_that_hangs_while_loading_costs_the_clock_little(handle, tmp_path):
    (tmp_path / "mute").touch()
    spec = handle.server("slow", "--mute-file", str(tmp_path / "mute"))
    start(handle, spec)
    port = handle.record(spec)["port"]
    wait_for(lambda: _listens(port), "it listens")
    began = time.monotonic()
    for _ in range(20):
        assert handle.driver.observe(spec).phase is Phase.STARTING
    assert time.monotonic() - began < 1.0, "one question of half a second at most"
    (tmp_path / "mute").unlink()
    watch(handle, spec, Phase.READY)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_looking_at_what_is_ready_is_cheap(handle):
    spec = handle.good()
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    took = []
    for _ in range(300):
        began = time.thread_time()  # of this thread alone: other work on the machine is no cost
        handle.driver.observe(spec)
        took.append(time.thread_time() - began)
    # A request over HTTP alone takes longer. 0.2 ms where nothing else runs.
    assert statistics.median(took) < 0.001


def test_a_lower_version_does_not_even_reach_the_leash(handle):
    spec = handle.good()
    start(handle, spec, version=5)
    handle.driver.keep(spec, handle.now(), 4)
    assert read_json(handle.files(spec).deadline)["version"] == 5


# ── Adopting ─────────────────────────────────────────────────────────────────────────────────────


def test_a_new_driver_sees_keeps_and_stops_what_another_one_started(handle):
    spec = handle.good()
    start(handle, spec)
    ready = watch(handle, spec, Phase.READY)[-1]
    other = ProcessDriver(handle.folder, {})
    assert list(other.owned()) == ["good"]
    assert other.observe(spec) == ready
    other.keep(spec, handle.now() + timedelta(hours=1), 2)
    other.stop(spec)
    assert handle.driver.observe(spec).phase is Phase.STOPPING
    watch(handle, spec, Phase.ABSENT)


def test_an_endpoint_removed_from_the_configuration_can_still_be_stopped(handle):
    spec = handle.good()
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    handle.driver.launches = {}
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)


def test_a_command_changed_at_run_time_counts_from_the_next_start(handle):
    spec = handle.good()
    handle.driver.launches = {"good": Launch(("sh", "-c", "echo new; exit 1"))}
    start(handle, spec)
    assert watch(handle, spec, Phase.FAILED)[-1].reason == "exit code 1: new"


def test_two_endpoints_do_not_meet(handle):
    one, other = handle.server("one"), handle.server("other")
    for spec in (one, other):
        start(handle, spec)
    addresses = {watch(handle, spec, Phase.READY)[-1].address for spec in (one, other)}
    assert len(addresses) == 2
    handle.driver.stop(one)
    watch(handle, one, Phase.ABSENT)
    assert handle.driver.observe(other).phase is Phase.READY


def test_who_looks_while_it_begins_and_ends_sees_no_failure(handle):
    spec = handle.good()
    other, over, seen = ProcessDriver(handle.folder, {}), threading.Event(), set()

    def look():
        while not over.is_set():
            seen.add(other.observe(spec).phase)

    looking = [threading.Thread(target=look) for _ in range(2)]
    for thread in looking:
        thread.start()
    for version in range(1, 7):
        start(handle, spec, version=version)
        watch(handle, spec, Phase.READY)
        handle.driver.stop(spec)
        watch(handle, spec, Phase.ABSENT)
    over.set()
    for thread in looking:
        thread.join()
    assert seen == {Phase.ABSENT, Phase.STARTING, Phase.READY, Phase.STOPPING}


# ── The last lines ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log"

    def written(text):
        path.write_bytes(text.encode())
        return last_lines(str(path))

    return written


def test_no_log_has_no_last_lines(tmp_path):
    assert last_lines(str(tmp_path / "nothing")) == ""


def test_five_lines_are_quoted_and_empty_ones_left_out(log):
    assert log("1\n2\n\n3\n4\n  \n5\n6\n") == "2 | 3 | 4 | 5 | 6"


def test_lines_of_the_run_before_are_not_quoted(log):
    assert log(f"old\n{LOG_MARK}abc ---\nnew\n") == "new"
    assert log(f"old\n{LOG_MARK}abc ---\n") == ""


def test_colours_titles_and_bells_are_taken_out(log):
    assert log("\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x07plain\u202e\n") == "red plain"


def test_of_a_progress_bar_only_its_last_state_is_quoted(log):
    assert log("10%\r50%\r100%\r\n") == "100%"


def test_long_lines_are_cut_at_their_beginning(log):
    quoted = log("a" * 400 + "\n" + "b" * 400 + "\n")
    assert len(quoted) == 500
    assert quoted.startswith("…a")
    assert quoted.endswith("b" * 400)


def test_a_huge_log_is_not_read_as_a_whole(tmp_path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)  # sparse: reading all of it would take the memory of many
        file.seek(0, 2)
        file.write(b"\nthe end\n")
    assert last_lines(str(path)).endswith("the end")


def test_what_is_not_text_does_not_hurt(tmp_path):
    (tmp_path / "log").write_bytes(b"\xff\xfe ok \x00\n")
    assert "ok" in last_lines(str(tmp_path / "log"))
