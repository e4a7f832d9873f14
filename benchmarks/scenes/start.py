"""From `parkmeter up` to the first generated text.

A fresh state folder each time: the embedded model is started and asked once; no network.
"""

import time

from benchmarks.clients import ask, request
from benchmarks.figures import Effort, Figure, Measured
from benchmarks.gateway import gateway

STORY = {"text_inputs": "write a story about beautiful weather on a tropical island."}
PROMPT = request("POST", "/flan", STORY, "Prefer: wait=30")


def measure(effort: Effort) -> Measured:
    """Start gateways one after the other."""
    whole, answering, memory = [], [], []
    for _ in range(effort.rounds(5)):
        began = time.perf_counter()
        with gateway(None, core=None) as running:
            answering.append(time.perf_counter() - began)
            assert b"generated_texts" in ask(running.port, PROMPT).body
            whole.append(time.perf_counter() - began)
            memory.append(running.memory() / 2**20)
    row = "parkmeter up"
    return Measured(
        (
            Figure(row, "to the first generated text", tuple(whole), "s"),
            Figure(row, "until it listens", tuple(answering), "s"),
            Figure(row, "the gateway's memory", tuple(memory), "MB"),
        )
    )
