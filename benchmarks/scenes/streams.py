"""Streams of 100 small events.

The stub sends an event every two milliseconds to each of 16 clients, so that a gateway handles each
event by itself. The first event is timed with one client.
"""

import statistics
from collections import defaultdict
from contextlib import ExitStack

from benchmarks.clients import Answer, closed_loop, request
from benchmarks.figures import Effort, Figure, Measured, differences, ratios
from benchmarks.peers import HAPROXY, NGINX
from benchmarks.processes import LOAD_CORE, on_core
from benchmarks.sides import Side, Sides

CLIENTS, EVENTS = 16, 100
OURS, WITHOUT_MEMO = "parkmeter", "parkmeter, memo off"


def measure(effort: Effort) -> Measured:
    """Read streams through each side in turn."""
    cpu: dict[str, list[float]] = defaultdict(list)
    first: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        sides = Sides(stack, install=False)
        sides.add_ours(OURS)
        sides.add_ours(WITHOUT_MEMO, memo=False)
        for peer in (NGINX, HAPROXY):
            sides.add(peer)
        for side in sides.all:
            _read(side, effort.seconds(0.5))
        for number in range(effort.rounds(7)):
            for side in sides.all[:: -1 if number % 2 else 1]:
                single = _read(side, effort.seconds(0.3), events=1, clients=1)
                first[side.name].append(statistics.median(one.first for one in single) * 1e6)
                before = side.cpu()
                count = len(_read(side, effort.seconds(1.0)))
                cpu[side.name].append((side.cpu() - before).total / count * 1e6)
    figures = []
    for name, values in cpu.items():
        firsts = tuple(first[name])
        figures.append(Figure(name, "CPU a stream", tuple(values), "µs"))
        figures.append(Figure(name, "first event", firsts, "µs"))
        if name != NGINX.name and NGINX.name in cpu:
            over = differences(firsts, first[NGINX.name])
            figures.append(Figure(name, "÷ nginx", ratios(values, cpu[NGINX.name])))
            figures.append(Figure(name, "first event over nginx's", over, "µs"))
    return Measured(tuple(figures), tuple(sides.remarks))


def _read(side: Side, seconds: float, events: int = EVENTS, clients: int = CLIENTS) -> list[Answer]:
    """Read streams for that long, each to its end."""
    message = request("POST", f"/flan/events/{events}", {})
    with on_core(LOAD_CORE):
        return closed_loop(
            side.port, [message] * clients, seconds, lambda one: one.body.count(b"data:") == events
        )
