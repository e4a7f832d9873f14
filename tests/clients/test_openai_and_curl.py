"""The pages of OpenAI's Python client and of curl, run as they are printed.

`make test-clients` does the same with the releases of every client.
"""

import os

import pytest

from tests.clients.cells import COLUMNS, Client, look
from tests.clients.front_door import FrontDoor
from tests.clients.inside import InsideProgram
from tests.clients.programs import Program
from tests.clients.recipes import ADDRESS, CURL, OPENAI

ALL_SEEN = dict.fromkeys(COLUMNS, "")


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with FrontDoor(tmp_path_factory.mktemp("door")) as made:
        yield made


def environment(door):
    return {"PATH": os.environ["PATH"], "TOKEN": door.token}


def test_curl_is_served_by_one_address_and_told_what_happens(door, tmp_path):
    qwen = Program(CURL, tmp_path / "qwen", {ADDRESS: door.url}, environment(door))
    assert look(Client(CURL, qwen, qwen.for_model("smol")), door) == ALL_SEEN


def test_openai_is_served_by_one_address_and_told_what_happens(door, tmp_path, monkeypatch):
    qwen = InsideProgram(OPENAI, tmp_path / "qwen", {ADDRESS: door.url}, environment(door))
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, qwen.environment[name])
    assert look(Client(OPENAI, qwen, qwen.for_model("smol")), door) == ALL_SEEN
