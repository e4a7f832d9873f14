"""The five things that are seen of each client, in the order of a meter's life."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.clients.front_door import OTHER_STORY, STORY, FrontDoor
from tests.clients.programs import PATIENCE, Program, Running, Said
from tests.clients.recipes import Recipe
from tests.support.gateway_process import eventually

COLUMNS = ("one address", "closed", "starting", "streaming", "cut")
SENTENCE = ("The meter of 'qwen' holds no time", "/endpoints/qwen/top-ups")
"""What a person must read when the meter is closed, or closes in the middle."""

FIRST_WORD = STORY.split()[0]


class Unseen(Exception):  # noqa: N818 (what a table shows, not a fault)
    """Raised when a client did not do what its page says."""


@dataclass(frozen=True)
class Client:
    """A recipe that can run: its blocks with `qwen`, and with `smol` in place of it."""

    recipe: Recipe
    qwen: Program
    smol: Program


def look(client: Client, door: FrontDoor) -> dict[str, str]:
    """Return, for each column, an empty text if it was seen and else what was seen instead.

    A client that cannot stream has no columns for it. The meter of `qwen` is closed before and
    after.
    """
    steps: dict[str, Callable[[Client, FrontDoor], None]] = {
        "closed": _closed,
        "one address": _one_address,
        "starting": _starting,
        "streaming": _streaming,
        "cut": _cut,
    }
    if client.recipe.streamed is None:
        del steps["streaming"], steps["cut"]
    seen = {}
    for column, step in steps.items():
        try:
            step(client, door)
        except (Unseen, AssertionError) as error:
            seen[column] = str(error) or type(error).__name__
        else:
            seen[column] = ""
    door.close()
    door.until_closed()
    return seen


def _closed(client: Client, _door: FrontDoor) -> None:
    """The client ends with an error, whose text is the gateway's sentence."""
    said = client.qwen.run(client.recipe.whole)
    _need(said, said.code != 0 or "closed" in client.recipe.quiet, *SENTENCE)


def _one_address(client: Client, door: FrontDoor) -> None:
    """With another model's name, and nothing else changed, another server is woken and answers."""
    door.put_smol_to_sleep()
    running = client.smol.start(client.recipe.whole)
    if client.recipe.listing is not None:
        listed = client.qwen.run(client.recipe.listing)
        _need(listed, listed.code == 0, "qwen", "smol")
    said = running.result()
    _need(said, said.code == 0, OTHER_STORY)


def _starting(client: Client, door: FrontDoor) -> None:
    """A request that arrives while the model loads is held, and then answered."""
    door.stop_starts()
    door.let_stream()  # some clients stream whatever they show
    if client.recipe.top_up is None:
        door.top_up()
    else:
        paid = client.qwen.run(client.recipe.top_up)
        _need(paid, paid.code == 0, "expires_at")
    running = client.qwen.start(client.recipe.whole)
    try:
        eventually(lambda: door.holds() or running.ended(), PATIENCE)
    finally:
        door.let_serve()
    said = running.result()
    _need(said, said.code == 0, STORY)


def _streaming(client: Client, door: FrontDoor) -> None:
    """The first word is shown while the model's server has not gone on to the second."""
    door.stop_streams()
    running = _first_word(client)
    door.let_stream()
    said = running.result()
    _need(said, said.code == 0, *STORY.split())  # an event stream has them one by one


def _cut(client: Client, door: FrontDoor) -> None:
    """A close in the middle of a stream is an error with the gateway's sentence."""
    door.stop_streams()
    running = _first_word(client)
    door.close()
    said = running.result()
    _need(said, said.code != 0 or "cut" in client.recipe.quiet, *SENTENCE)


def _first_word(client: Client) -> Running:
    running = client.qwen.start(client.recipe.streamed)
    if not running.until(FIRST_WORD):
        raise Unseen(f"no first word: {running.result().text[-600:]}")
    return running


def _need(said: Said, as_it_should: object, *phrases: str) -> None:
    if not (as_it_should and said.has(*phrases)):
        raise Unseen(f"ended with {said.code}: {said.text[-600:]}")
