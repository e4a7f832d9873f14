"""The commands for files of this machine."""

import json
from pathlib import Path

import pytest

from parkmeter.config.schema import config_schema
from tests.support.command import run_command as run

RIGHT = """
[gateway]
port = 9090
[endpoints.flan]
model = "demo"
[endpoints.qwen]
command = ["vllm", "serve", "Qwen/Qwen2.5-7B-Instruct", "--port", "{port}", "--and", "much more"]
price_per_hour = 1.2
"""
WRONG = '[endpoints.a]\nmodel = "demo"\ndrain = 3\nmax_waiting = -1\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("CONFIG", "STATE", "PORT", "HOST"):
        monkeypatch.delenv(f"PARKMETER_{name}", raising=False)
    monkeypatch.setenv("COLUMNS", "90")
    return tmp_path / "parkmeter.toml"


def test_config_check_shows_the_settings_one_line_per_endpoint(file):
    file.write_text(RIGHT)
    done = run("config", "check", file)
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert ["flan", "/flan", "demo", "600", "s", "unknown", "60", "min", "30", "s"] in lines
    (qwen,) = [line for line in lines if line[0] == "qwen"]
    assert qwen[1:4] == ["/qwen", "vllm", "serve"]
    assert "much more" not in done.stdout
    assert "$1.20" in qwen
    assert "127.0.0.1 port 9090" in done.stdout


def test_config_check_shows_what_starts_and_stops_an_endpoint_automatically(file):
    file.write_text(
        RIGHT + 'hours = "Mon-Fri 09:00-17:00 UTC"\nidle_minutes = 20\nwake_minutes = 15\n'
    )
    output = " ".join(run("config", "check", file).stdout.split())
    assert "qwen starts on schedule Mon-Fri 09:00-17:00 UTC, stops when idle for 20 min" in output
    assert "starts on a prompt for 15 min" in output
    assert "flan starts" not in output


def test_config_check_warns_of_a_path_that_has_become_the_gateways_own(file):
    file.write_text('[endpoints.audit]\nmodel = "demo"')
    done = run("config", "check", file)
    assert done.exit_code == 0
    assert "audit  /audit is the gateway's own path now; set another api_resource" in done.stdout
    assert "/endpoints/audit/invocations" in done.stdout
    document = json.loads(run("config", "check", file, "--json").stdout)
    assert document["by_name_only"] == {"audit": "audit"}


def test_config_check_finds_the_file_by_the_variable_or_in_this_folder(file, monkeypatch):
    assert "There is no configuration file parkmeter.toml" in run("config", "check").stderr
    file.write_text(RIGHT)
    assert run("config", "check").exit_code == 0
    monkeypatch.setenv("PARKMETER_CONFIG", str(file.with_name("other.toml")))
    done = run("config", "check")
    assert done.exit_code == 1
    assert "other.toml" in done.stderr


def test_config_check_takes_its_file_as_up_does(file):
    other = file.with_name("other.toml")
    other.write_text(RIGHT)
    assert "/qwen" in run("config", "check", "--config", other).stdout
    twice = run("config", "check", other, "--config", other)
    assert twice.exit_code == 2
    assert "Name one file" in twice.stderr


def test_config_check_lists_mistakes_one_a_line_and_as_json(file):
    file.write_text(WRONG)
    done = run("config", "check", file)
    assert done.exit_code == 1
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == [
        f"{file}:3",
        f"{file}:4",
    ]
    shown = json.loads(run("config", "check", file, "--json").stdout)
    assert shown["valid"] is False
    assert [(one["line"], one["key"]) for one in shown["mistakes"]] == [
        (3, "endpoints.a.drain"),
        (4, "endpoints.a.max_waiting"),
    ]


def test_config_check_as_json_has_every_setting_and_no_token(file, monkeypatch):
    monkeypatch.setenv("PARKMETER_BOOTSTRAP_TOKEN", "a-secret-of-16-or-more")
    file.write_text(RIGHT)
    done = run("config", "check", file, "--json")
    shown = json.loads(done.stdout)
    assert shown["valid"] is True
    assert shown["endpoints"]["qwen"]["drain_seconds"] == 30
    assert "a-secret" not in done.stdout


def test_config_schema_prints_the_schema():
    assert json.loads(run("config", "schema").stdout) == config_schema()


def test_a_reload_without_a_gateway_fails_also_as_json(tmp_path):
    done = run("reload", "--state", tmp_path, "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["code"] == "no_gateway"


def test_a_reload_finds_the_folder_that_a_file_names(file, tmp_path):
    file.write_text(f'[gateway]\nstate = "{tmp_path}/there"\n' + RIGHT.replace("[gateway]\n", ""))
    assert f"{tmp_path}/there" in run("reload", "--config", file).stderr
    file.write_text(WRONG)
    assert "parkmeter.toml:3" in run("reload", "--config", file).stderr
