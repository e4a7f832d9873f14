"""What is measured side by side: gateways behind one interface, and one window of load on one.

A window has the processor time of the gateway and how busy both cores were: where the gateway's
own core idles, the load was the limit, and requests a second say nothing of the gateway.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.figures import Effort
from benchmarks.gateway import UP, WITHOUT_MEMO, endpoint, gateway
from benchmarks.machine import CoreTime, core_time
from benchmarks.peers import Peer, peer_running
from benchmarks.processes import (
    GATEWAY_CORE,
    LOAD_CORE,
    Cpu,
    NotStartedError,
    free_port,
    listens,
    python,
    running,
    wait_until,
)
from benchmarks.programs import UnavailableError
from benchmarks.requests import Prompt
from benchmarks.wrk import load


@dataclass(frozen=True, slots=True)
class Side:
    """One gateway that answers; `cpu` reads its processor time so far."""

    name: str
    port: int
    cpu: Callable[[], Cpu]
    prompt: Prompt
    least_seconds: float = 0.0
    """A shorter window would have too few answers."""


@dataclass(frozen=True, slots=True)
class Cores:
    """How busy both cores were: shares of the time, not a number where that is unknown."""

    gateway: float
    load: float


@dataclass(frozen=True, slots=True)
class Window:
    """One window of load on one side: processor time a request and latency in µs."""

    cpu: float
    user: float
    rate: float
    p50: float
    cores: Cores


def window(side: Side, prompt: Prompt, clients: int, seconds: float) -> Window:
    """Load one side with prompts.

    Raises:
        RefusedError: When not every prompt was answered.
    """
    cpu, cores = side.cpu(), _core_times()
    found = load(side.port, prompt, clients, max(seconds, side.least_seconds))
    spent, busy = side.cpu() - cpu, _busy_since(cores)
    each = 1e6 / found.requests
    return Window(spent.total * each, spent.user * each, found.rate, found.p50 * 1e6, busy)


def in_turn(
    ways: Mapping[str, tuple[Side, Prompt]], clients: int, effort: Effort
) -> dict[str, float]:
    """Return the processor time of a prompt each way: a median of short windows in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(1 + effort.pick(3, 1)):
        for name, (side, prompt) in ways.items():
            once = window(side, prompt, clients, effort.seconds(1.0))
            if number:  # the first is to warm
                taken[name].append(once.cpu)
    return {name: statistics.median(values) for name, values in taken.items()}


@contextmanager
def stub() -> Iterator[int]:
    """Run the stub on the load's core while entered; yields its port."""
    port = free_port()
    with running(python("-m", "benchmarks.stub", port), LOAD_CORE) as process:
        wait_until(lambda: listens(port), process)
        yield port


@contextmanager
def ours(
    name: str = "parkmeter", *, memo: bool = True, source: Path | None = None
) -> Iterator[Side]:
    """Run our own gateway with one endpoint, `flan`, whose model is the stub.

    `source`: the `src` of another tree.
    """
    program = UP if memo else WITHOUT_MEMO
    with gateway(endpoint("flan"), GATEWAY_CORE, program, source) as one:
        one.serve("flan")
        yield Side(name, one.port, one.cpu, Prompt("/flan"))


class Sides:
    """Gateways that run at once, of which one at a time has load; a missing one is a remark."""

    def __init__(self, stack: ExitStack, *, install: bool) -> None:
        self.all: list[Side] = []
        self.remarks: list[str] = []
        self._stack = stack
        self._upstream = stack.enter_context(stub())
        self._install = install

    def add_ours(self, name: str, *, memo: bool = True) -> None:
        """Start our own gateway; a revision that has no memo cannot be without."""
        try:
            self.all.append(self._stack.enter_context(ours(name, memo=memo)))
        except NotStartedError as error:
            if memo:
                raise
            self.remarks.append(f"{name}: not measured, {error}")

    def add(self, peer: Peer) -> None:
        """Start a peer."""
        try:
            program = peer.find(self._install)
            started = peer_running(peer, program, self._upstream)
            process, port = self._stack.enter_context(started)
        except (UnavailableError, NotStartedError) as error:
            self.remarks.append(f"{peer.name}: not measured, {error}")
            return
        cpu = partial(process.cpu, tree=True)
        self.all.append(Side(peer.name, port, cpu, peer.prompt, peer.seconds))
        self.remarks.append(f"{peer.name} is {program.version}.")

    def named(self, *names: str) -> list[Side]:
        """Return those of these that run, in the order they were started."""
        return [side for side in self.all if side.name in names]


def _core_times() -> tuple[CoreTime | None, CoreTime | None]:
    return core_time(GATEWAY_CORE), core_time(LOAD_CORE)


def _busy_since(before: tuple[CoreTime | None, CoreTime | None]) -> Cores:
    gateway_before, load_before = before
    gateway_now, load_now = _core_times()
    if not (gateway_before and load_before and gateway_now and load_now):
        return Cores(math.nan, math.nan)
    return Cores(gateway_now.busy_since(gateway_before), load_now.busy_since(load_before))
