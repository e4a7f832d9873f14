"""Beside one token that asks without pause.

512 connections of one token each have a prompt under way all the time. Meanwhile another token asks
a prompt every 10 ms, and control routes are called a few times a second, the eject on a connection
of its own as the command line does. Each round has a gateway of its own.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.clients import Client, ask, request
from benchmarks.figures import Effort, Figure, Measured, percentile
from benchmarks.gateway import Gateway, endpoint, gateway
from benchmarks.processes import LOAD_CORE, on_core
from benchmarks.requests import Prompt
from benchmarks.wrk import Load, load

CROWD = 512
ROW = f"beside {CROWD} loops of one token"
WARM_SECONDS = 0.5
ANOTHERS_PROMPT = {"text_inputs": "Write a story about the weather.", "max_length": 50}

Waits = dict[str, list[float]]
"""Milliseconds that the requests of each kind took."""


def measure(effort: Effort) -> Measured:
    """Let the crowd ask, and time the others."""
    rounds: list[Waits] = []
    rates = []
    for _ in range(effort.rounds(3)):
        config = "[gateway]\nchanges_per_second = 1000000\nchanges_burst = 1000000\n"
        config += endpoint("flan") + endpoint("spare")
        with gateway(config) as running:
            running.serve("flan")
            crowd, waits = _beside_a_crowd(running, effort.seconds(6.0))
        rates.append(crowd.rate)
        rounds.append(waits)
    return Measured(tuple(_figures(rates, rounds)))


def _figures(rates: list[float], rounds: list[Waits]) -> Iterator[Figure]:
    yield Figure(ROW, "the crowd's prompts/s", tuple(rates))
    for kind, share, column in (
        ("prompt", 0.5, "another's prompt, p50"),
        ("prompt", 0.99, "another's prompt, p99"),
        ("status", 0.99, "status, p99"),
        ("top-up", 0.99, "top-up, p99"),
        ("eject", 1.0, "eject, longest"),
    ):
        yield Figure(ROW, column, tuple(percentile(one[kind], share) for one in rounds), "ms")


def _beside_a_crowd(running: Gateway, seconds: float) -> tuple[Load, Waits]:
    """Return what the crowd got, and what the others waited."""
    made = running.ask("POST", "/tokens", {"name": "crowd", "scopes": ["invoke"]})
    crowd = Prompt("/flan", token=made["token"])
    port, waits, over = running.port, Waits(), threading.Event()
    prompt = request("POST", "/flan", ANOTHERS_PROMPT)
    status = request("GET", "/endpoints/flan")
    top_up = request("POST", "/endpoints/flan/top-ups", {"minutes": 0.02})
    with on_core(LOAD_CORE), ThreadPoolExecutor(5) as pool:
        asking = pool.submit(load, port, crowd, CROWD, seconds + 2 * WARM_SECONDS)
        time.sleep(WARM_SECONDS)
        others = {
            "prompt": pool.submit(_repeat, port, prompt, 0.01, over),
            "status": pool.submit(_repeat, port, status, 0.1, over),
            "top-up": pool.submit(_repeat, port, top_up, 0.2, over),
            "eject": pool.submit(_eject, port, over),
        }
        over.wait(seconds)
        over.set()
        waits = {kind: future.result() for kind, future in others.items()}
        return asking.result(), waits


def _repeat(port: int, message: bytes, pause: float, over: threading.Event) -> list[float]:
    """Send a request over and over on one connection, with a pause after each answer."""
    client, taken = Client(port), []
    while not taken or not over.wait(pause):
        taken.append(1000 * client.ask(message).seconds)
    client.close()
    return taken


def _eject(port: int, over: threading.Event) -> list[float]:
    """Top up and eject an endpoint over and over; return what the ejects took."""
    taken: list[float] = []
    while not taken or not over.is_set():
        ask(port, request("POST", "/endpoints/spare/top-ups", {"minutes": 10}))
        over.wait(0.5)
        taken.append(1000 * ask(port, request("POST", "/endpoints/spare/eject", {})).seconds)
    return taken
