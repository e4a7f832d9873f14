"""The cost of `/v1`, where the model is named in the body.

A chat of 1 KB to `/v1/chat/completions`, and the same to the endpoint's own path, in turn; each
round is a gateway of its own, since a process keeps what it happened to be given.
"""

import json

from benchmarks.figures import Effort, Figure, Measured, differences
from benchmarks.requests import Prompt
from benchmarks.sides import in_turn, ours

TEXT = "It is 6 pm and a GPU runs. " * 34
CHAT = {"model": "flan", "messages": [{"role": "user", "content": TEXT}], "max_tokens": 64}
OWN_PATH, V1 = "/flan/v1/chat/completions", "/v1/chat/completions"
CLIENTS = 16


def measure(effort: Effort) -> Measured:
    """Compare both paths, on several gateways one after the other."""
    found: dict[str, list[float]] = {OWN_PATH: [], V1: []}
    for _ in range(effort.rounds(5)):
        with ours() as side:
            body = json.dumps(CHAT).encode()
            ways = {path: (side, Prompt(path, body)) for path in found}
            for path, cpu in in_turn(ways, CLIENTS, effort).items():
                found[path].append(cpu)
    return Measured(
        (
            Figure("1 KB", "CPU at its own path", tuple(found[OWN_PATH]), "µs"),
            Figure("1 KB", "CPU at /v1", tuple(found[V1]), "µs"),
            Figure("1 KB", "added", differences(found[V1], found[OWN_PATH]), "µs"),
        )
    )
