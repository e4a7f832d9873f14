"""The data plane whole: a server on its own thread, a stock client, prompts after a top-up."""

import asyncio
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import uvicorn

from parkmeter.meter import Status
from parkmeter.ports import View
from parkmeter.web.data_plane import DataPlane, relative_path
from parkmeter.web.gate import LocalGate
from parkmeter.web.routes import Route, Routes
from tests.api.gateway_at_work import NOON, book, gateway, on_both_loops
from tests.api.scripted_upstream import OK, answering, upstream

HEADERS = {"Authorization": "t-invoke"}


class Announcing(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets=None) -> None:
        if isinstance(self.config.app, DataPlane):
            self.config.app.close()  # before the loop ends, and with it every connection
        await super().shutdown(sockets)


@contextmanager
def serving(application, loop: str) -> Iterator[int]:
    """A uvicorn server on a thread of its own; its port."""
    config = uvicorn.Config(application, port=0, loop=loop, lifespan="off", log_level="critical")
    server = Announcing(config)
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
    """A model server that says which path it was asked and how much."""
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

    with serving(model, loop) as upstream_port, serving(plane, loop) as port:
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


@pytest.mark.parametrize(
    ("raw_path", "root_path", "relative"),
    [
        (b"/flan", "", b"/flan"),
        (b"/prod/flan/a%2Fb", "/prod", b"/flan/a%2Fb"),
        (b"/flan", "/prod", b"/flan"),
        (b"/product", "/prod", b"/product"),
        (b"/prod", "/prod", b""),
    ],
)
def test_a_stage_prefix_is_taken_off_where_it_was_left_on(raw_path, root_path, relative):
    scope = {"raw_path": raw_path, "root_path": root_path, "path": "/"}
    assert relative_path(scope) == relative


@pytest.mark.parametrize(
    ("extensions", "said"),
    [
        ({}, ["websocket.close"]),
        (
            {"websocket.http.response": {}},
            ["websocket.http.response.start", "websocket.http.response.body"],
        ),
    ],
)
def test_a_websocket_is_refused_before_it_opens(extensions, said):
    async def handshake() -> list[dict]:
        sent: list[dict] = []

        async def send(message) -> None:
            sent.append(message)

        async def receive() -> dict:
            return {"type": "websocket.connect"}

        plane = DataPlane(Routes(), book(), LocalGate(lambda: NOON), lambda: NOON)
        scope = {"type": "websocket", "path": "/flan", "extensions": extensions}
        await plane(scope, receive, send)
        return sent

    sent = asyncio.run(handshake())
    assert [message["type"] for message in sent] == said
    assert sent[0].get("status", 501) == 501
