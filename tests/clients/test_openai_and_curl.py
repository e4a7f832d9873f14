"""The pages of OpenAI's Python client and of curl, run as they are printed.

`make test-clients` does the same with the releases of every client.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.clients.cells import COLUMNS, Client, look
from tests.clients.front_door import FrontDoor
from tests.clients.programs import Program
from tests.clients.recipes import ADDRESS, CURL, OPENAI


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with FrontDoor(tmp_path_factory.mktemp("door")) as made:
        yield made


@pytest.mark.parametrize("recipe", [CURL, OPENAI], ids=lambda recipe: recipe.name)
def test_a_client_is_served_by_one_address_and_told_what_happens(door, tmp_path, recipe):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "TOKEN": door.token}
    qwen = Program(recipe, tmp_path / "qwen", {ADDRESS: door.url}, environment)
    assert look(Client(recipe, qwen, qwen.for_model("smol")), door) == dict.fromkeys(COLUMNS, "")
