"""The whole measurement: starts what can be had, runs the rounds, hands them to the claims."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.data_plane import load, wrk
from benchmarks.data_plane.claims import Found, claims
from benchmarks.data_plane.gateway import GATEWAY
from benchmarks.data_plane.load import RefusedError
from benchmarks.data_plane.peer import Peer, UnavailableError
from benchmarks.data_plane.peers.caddy import CADDY
from benchmarks.data_plane.peers.envoy import ENVOY
from benchmarks.data_plane.peers.fastapi_httpx import FASTAPI_HTTPX
from benchmarks.data_plane.peers.haproxy import HAPROXY
from benchmarks.data_plane.peers.litellm import LITELLM
from benchmarks.data_plane.peers.nginx import NGINX
from benchmarks.data_plane.processes import GATEWAY_CORE, LOAD_CORE, DidNotStartError, on_core
from benchmarks.data_plane.questions import Question
from benchmarks.data_plane.rounds import Drive, Running, running, stubs
from benchmarks.report import Effort, Missing, Row, Version

PEERS = (NGINX, ENVOY, HAPROXY, CADDY, FASTAPI_HTTPX, LITELLM)
CLIENTS = (1, 16, 64)
STREAMING = (GATEWAY, NGINX)
STREAM_CLIENTS = 16


def measure(effort: Effort, peers: Sequence[Peer] = PEERS) -> Iterator[Row]:
    """Rows for versions and missing peers at once, claims after the last round.

    A peer that refuses or breaks a request under load is missing too; our own gateway may not.
    """
    if GATEWAY_CORE is None:
        yield Missing("one core for each side", "this system cannot pin processes to a core")
    with TemporaryDirectory(prefix="data-plane-") as name, ExitStack() as until_end:
        folder = Path(name)
        drive, generator = _generator(effort, folder)
        yield generator
        ports = until_end.enter_context(stubs(len(peers) + 2, folder))
        gateways: list[Running] = []
        for peer, upstream in zip((GATEWAY, *peers), ports[1:], strict=True):
            try:
                program = peer.find(install=effort.installs)
                gateway = until_end.enter_context(running(peer, program, upstream, folder))
                gateway.load(drive, max(CLIENTS), effort.seconds)  # warm
                gateways.append(gateway)
                yield Version(peer.name, program.version)
            except (UnavailableError, DidNotStartError, RefusedError) as error:
                if peer is GATEWAY:
                    raise
                yield Missing(peer.name, str(error))
        found = Found()
        for number in range(effort.rounds):
            order = gateways[:: -1 if number % 2 else 1]
            _round(found, drive, order, ports[0], effort.seconds)
        yield from (Missing(broken, why) for broken, why in found.broken.items())
        yield from claims(found)


def _generator(effort: Effort, folder: Path) -> tuple[Drive, Version]:
    """Wrk where it can be had, for rounds that it can do; never both in one run."""
    try:
        if effort.seconds >= wrk.SHORTEST_SECONDS:
            program = wrk.find(install=effort.installs)
            return wrk.Wrk(program, folder).drive, Version("load by wrk", program.version)
    except UnavailableError:
        pass
    return load.drive, Version("load by", "our own asyncio clients")


def _round(
    found: Found, drive: Drive, gateways: Sequence[Running], stub: int, seconds: float
) -> None:
    for clients in CLIENTS:
        with on_core(LOAD_CORE):
            found.direct[clients].append(drive(stub, Question(), clients, seconds))
        for gateway in gateways:
            name = gateway.peer.name
            if name in found.broken:
                continue
            try:
                found.loads[name, clients].append(gateway.load(drive, clients, seconds))
            except RefusedError as error:
                if gateway.peer is GATEWAY:
                    raise
                found.broken[name] = f"under load: {error}"
    for gateway in gateways:
        if gateway.peer in STREAMING:
            found.streams[gateway.peer.name].append(gateway.streams(STREAM_CLIENTS, seconds))
