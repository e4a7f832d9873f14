"""One round of load on one gateway, and what it found. Judges nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data_plane import streams
from benchmarks.data_plane.load import Load
from benchmarks.data_plane.peer import Ground, Peer, Program
from benchmarks.data_plane.processes import (
    GATEWAY_CORE,
    LOAD_CORE,
    connections,
    free_port,
    on_core,
    process,
    processor_time,
    server,
    wait_for,
)
from benchmarks.data_plane.questions import EVENTS, Question

Drive = Callable[[int, Question, int, float], Load]
"""A generator of load: a port, what to ask there, with how many clients, for how many seconds."""


@dataclass(frozen=True, slots=True)
class Round:
    """Requests through one gateway; times in seconds, processor time is the gateway's own."""

    rate: float
    p50: float
    cpu: float | None
    """A request; None where the system does not tell."""
    share: float | None
    """Of the time, in which the gateway worked or waited for its core: near 1, it set the pace."""
    opened: int
    """Connections to the upstream."""


@dataclass(frozen=True, slots=True)
class StreamRound:
    """Streams of events through one gateway, as above; `cpu` is a stream's."""

    first_event: float
    cpu: float | None


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that runs; its upstream's port is for it alone."""

    peer: Peer
    pid: int
    port: int
    upstream: int

    def load(self, drive: Drive, clients: int, seconds: float) -> Round:
        """Send requests with that many clients for that long."""
        opened = connections(self.upstream)
        before = processor_time(self.pid)
        with on_core(LOAD_CORE):
            seconds = max(seconds, self.peer.least_seconds)
            found = drive(self.port, self.peer.question, clients, seconds)
        after = processor_time(self.pid)
        opened = connections(self.upstream) - opened
        rate = found.requests / found.seconds
        if before is None or after is None:
            return Round(rate, found.p50, None, None, opened)
        taken = after - before
        cpu, share = taken.worked / found.requests, taken.wanted / found.seconds
        return Round(rate, found.p50, cpu, share, opened)

    def streams(self, clients: int, seconds: float) -> StreamRound:
        """Streams with that many clients; the first event's time is that of one client alone."""
        with on_core(LOAD_CORE):
            first = streams.drive(self.port, 1, 1, seconds / 2).first_event
            before = processor_time(self.pid)
            count = streams.drive(self.port, EVENTS, clients, seconds).count
        after = processor_time(self.pid)
        if before is None or after is None:
            return StreamRound(first, None)
        return StreamRound(first, (after - before).worked / count)


@contextmanager
def stubs(count: int, folder: Path) -> Iterator[list[int]]:
    """One stub that listens on that many ports, beside the load."""
    ports = [free_port() for _ in range(count)]
    log = folder / "stub.log"
    with ExitStack() as until_end:
        with on_core(LOAD_CORE):
            command = server("benchmarks.data_plane.stub", *ports)
            until_end.enter_context(process(command, log))
        wait_for(ports[0], Question(), log, checks_token=False)
        yield ports


@contextmanager
def running(peer: Peer, program: Program, upstream: int, folder: Path) -> Iterator[Running]:
    """Run the gateway while entered, once it answers as it should.

    Raises:
        DidNotStartError: When it does not.
    """
    place = folder / peer.name
    place.mkdir()
    ground = Ground(place, free_port(), upstream)
    log = place / "log"
    with ExitStack() as until_end:
        with on_core(GATEWAY_CORE):
            command = peer.command(program, ground)
            pid = until_end.enter_context(process(command, log, program.environment))
        wait_for(ground.port, peer.question, log)
        yield Running(peer, pid, ground.port, upstream)
