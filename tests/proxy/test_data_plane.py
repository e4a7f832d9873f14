"""The data plane whole: a server on its own thread, a stock client, prompts after a top-up."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvicorn
import uvloop

from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.client_server import ClientServer
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.gate import LocalGate
from parkmeter.web.routes import Route, Routes
from tests.support.gateway_at_work import book, gateway, not_found, on_both_loops
from tests.support.scripted_upstream import OK, answering, upstream

HEADERS = {"Authorization": "t-invoke"}


@contextmanager
def on_a_thread(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    serve: Callable[[asyncio.Event], Awaitable[None]],
    ready: threading.Event,
) -> Iterator[None]:
    """Run a server on a loop of its own until the event it is given is set."""
    ending = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def served() -> None:
        loops.append(asyncio.get_running_loop())
        await serve(ending)

    def run() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(served())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        loops[0].call_soon_threadsafe(ending.set)
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def gateway_of(plane: DataPlane, new_loop: Callable[[], Any]) -> Iterator[int]:
    """Serve a data plane; yield its port."""
    listener, ready = socket.create_server(("127.0.0.1", 0)), threading.Event()

    async def serve(ending: asyncio.Event) -> None:
        server = ClientServer(protocol_for(plane), not_found)
        await server.listen(listener)
        ready.set()
        await ending.wait()
        plane.close()  # before the loop ends, and with it every connection
        await server.close(20)

    with on_a_thread(new_loop, serve, ready):
        yield listener.getsockname()[1]


@contextmanager
def uvicorn_of(application: Any, new_loop: Callable[[], Any]) -> Iterator[int]:
    """Serve an application in the server that vLLM has; yield its port."""
    listener, ready = socket.create_server(("127.0.0.1", 0)), threading.Event()
    config = uvicorn.Config(application, lifespan="off", log_level="critical")

    async def serve(ending: asyncio.Event) -> None:
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        ready.set()
        await ending.wait()
        server.should_exit = True
        await serving

    with on_a_thread(new_loop, serve, ready):
        yield listener.getsockname()[1]


async def model(scope, receive, send) -> None:
    """Answer with method, path and size of the request, as a model server."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message["more_body"]
    said = f"{scope['method']} {scope['path']} {size}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": said})


@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_a_prompt_is_answered_after_the_top_up_that_its_402_asked_for(new_loop):
    def now() -> datetime:
        return datetime.now(UTC)

    gate = LocalGate(now)
    plane = DataPlane(Routes([Route("flan-t5", "flan")]), book(), gate, now)

    def show(version: int, close: datetime, status: Status, address: str | None) -> None:
        gate.show(View("flan-t5", version, close, close, status, "", address))

    with uvicorn_of(model, new_loop) as upstream_port, gateway_of(plane, new_loop) as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

        def prompt(body: bytes) -> tuple[int, bytes]:
            client.request("POST", "/flan", body, HEADERS)
            reply = client.getresponse()
            return reply.status, reply.read()

        show(1, now(), Status.STOPPED, None)
        assert prompt(b"{}")[0] == 402
        show(2, now() + timedelta(hours=1), Status.RUNNING, f"http://127.0.0.1:{upstream_port}")
        for size in (0, 2, 100_000, 9_000_000):
            assert prompt(b"x" * size) == (200, b"POST /invocations %d" % size)
        assert prompt(b"x" * 11_000_000)[0] == 413
        show(3, now(), Status.STOPPING, None)
        assert prompt(b"{}")[0] == 402
        assert gate.in_flight("flan-t5") == 0
        client.close()


@on_both_loops
async def test_routes_may_be_replaced_while_it_runs():
    async with upstream(answering(OK)) as served, gateway(served.address) as meter:
        assert (await meter.exchange("/flan")).status == 200
        meter.plane.routes = Routes([Route("flan-t5", "t5")])
        assert (await meter.exchange("/flan")).status == 404
        assert (await meter.exchange("/t5")).status == 200
