"""Our own gateway as it is measured: the data plane only, in the server that `parkmeter up` uses.

python -m benchmarks.data_plane.gateway PORT UPSTREAM_PORT
"""

import asyncio
import socket
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import uvloop

from benchmarks.data_plane.peer import Ground, Peer, Program
from benchmarks.data_plane.questions import TOKEN
from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.core.tokens import Token, digest_of
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.client_server import ClientServer
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.gate import LocalGate
from parkmeter.web.asgi import Receive, Scope, Send
from parkmeter.web.auth import TokenBook
from parkmeter.web.routes import Route, Routes


def _find(*, install: bool) -> Program:
    del install  # it is here
    return Program(sys.executable, version("parkmeter"))


def _command(program: Program, ground: Ground) -> list[str]:
    return [
        program.path,
        "-m",
        "benchmarks.data_plane.gateway",
        str(ground.port),
        str(ground.upstream),
    ]


GATEWAY = Peer("parkmeter", _find, _command)


def _serve(port: int, upstream: int) -> None:
    def now() -> datetime:
        return datetime.now(UTC)

    close = now() + timedelta(hours=1)
    address = f"http://127.0.0.1:{upstream}"
    gate = LocalGate(now)
    gate.show(View("flan-t5", 1, close, close, Status.RUNNING, "serving", address))
    token = Token("bench", digest_of(TOKEN), "bench", now())
    plane = DataPlane(Routes([Route("flan-t5", "flan")]), TokenBook([token]), gate, now)

    async def nobody(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("a prompt came to the application")

    async def serve() -> None:
        server = ClientServer(protocol_for(plane), nobody)
        await server.listen(socket.create_server(("127.0.0.1", port)))
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
