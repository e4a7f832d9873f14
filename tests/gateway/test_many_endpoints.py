"""What one endpoint costs does not grow with the number of the others."""

import sys
from collections.abc import Callable

import pytest

from parkmeter.config.settings import Settings
from parkmeter.gateway.wiring import InForce


def steps(call: Callable[[], object]) -> int:
    """Return how many instructions of Python a call takes."""
    count = 0

    def trace(frame, event, _argument):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("ask", [InForce.resource_of, InForce.invocations_of])
def test_the_paths_of_an_endpoint_are_found_among_many_as_among_few(ask):
    def cost(endpoints: int) -> int:
        names = [f"model-{number:03}" for number in range(endpoints)]
        settings = Settings(endpoints={name: {"command": ["serve", "{port}"]} for name in names})
        in_force = InForce(settings)
        return steps(lambda: ask(in_force, names[-1]))

    assert 0 < cost(200) == cost(2)
