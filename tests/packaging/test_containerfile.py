"""The container file, checked without building it: all that it names exists."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from parkmeter.cli import app
from parkmeter.config.load import load_settings
from tests.support.gateway_process import GatewayProcess, ping_config

ROOT = Path(__file__).parents[2]
KNOWN = {
    *(
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "RUN",
        "STOPSIGNAL",
    ),
    *("USER", "VOLUME", "WORKDIR"),
}


@pytest.fixture
def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def last(instructions: list[tuple[str, str]], word: str) -> str:
    return [rest for known, rest in instructions if known == word][-1]


def test_it_has_known_instructions_only_and_begins_with_an_image(instructions):
    assert {word for word, _ in instructions} <= KNOWN
    assert [word for word, _ in instructions[:2]] == ["ARG", "FROM"]


def test_all_its_stages_have_the_one_base_image_whose_digest_can_be_set(instructions):
    assert [rest.partition("=")[0] for word, rest in instructions if word == "ARG"] == ["BASE"]
    stages = [rest.split()[0] for word, rest in instructions if word == "FROM"]
    assert stages == ["${BASE}", "${BASE}"]


def test_what_it_installs_is_pinned_by_hashes(instructions):
    runs = [rest for word, rest in instructions if word == "RUN" and "pip install" in rest]
    assert ["--require-hashes" in run for run in runs] == [True, False]
    assert {"--no-deps", "--no-build-isolation"} <= set(runs[1].split())


def test_what_it_copies_is_in_the_repository_or_in_the_first_stage(instructions):
    stages = {rest.split()[-1] for word, rest in instructions if word == "FROM" and " AS " in rest}
    for copy in [shlex.split(rest) for word, rest in instructions if word == "COPY"]:
        if copy[0].startswith("--from="):
            assert copy[0].removeprefix("--from=") in stages
        else:
            assert all((ROOT / source).exists() for source in copy[:-1])
    copied = " ".join(rest for word, rest in instructions if word == "COPY")
    assert {"pyproject.toml", "README.md", "LICENSE"} <= set(copied.split())


def test_its_shell_commands_are_valid(instructions):
    for word, rest in instructions:
        if word == "RUN":
            subprocess.run(["sh", "-n", "-c", rest], check=True)


def test_it_runs_without_privileges_on_a_state_folder_of_its_own(instructions):
    environment = dict(pair.split("=", 1) for pair in shlex.split(last(instructions, "ENV")))
    settings = load_settings(environment=environment).gateway
    user, group = last(instructions, "USER").split(":")
    assert user.isdigit()
    assert group.isdigit()
    accounts = next(rest for word, rest in instructions if "useradd" in rest)
    assert f"--uid {user} " in accounts
    assert f"--gid {group} " in accounts
    assert str(settings.state) == last(instructions, "VOLUME")
    assert str(settings.port) == last(instructions, "EXPOSE")
    assert settings.host == "0.0.0.0"
    words = json.loads(last(instructions, "ENTRYPOINT")) + json.loads(last(instructions, "CMD"))
    assert words == ["parkmeter", "up"]
    app.commands["up"].parse(words[2:])


def test_its_health_check_detects_a_gateway_that_does_not_answer(instructions, tmp_path):
    health = last(instructions, "HEALTHCHECK")
    command = json.loads(health.partition("CMD ")[2])
    gateway = GatewayProcess(tmp_path / "state", ping_config()).start()

    def checked() -> int:
        return subprocess.run(
            [sys.executable, *command[1:]],
            env={"PARKMETER_PORT": str(gateway.address[1])},
            capture_output=True,
            timeout=30,
            check=False,
        ).returncode

    assert checked() == 0
    gateway.stop()
    assert checked() != 0


def test_podman_is_asked_for_the_format_that_has_a_health_check_or_given_another(tmp_path):
    page = (ROOT / "packaging" / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^podman build --format docker ", page, re.MULTILINE)
    (command,) = re.findall(r"--health-cmd '(.*?)'", page)
    program, *words = shlex.split(command)
    assert program == "parkmeter"
    with GatewayProcess(tmp_path / "state", ping_config()).start() as gateway:

        def checked() -> int:
            return subprocess.run(
                [sys.executable, "-m", "parkmeter", *words],
                env={"PARKMETER_STATE": str(gateway.state)},
                capture_output=True,
                timeout=30,
                check=False,
            ).returncode

        assert checked() == 0
        gateway.stop()
        assert checked() != 0
