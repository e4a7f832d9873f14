"""Completion: what can follow, where the scripts go, and bash itself."""

import os
import shutil
import subprocess
import sys

import pytest

from parkmeter.cli import app
from parkmeter.cli.completion import SHELLS, candidates, install
from tests.support.command import run_command
from tests.support.contract_server import ADMIN, ContractServer


def words(typed: list[str], last: str = "") -> list[str]:
    return [word for word, _ in candidates(app, typed, last)]


def test_commands_and_flags_are_completed():
    assert words([], "re") == ["receipt", "reload", "restore"]
    assert words(["token"]) == ["create", "list", "rotate", "revoke"]
    assert words([], "--v") == ["--version"]
    assert words(["status"], "--wa") == ["--watch"]
    assert words(["token", "create"], "--sp") == ["--speaks-for-others"]
    assert words(["nonsense"]) == []
    assert words(["token", "nonsense"], "-") == []


def test_names_are_completed_where_a_name_belongs(monkeypatch):
    with ContractServer() as server:
        monkeypatch.setenv("PARKMETER_URL", server.url)
        monkeypatch.setenv("PARKMETER_TOKEN", ADMIN)
        assert words(["status"], "fl") == ["flan-t5"]
        assert words(["status"], "x") == []
        assert words(["status", "--json"]) == ["flan-t5"]
        assert words(["status", "flan-t5"]) == []
        assert words(["top-up", "--key", "k"]) == ["flan-t5"]
        assert words(["top-up", "--key"]) == []
        assert words(["token", "create", "ada", "--endpoint"]) == ["flan-t5"]
        assert words(["status", "--url", "http://127.0.0.1:9"]) == []


@pytest.mark.parametrize(
    ("environment", "answer"),
    [
        (
            {
                "_PARKMETER_COMPLETE": "complete_bash",
                "COMP_WORDS": "parkmeter ba",
                "COMP_CWORD": "1",
            },
            "backup\n",
        ),
        (
            {
                "_PARKMETER_COMPLETE": "complete_fish",
                "_TYPER_COMPLETE_ARGS": "parkmeter ba",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
            "backup\tBack up the store; a running gateway is not disturbed.\n",
        ),
        (
            {"_PARKMETER_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "parkmeter token rev"},
            '_arguments \'*: :(("revoke":"Revoke a token at once."))\'\n',
        ),
        (
            {"_PARKMETER_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "parkmeter logs a "},
            "_files\n",
        ),
    ],
)
def test_scripts_of_earlier_releases_are_answered(environment, answer):
    shown = subprocess.run(
        [sys.executable, "-m", "parkmeter"],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert shown == answer


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_installed_once(tmp_path, monkeypatch, shell):
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    settings = SHELLS[shell].settings
    if settings:
        (tmp_path / settings).write_text("alias a=b")
    install(tmp_path)
    install(tmp_path)
    assert (tmp_path / SHELLS[shell].file).read_text() == SHELLS[shell].script
    assert run_command("--show-completion").stdout == SHELLS[shell].script
    if settings:
        assert (tmp_path / settings).read_text() == f"alias a=b\n{SHELLS[shell].line}\n"


def test_a_shell_without_completion_is_refused(monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/dash")
    done = run_command("--install-completion")
    assert done.exit_code == 2
    assert "There is completion for bash, zsh, fish; $SHELL is 'dash'." in done.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_by_the_script(tmp_path):
    program = tmp_path / "parkmeter"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m parkmeter "$@"\n')
    program.chmod(0o700)
    typed = "COMP_WORDS=(parkmeter token r); COMP_CWORD=2; _parkmeter_completion parkmeter"
    shown = subprocess.run(
        [
            "bash",
            "--norc",
            "-c",
            f'{SHELLS["bash"].script}\n{typed}\nprintf "%s\\n" "${{COMPREPLY[@]}}"',
        ],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert shown.split() == ["rotate", "revoke"]
