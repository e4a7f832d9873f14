"""The systemd unit, checked by systemd itself, the real command line and a real gateway."""

import configparser
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from parkmeter.cli import app
from tests.support.gateway_process import GatewayProcess, ping_config

UNIT = Path(__file__).parents[2] / "packaging" / "parkmeter.service"


@pytest.fixture
def service() -> configparser.SectionProxy:
    unit = configparser.RawConfigParser(strict=True)
    unit.optionxform = str
    unit.read(UNIT)
    return unit["Service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_in_it(tmp_path):
    program = tmp_path / "parkmeter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/parkmeter/bin/parkmeter", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert complaints == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("key", "command"), [("ExecStart", "up"), ("ExecReload", "reload")])
def test_the_command_line_accepts_its_commands(service, key, command):
    program, *words = shlex.split(service[key])
    assert Path(program).name == "parkmeter"
    assert words[0] == command
    found = get_command(app).commands[command]
    parsed = found.make_context(command, words[1:])
    assert parsed.params["state"] == Path("/var/lib") / service["StateDirectory"]


def test_a_crash_leaves_the_leashes_and_a_stop_has_the_time_it_needs(service):
    assert service["KillMode"] == "process"
    assert service["Restart"] == "always"
    assert service["OOMPolicy"] == "continue"
    assert service["StateDirectoryMode"] == "0700"
    assert int(service["TimeoutStopSec"]) >= 60


def test_the_gateway_notifies_systemd_when_it_is_ready_and_when_it_stops(tmp_path, service):
    assert service["Type"] == "notify"
    gateway = GatewayProcess(tmp_path / "state", ping_config())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        address = tmp_path / "notify"
        systemd.bind(str(address))
        systemd.settimeout(30)
        gateway.environment["NOTIFY_SOCKET"] = str(address)
        gateway.start(wait=False)
        try:
            assert systemd.recv(100) == b"READY=1"
            assert gateway.request("GET", "/health").status == 200
            done = subprocess.run(
                [sys.executable, "-m", "parkmeter", "reload", "--state", str(gateway.state)],
                check=False,
                timeout=60,
            )
            assert done.returncode == 0
        finally:
            assert gateway.stop() == 0
        assert systemd.recv(100) == b"STOPPING=1"
