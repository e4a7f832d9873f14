"""The systemd unit, checked by systemd itself, the real command line and a real gateway."""

import configparser
import contextlib
import ipaddress
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from parkmeter.cli import app
from tests.support import filtered
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


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_rates_its_exposure_as_low():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "Overall exposure level" not in done.stdout:
        pytest.skip(f"this systemd rates no files: {done.stderr.strip()}")
    (level,) = re.findall(r"Overall exposure level[^:]*: ([\d.]+)", done.stdout)
    assert float(level) < 3.0


def test_what_a_gateway_and_its_servers_may_use_is_limited(service):
    assert int(service["LimitNOFILE"]) >= 65536
    assert int(service["TasksMax"]) >= 4096
    assert int(service["OOMScoreAdjust"]) < 0
    assert service["LimitCORE"] == "0"
    assert service["ProtectProc"] == "invisible"
    assert service["RestrictNamespaces"] == "yes"
    families = {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}
    assert set(service["RestrictAddressFamilies"].split()) == families
    assert service["SystemCallFilter"].split()[0] == "@system-service"
    assert service["SystemCallErrorNumber"] == "EPERM"
    denied = {ipaddress.ip_address(word) for word in service["IPAddressDeny"].split()}
    assert denied == {ipaddress.ip_address(one) for one in ("169.254.169.254", "fd00:ec2::254")}


def test_the_gateway_may_use_the_control_group_that_it_is_given(service):
    assert service["Delegate"] == "yes"
    assert "ProtectControlGroups" not in service


def test_what_servers_need_that_outlive_a_crash_stays(service):
    assert {"RemoveIPC", "PrivateNetwork", "PrivateDevices"} & set(service) == set()


@pytest.mark.parametrize(("key", "command"), [("ExecStart", "up"), ("ExecReload", "reload")])
def test_the_command_line_accepts_its_commands(service, key, command):
    program, *words = shlex.split(service[key])
    assert Path(program).name == "parkmeter"
    assert words[0] == command
    assert (
        app.commands[command].parse(words[1:])["state"]
        == Path("/var/lib") / service["StateDirectory"]
    )


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


def test_a_gateway_gives_signs_of_life_until_it_hangs(tmp_path, service):
    assert int(service["WatchdogSec"]) >= 30
    gateway = GatewayProcess(tmp_path / "state", ping_config())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        address = tmp_path / "notify"
        systemd.bind(str(address))
        systemd.settimeout(30)
        gateway.environment |= {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "600000"}
        with gateway.start():
            assert systemd.recv(100) == b"READY=1"
            assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            gateway.process.send_signal(signal.SIGSTOP)
            try:
                systemd.settimeout(1)
                late = 0
                with contextlib.suppress(TimeoutError):
                    while systemd.recv(100):
                        late += 1
                assert late <= 5  # sent before it was stopped
            finally:
                gateway.process.send_signal(signal.SIGCONT)
            systemd.settimeout(30)
            assert systemd.recv(100) == b"WATCHDOG=1"


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or not filtered.is_possible(),
    reason="needs systemd-analyze and libseccomp",
)
def test_a_gateway_and_the_embedded_model_work_under_its_filter_of_system_calls(tmp_path, service):
    through = filtered.through(service["SystemCallFilter"].split())
    probe = "import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0)"
    assert subprocess.run([*through, sys.executable, "-c", probe], check=False).returncode == 0
    with GatewayProcess(tmp_path / "state", through=through).start() as gateway:
        gateway.until("running", seconds=60)
        prompt = {"text_inputs": "Write about the weather.", "max_length": 20}
        answer = gateway.request("POST", "/flan", prompt)
        assert answer.status == 200
        assert answer.json["generated_texts"]
        topped = gateway.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5})
        assert topped.status == 201
        assert gateway.request("POST", "/endpoints/flan-t5/eject").status == 200
        gateway.until("stopped")
        assert gateway.stop() == 0
