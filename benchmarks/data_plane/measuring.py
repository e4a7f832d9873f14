"""The whole measurement: starts what can be had, runs the rounds, hands them to the claims."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.data_plane.claims import Found, claims
from benchmarks.data_plane.gateway import GATEWAY
from benchmarks.data_plane.load import drive as own_clients
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
from benchmarks.data_plane.wrk import SHORTEST_SECONDS, Wrk
from benchmarks.report import Effort, Missing, Row, Version

PEERS = (NGINX, ENVOY, HAPROXY, CADDY, FASTAPI_HTTPX, LITELLM)
CLIENTS = (1, 16, 64)
STREAMING = ("parkmeter", "nginx")
STREAM_CLIENTS = 16
WARM_SECONDS = 1.0


def measure(effort: Effort, peers: Sequence[Peer] = PEERS) -> Iterator[Row]:
    """Rows for versions and missing peers at once, claims after the last round."""
    if GATEWAY_CORE is None:
        yield Missing("one core for each side", "this system cannot pin processes to a core")
    with TemporaryDirectory(prefix="data-plane-") as name, ExitStack() as until_end:
        folder = Path(name)
        wrk = shutil.which("wrk") if effort.seconds >= SHORTEST_SECONDS else None
        yield Version("load by", wrk or "our own clients")
        drive = Wrk(wrk, folder).drive if wrk else own_clients
        ports = until_end.enter_context(stubs(len(peers) + 2, folder))
        gateways: list[Running] = []
        for peer, upstream in zip((GATEWAY, *peers), ports[1:], strict=True):
            try:
                program = peer.find(install=effort.installs)
                started = running(peer, program, upstream, folder)
                gateways.append(until_end.enter_context(started))
                yield Version(peer.name, program.version)
            except (UnavailableError, DidNotStartError) as error:
                if peer is GATEWAY:
                    raise
                yield Missing(peer.name, str(error))
        for gateway in gateways:
            gateway.load(drive, max(CLIENTS), min(WARM_SECONDS, effort.seconds))
        found = Found()
        for number in range(effort.rounds):
            order = gateways[:: -1 if number % 2 else 1]
            _round(found, drive, order, ports[0], effort.seconds)
        yield from claims(found)


def _round(
    found: Found, drive: Drive, gateways: Sequence[Running], stub: int, seconds: float
) -> None:
    for clients in CLIENTS:
        with on_core(LOAD_CORE):
            found.direct[clients].append(drive(stub, Question(), clients, seconds))
        for gateway in gateways:
            taken = gateway.load(drive, clients, seconds)
            found.loads[gateway.peer.name, clients].append(taken)
    for gateway in gateways:
        if gateway.peer.name in STREAMING:
            taken_by_streams = gateway.streams(STREAM_CLIENTS, seconds)
            found.streams[gateway.peer.name].append(taken_by_streams)
