"""The data plane whole: a server on its own thread, a stock client, prompts after a top-up."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvicorn

from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.gate import LocalGate
from parkmeter.web.routes import Route, Routes
from tests.support.gateway_at_work import book, gateway, not_found, on_both_loops
from tests.support.scripted_upstream import OK, answering, upstream

HEADERS = {"Authorization": "t-invoke"}


class NotifyingServer(uvicorn.Server):
    """A server that notifies its starter when it is ready and when it is about to end."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._ending = ending

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets=None) -> None:
        self._ending()  # before the loop ends, and with it every connection
        await super().shutdown(sockets)


@contextmanager
def serving(
    application, loop: str, ending: Callable[[], None] = lambda: None, http: Any = "httptools"
) -> Iterator[int]:
    """Run a uvicorn server on a thread of its own; yield its port."""
    config = uvicorn.Config(
        application, port=0, loop=loop, http=http, lifespan="off", log_level="critical"
    )
    server = NotifyingServer(config, ending)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.ready.wait(20)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


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


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_prompt_is_answered_after_the_top_up_that_its_402_asked_for(loop):
    def now() -> datetime:
        return datetime.now(UTC)

    gate = LocalGate(now)
    plane = DataPlane(Routes([Route("flan-t5", "flan")]), book(), gate, now)

    def show(version: int, close: datetime, status: Status, address: str | None) -> None:
        gate.show(View("flan-t5", version, close, close, status, "", address))

    with (
        serving(model, loop) as upstream_port,
        serving(not_found, loop, plane.close, http=protocol_for(plane)) as port,
    ):
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
