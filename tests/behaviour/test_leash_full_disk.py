"""A full disk, for real: stopping never needs it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkmeter.core.meter import Phase
from parkmeter.leash.files import read_json, write_json
from tests.support.driver_fixtures import ProcessHandle, process, start, watch
from tests.support.gateway_process import GatewayProcess, alive, eventually, ping_config

_SIZE = 6 * 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of six megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=700", "parkmeter-test", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill a disk to its last byte, until the end of the block."""
    file = disk / "ballast"
    with file.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(b"x" * 65536) == 65536:
            pass
        while ballast.write(b"x"):
            pass
    with pytest.raises(OSError, match="No space left"):
        (disk / "more").write_bytes(b"x" * 8192)
    try:
        yield
    finally:
        file.unlink()
        (disk / "more").unlink(missing_ok=True)


@pytest.fixture
def handle(disk: Path) -> Iterator[ProcessHandle]:
    with process(disk / "state") as made:
        yield made


def test_a_file_is_written_over_in_place(disk):
    path = str(disk / "file")
    write_json(path, {"until": 1, "room": "    "})
    with full(disk):
        write_json(path, {"until": 23456})
        assert read_json(path) == {"until": 23456}
        with pytest.raises(OSError, match="No space left"):
            write_json(str(disk / "other"), {"until": 1})


def test_a_deadline_still_moves(handle, disk):
    spec = handle.good()
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    with full(disk):
        handle.driver.keep(spec, handle.now(), 2)
        assert watch(handle, spec, Phase.ABSENT)[-1].reason.startswith("time used up")


def test_a_stop_works_and_its_end_is_on_record(handle, disk):
    spec = handle.good()
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    with full(disk):
        handle.driver.stop(spec)
        watch(handle, spec, Phase.ABSENT)
        assert handle.record(spec)["state"] == "stopped"


@pytest.fixture
def gateway(disk: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(disk / "state", ping_config()) as made:
        made.start()
        made.until("running")
        yield made


def test_an_eject_on_a_full_disk_ends_the_server_and_is_recorded_later(gateway, disk):
    (run,) = gateway.records()
    with full(disk):
        answer = gateway.request("POST", "/endpoints/flan-t5/eject")
        assert answer.status == 200, answer.json
        eventually(lambda: not alive(run["server"]))
        shown = eventually(
            lambda: (
                (one := gateway.endpoint())["status"] == "stopped"
                and "not recorded yet" in one["reason"]
                and one
            )
        )
        assert shown["seconds_left"] == 0
        assert gateway.request("POST", "/flan", {}).status == 402
        assert gateway.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 1}).status == 503
        page = gateway.request("GET", "/metrics").body.decode()
        assert 'parkmeter_endpoint_trouble{endpoint="flan-t5"} 1' in page
    eventually(lambda: gateway.endpoint()["reason"] == "ejected: top up to start it")
    kinds = [
        line["kind"] for line in gateway.request("GET", "/endpoints/flan-t5/journal").json["lines"]
    ]
    assert kinds.count("eject") == 1


def test_a_gateway_killed_before_the_record_does_not_start_it_again(gateway, disk):
    (run,) = gateway.records()
    with full(disk):
        assert gateway.request("POST", "/endpoints/flan-t5/eject").status == 200
        eventually(lambda: not alive(run["server"]))
        gateway.kill()
    gateway.start()
    eventually(lambda: gateway.endpoint()["reason"] == "ejected: top up to start it")
    lines = gateway.request("GET", "/endpoints/flan-t5/journal").json["lines"]
    kinds = [line["kind"] for line in lines]
    assert kinds.count("eject") == 1
    assert kinds.count("start") == 1
