"""What a model server does not get to see of a real gateway."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from parkmeter.config.load import load_settings
from parkmeter.errors import ConfigError
from tests.support.gateway_process import GatewayProcess, ping_config

HOOK = '\n[[notify.webhooks]]\nurl = "http://127.0.0.1:9/"\nsecret = "env:HOOK_SIGNATURE"\n'
SECRETS = {"HOOK_SIGNATURE": "sixteen-characters", "OTHER_API_KEY": "another-secret"}


@pytest.fixture
def config(tmp_path: Path) -> str:
    return ping_config("--environment-file", str(tmp_path / "seen")) + HOOK


FEW_FILES = ("sh", "-c", 'ulimit -Sn 300; exec "$@"', "sh")
"""Begins the command line of a gateway whose soft limit on open files is low."""


def test_a_server_sees_no_secret_of_the_gateway_and_the_start_names_them(config, tmp_path):
    state = tmp_path / "state"
    with GatewayProcess(state, config, environment=SECRETS, through=FEW_FILES) as gateway:
        gateway.start()
        gateway.until("running")
        seen = (tmp_path / "seen").read_text()
        for secret in (*SECRETS.values(), "PARKMETER_BOOTSTRAP_TOKEN"):
            assert secret not in seen
        assert "PATH=" in seen
        line = next(one for one in gateway.output().splitlines() if "not passed on" in one)
        assert "HOOK_SIGNATURE, OTHER_API_KEY" in line
        assert "environment_from" in line
        assert "sixteen-characters" not in gateway.output()
        if sys.platform == "linux":
            # Neither does it inherit the limit that the gateway raised for itself.
            server, raised = gateway.records()[0]["server"], gateway.process.pid
            assert resource.prlimit(server, resource.RLIMIT_NOFILE)[0] == 300
            assert resource.prlimit(raised, resource.RLIMIT_NOFILE)[0] > 300


def test_the_check_of_a_configuration_names_them_too(config, tmp_path):
    file = tmp_path / "parkmeter.toml"
    file.write_text(config)
    command = [sys.executable, "-m", "parkmeter", "config", "check", str(file)]
    environment = {**os.environ, **SECRETS}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "HOOK_SIGNATURE" in shown.stdout
    assert "OTHER_API_KEY" in shown.stdout
    asked = [*command, "--json"]
    document = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(document.stdout)["held_back"]["HOOK_SIGNATURE"] == ["flan-t5"]


def test_a_variable_named_for_an_endpoint_is_not_held_back(config, tmp_path):
    file = tmp_path / "parkmeter.toml"
    file.write_text(config.replace(HOOK, '\nenvironment_from = ["OTHER_API_KEY"]\n' + HOOK))
    settings = load_settings(config=file, environment=SECRETS)
    assert settings.held_back(SECRETS) == {"HOOK_SIGNATURE": ("flan-t5",)}


def test_a_user_needs_a_command(tmp_path):
    file = tmp_path / "parkmeter.toml"
    file.write_text('[endpoints.a]\nmodel = "demo"\nuser = "nobody"\n')
    with pytest.raises(ConfigError, match="user needs command"):
        load_settings(config=file)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_the_gateways_own_process_is_closed_to_others_of_its_user():
    code = (
        "import ctypes; from parkmeter.gateway.protection import protect; protect();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "0\n"
