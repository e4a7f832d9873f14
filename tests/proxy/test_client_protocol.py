"""Limits on time and size for clients that do not complete a request."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from parkmeter.api.request_body import read_json
from parkmeter.errors import UploadStalledError
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.gate import LocalGate
from parkmeter.web.problems import problem_of
from parkmeter.web.routes import Routes
from tests.support.gateway_at_work import NOON, Client, book, on_both_loops, served

HEAD = b"POST / HTTP/1.1\r\nHost: gateway.test\r\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("parkmeter.proxy.client_connection.ClientConnection.HEAD_SECONDS", 0.2)


class Application:
    """An application that answers 204; with `hurry` before it has read the body."""

    def __init__(self, *, hurry: bool = False) -> None:
        self.hurry = hurry
        self.asked = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        while not self.hurry and (await receive()).get("more_body"):
            pass
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def plane() -> DataPlane:
    """Return a data plane without an endpoint."""
    return DataPlane(Routes(), book(), LocalGate(lambda: NOON), lambda: NOON)


@asynccontextmanager
async def guest(application: Application, keep_alive: int = 5) -> AsyncIterator[Client]:
    made: list[Client] = []

    def part() -> None:
        for client in made:
            client.leave()

    async with served(
        application, http=protocol_for(plane()), keep_alive=keep_alive, part=part
    ) as port:
        made.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        yield made[0]


@on_both_loops
async def test_a_connection_that_says_nothing_is_closed_without_an_answer():
    async with guest(Application()) as client:
        assert await client.reader.read() == b""


@pytest.mark.parametrize("begun", [b"P", HEAD, HEAD + b"Content-Length: 0\r\n"])
@on_both_loops
async def test_a_head_that_does_not_go_on_is_a_408(begun):
    async with guest(Application()) as client:
        await client.send(begun)
        reply = await client.reply()
        assert await client.reader.read() == b""
    assert (reply.status, reply.json["code"]) == (408, "head_stalled")
    assert reply.fields["connection"] == "close"


@on_both_loops
async def test_a_head_that_drips_is_a_408_too():
    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.02)

    async with guest(Application()) as client:
        await client.send(HEAD + b"X: ")
        dripping = asyncio.create_task(drip())
        assert (await client.reply()).status == 408
        dripping.cancel()


@on_both_loops
async def test_the_head_of_a_later_request_has_no_more_time_than_the_first():
    async with guest(Application()) as client:
        assert (await client.exchange()).status == 204
        await client.send(HEAD)
        assert (await client.reply()).status == 408


@on_both_loops
async def test_between_two_requests_a_connection_may_rest_for_longer_than_a_head_may_take():
    async with guest(Application()) as client:
        for _ in range(3):
            assert (await client.exchange()).status == 204
            await asyncio.sleep(0.3)


@on_both_loops
async def test_an_answer_and_a_body_may_take_longer_than_a_head():
    application = Application()
    application.go_on.clear()
    async with guest(application) as client:
        await client.send(HEAD + b"Content-Length: 2\r\n\r\n")
        for _ in range(2):
            await asyncio.sleep(0.3)
            await client.send(b"x")
        await asyncio.sleep(0.3)
        application.go_on.set()
        assert (await client.reply()).status == 204


@on_both_loops
async def test_half_a_head_behind_a_request_does_not_disturb_its_answer():
    application = Application()
    application.go_on.clear()
    async with guest(application) as client:
        await client.send(HEAD + b"Content-Length: 0\r\n\r\n" + HEAD)
        await asyncio.sleep(0.5)
        application.go_on.set()
        assert (await client.reply()).status == 204
        assert (await client.reply()).status == 408


@on_both_loops
async def test_the_head_behind_a_large_body_is_not_taken_for_a_large_head():
    application = Application()
    size = 200_000
    async with guest(application) as client:
        await client.send(HEAD + b"Content-Length: %d\r\n" % size)
        await asyncio.sleep(0.05)
        await client.send(b"\r\n" + b"x" * size + HEAD)
        await asyncio.sleep(0.05)
        await client.send(b"Content-Length: 0\r\n\r\n")
        assert [(await client.reply()).status for _ in range(2)] == [204, 204]


@on_both_loops
async def test_one_header_without_an_end_is_refused_like_many():
    async with guest(Application()) as client:
        await client.send(HEAD + b"X: ")
        await asyncio.sleep(0.05)
        await client.send(b"x" * 65_537)
        reply = await client.reply()
    assert (reply.status, reply.json["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize("unasked", [b"x", b"\r\n"], ids=["a byte of its body", "an empty line"])
@on_both_loops
async def test_what_comes_after_the_answer_does_not_keep_a_connection_for_ever(unasked):
    length = 100 if unasked == b"x" else 0
    async with guest(Application(hurry=True), keep_alive=1) as client:
        await client.send(HEAD + b"Content-Length: %d\r\n\r\n" % length)
        assert (await client.reply()).status == 204
        await client.send(unasked)
        assert await client.reader.read() == b""


# ── Bodies of the control routes ─────────────────────────────────────────────────────────────────


class Upload:
    """A request whose body arrives byte by byte, then stops."""

    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, every: float) -> None:
        self._every = every

    async def stream(self) -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x"
            await asyncio.sleep(self._every)


@pytest.mark.parametrize("every", [600.0, 0.02], ids=["stands still", "drips"])
@on_both_loops
async def test_a_body_that_does_not_arrive_in_time_is_a_408(every, monkeypatch):
    monkeypatch.setattr("parkmeter.api.request_body._ARRIVES_WITHIN", 0.2)
    with pytest.raises(UploadStalledError, match=r"within 0\.2 seconds") as stalled:
        await read_json(Upload(every))
    answer = problem_of(stalled.value)
    assert (answer.status, answer.headers["Connection"]) == (408, "close")


def test_a_client_that_leaves_amid_its_body_is_no_fault_of_ours():
    class Left(Upload):
        async def stream(self) -> AsyncIterator[bytes]:
            yield b"{"
            raise ClientDisconnect

    with pytest.raises(UploadStalledError, match="disconnected"):
        asyncio.run(read_json(Left(0)))
