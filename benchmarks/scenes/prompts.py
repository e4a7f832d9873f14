"""Prompts, beside other proxies.

All gateways check a token and forward 69 bytes to a stub that answers with 300, each on the same
core in turn, in interleaved rounds; stub and wrk share the other core. *Heads differ*: each prompt
has another `traceparent` and `x-request-id`. LiteLLM does more for a prompt than the others.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from benchmarks.clients import RefusedError
from benchmarks.figures import Effort, Figure, Measured, differences, ratios
from benchmarks.peers import ENVOY, HAPROXY, LITELLM, NGINX
from benchmarks.sides import Side, Sides, Window, window

OURS, WITHOUT_MEMO = "parkmeter", "parkmeter, memo off"
NEAR = (OURS, WITHOUT_MEMO, NGINX.name)
EVERY = (*NEAR, HAPROXY.name, ENVOY.name, LITELLM.name)


@dataclass(frozen=True, slots=True)
class Way:
    """One way of asking: clients, heads, and the sides that are asked so."""

    label: str
    clients: int
    names: tuple[str, ...]
    differing: bool = False


WAYS = (
    Way("16 clients", 16, EVERY),
    Way("64 clients", 64, NEAR),
    Way("16 clients, heads differ", 16, NEAR, differing=True),
    Way("64 clients, heads differ", 64, NEAR, differing=True),
    Way("1 client", 1, (OURS, WITHOUT_MEMO, NGINX.name, HAPROXY.name, ENVOY.name)),
)

Found = dict[tuple[str, Way], list[Window]]


def measure(effort: Effort) -> Measured:
    """Start every side, then load them in turn, one way after the other."""
    found: Found = defaultdict(list)
    with ExitStack() as stack:
        sides = Sides(stack, install=not effort.quick)
        sides.add_ours(OURS)
        sides.add_ours(WITHOUT_MEMO, memo=False)
        for peer in (NGINX, HAPROXY) if effort.quick else (NGINX, HAPROXY, ENVOY, LITELLM):
            sides.add(peer)
        for side in list(sides.all):  # warm: connections, bytecode, memos
            _load(side, WAYS[0], effort.seconds(1.0), sides)
        for number in range(effort.rounds(7)):
            for way in WAYS:
                order = sides.named(*way.names)[:: -1 if number % 2 else 1]
                for side in order:
                    if taken := _load(side, way, effort.seconds(1.0), sides):
                        found[side.name, way].append(taken)
        figures = tuple(f for way in WAYS for f in _of_way(way, sides.named(*way.names), found))
    return Measured(figures, tuple(sides.remarks))


def _load(side: Side, way: Way, seconds: float, sides: Sides) -> Window | None:
    """Load one side; a peer that breaks under load leaves, which is a remark."""
    prompt = replace(side.prompt, differing=way.differing)
    try:
        return window(side, prompt, way.clients, seconds)
    except RefusedError as error:
        if side.name in (OURS, WITHOUT_MEMO):
            raise
        sides.all.remove(side)
        sides.remarks.append(f"{side.name}: not measured, under load: {error}")
        return None


def _of_way(way: Way, sides: Sequence[Side], found: Found) -> Iterator[Figure]:
    nginx = found.get((NGINX.name, way), [])
    for side in sides:
        row, taken = f"{side.name}, {way.label}", found[side.name, way]
        cpu = tuple(one.cpu for one in taken)
        compared = nginx if side.name != NGINX.name and len(nginx) == len(taken) else []
        yield Figure(row, "CPU a prompt", cpu, "µs")
        if compared:
            yield Figure(row, "÷ nginx", ratios(cpu, (one.cpu for one in nginx)))
        user = statistics.median(100 * one.user / one.cpu for one in taken)
        yield Figure(row, "of it user", (user,), "%")
        rates = tuple(one.rate for one in taken)
        yield Figure(row, "prompts/s", rates)
        if compared:
            yield Figure(row, "rate ÷ nginx's", ratios(rates, (one.rate for one in nginx)))
        if len(ours := found[OURS, way]) == len(taken) and side.name not in NEAR:
            times = ratios((one.rate for one in ours), rates)
            yield Figure(row, "parkmeter's rate ÷ its", times)
        if way.clients == 1:
            p50 = tuple(one.p50 for one in taken)
            yield Figure(row, "p50", p50, "µs")
            if compared:
                more = differences(p50, (one.p50 for one in nginx))
                yield Figure(row, "p50 over nginx's", more, "µs")
        for core in ("gateway", "load"):
            busy = statistics.median(getattr(one.cores, core) for one in taken)
            yield Figure(row, f"{core}'s core busy", (100 * busy,), "%")
