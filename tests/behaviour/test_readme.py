"""The README's commands, played in order on a fresh state, as a person would type them."""

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
BLOCKS = [block.strip().splitlines() for language, block in FENCED if not language]
(PYTHON,) = (block for language, block in FENCED if language == "python")
COMMANDS = [line for block in BLOCKS for line in block if line.startswith(".venv/bin/parkmeter ")]
ENDLESS = ("--watch", "--follow")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("readme") / "state").start() as made:
        yield made


def typed(gateway: GatewayProcess, command: str) -> subprocess.Popen[str]:
    words = shlex.split(command, comments=True)[1:]
    return subprocess.Popen(
        [sys.executable, "-m", "parkmeter", *words, "--state", str(gateway.state)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_every_command_of_the_readme_works_in_its_order(gateway: GatewayProcess) -> None:
    assert len(COMMANDS) >= 10
    said = {}
    for command in COMMANDS:
        process = typed(gateway, command)
        first = ""
        if any(flag in command for flag in ENDLESS):
            first = process.stdout.readline() if process.stdout else ""
            process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        ended = (0, 130) if any(flag in command for flag in ENDLESS) else (0,)
        assert process.returncode in ended, f"{command}: {errors}"
        said[command.removeprefix(".venv/bin/parkmeter ").split()[0]] = first + output
    assert "flan-t5" in said["status"]
    assert "fox" in said["invoke"]
    assert "top-up" in said["journal"]
    assert "ada" in said["token"]
    assert gateway.endpoint()["status"] in ("stopping", "stopped")


def test_the_curl_commands_that_up_prints_work_as_printed(gateway: GatewayProcess) -> None:
    gateway.top_up(30)
    gateway.until("running")
    printed = [line.strip() for line in gateway.output().splitlines() if " curl " in f" {line}"]
    assert len(printed) == 3
    token = f"TOKEN={shlex.quote((gateway.state / 'token').read_text().strip())}"
    answers = [
        subprocess.run(
            ["bash", "-c", f"{token}; {line}"], capture_output=True, text=True, check=True
        ).stdout
        for line in printed
    ]
    assert "EndpointExpiry" in answers[0]
    assert "EndpointExpiry" in answers[1]
    assert "generated_texts" in answers[2]


def test_openai_s_client_works_as_the_readme_shows_it(gateway: GatewayProcess) -> None:
    gateway.until("running")
    token = (gateway.state / "token").read_text().strip()
    code = PYTHON.replace("http://127.0.0.1:8080", gateway.url).replace("pm_x6wC1…", token)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "fox" in done.stdout


def test_the_readme_has_at_most_120_lines() -> None:
    assert len(README.splitlines()) <= 120
