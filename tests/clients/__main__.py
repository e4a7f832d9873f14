"""`make test-clients`: every client's newest release on what its page prints, as a table.

`python -m tests.clients llm aider` takes those only. Ends with 1 if a client did not do what its
page says; one that cannot be installed on this machine is named, and its row stays empty.
"""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.cells import COLUMNS, Client, look
from tests.clients.free_port import free_port, listens
from tests.clients.front_door import FrontDoor
from tests.clients.install import NotToBeHadError, install
from tests.clients.programs import PATIENCE, Program
from tests.clients.recipes import ADDRESS, RECIPES, Recipe
from tests.support.gateway_process import eventually


def main(names: list[str]) -> int:
    recipes = [recipe for recipe in RECIPES if not names or recipe.name in names]
    rows = []
    with tempfile.TemporaryDirectory() as folder, FrontDoor(Path(folder) / "door") as door:
        for number, recipe in enumerate(recipes):
            rows.append(_row(recipe, Path(folder) / str(number), door))
            _say(f"{rows[-1]}")
    for row in (["client", "version", *COLUMNS], ["---"] * (2 + len(COLUMNS)), *rows):
        print("| " + " | ".join(row) + " |")
    return int(any("no" in row for row in rows))


def _row(recipe: Recipe, folder: Path, door: FrontDoor) -> list[str]:
    try:
        environment, version = install(recipe)
    except (NotToBeHadError, subprocess.TimeoutExpired) as error:
        _say(f"{recipe.name} cannot be had here: {error}")
        return [recipe.name, "not to be had here", *("" for _ in COLUMNS)]
    with client_of(recipe, folder, door, environment) as client:
        seen = look(client, door)
    for column, instead in seen.items():
        if instead:
            _say(f"{recipe.name}, {column}: {instead}")
    shown = {column: "no" if instead else "seen" for column, instead in seen.items()}
    return [recipe.name, version, *(shown.get(column, "n/a") for column in COLUMNS)]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def client_of(
    recipe: Recipe, folder: Path, door: FrontDoor, environment: dict[str, str]
) -> Iterator[Client]:
    """Give a client that is ready to run, and whatever its page starts in front of the gateway."""
    replaced = {ADDRESS: door.url}
    port = 0
    if recipe.port is not None:
        port = free_port()
        replaced = {str(recipe.port): str(port), **replaced}
    environment = {**environment, "TOKEN": door.token}
    qwen = Program(recipe, folder / "qwen", replaced, environment)
    smol = qwen.for_model("smol")
    if recipe.service is None:
        yield Client(recipe, qwen, smol)
        return
    service = qwen.start(recipe.service, "sh")
    try:
        eventually(lambda: listens(port) or service.ended(), PATIENCE * 2)
        assert not service.ended(), service.result().text
        yield Client(recipe, qwen, smol)
    finally:
        service.stop()


if __name__ == "__main__":
    # Ended from outside it still stops the gateway and its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
