"""What a command imports: its start is most of the time that a person waits for it."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.contract_server import ADMIN, ContractServer

LIST = """
import json, sys
from parkmeter.cli import run
try:
    run(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code, ended.code
standard = sys.stdlib_module_names | set(sys.builtin_module_names) | {"__main__"}
found = {name.partition(".")[0] for name in sys.modules} - standard
print(json.dumps(sorted(name for name in found if not name.startswith("_"))))
"""

STORED = {
    "--help": ["parkmeter"],
    "--version": ["parkmeter"],
    "status --help": ["parkmeter", "rich"],
    "status": ["parkmeter", "rich"],
    "status --json": ["parkmeter", "rich"],
    "top-up flan-t5 30": ["parkmeter", "rich"],
}
"""Top-level modules beyond the standard library, by command. More of them is a slower start."""


def imported(words: str, environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            f"import sys; sys.path[:0] = {sys.path!r}\n{LIST}",
            *words.split(),
        ],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("words", "stored"), STORED.items())
def test_a_command_imports_what_it_imported_before(words, stored):
    with ContractServer() as server:
        environment = {"PARKMETER_URL": server.url, "PARKMETER_TOKEN": ADMIN}
        assert imported(words, environment) == stored


def test_a_local_command_imports_neither_the_gateway_nor_its_libraries():
    assert imported("config --help", {}) == ["parkmeter"]
    loaded = imported("config check --help", {})
    assert not {"pydantic", "fastapi", "uvicorn", "httpx2"} & set(loaded)
