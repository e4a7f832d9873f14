"""Random bytes on the data plane's sockets, from clients and from model servers.

After whatever bytes: each answer is HTTP, a model server sees whole requests without a token, no
5xx is our own, nothing stays in flight, no error is logged, and the next prompt is answered.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import httptools
import pytest
import uvloop
from hypothesis import strategies as st

from parkmeter.web.routes import Limits, Timeouts
from tests.support.gateway_at_work import Gateway, gateway
from tests.support.random_input import damaged
from tests.support.scripted_upstream import OK, ServerEnd, upstream

AT_ONCE = 8
"""Connections of one case: they are tried side by side."""

FEW_AND_MANY = pytest.mark.parametrize(
    "cases", [40, pytest.param(400, marks=[pytest.mark.extended, pytest.mark.timeout(1800)])]
)
QUIET = 0.03
"""Seconds without a byte after which a client leaves: much of what it sends is never answered."""

BOUNDED = Timeouts(first_byte_seconds=20, idle_seconds=20, upload_seconds=20)
SECRET = b"t-invoke"
HEAD = b"POST /flan HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: t-invoke\r\n"


class Answers:
    """The answers in what a client received; raises where it is not HTTP."""

    def __init__(self, data: bytes) -> None:
        self.statuses: list[int] = []
        self._parser = httptools.HttpResponseParser(self)
        if data:
            self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        self.statuses.append(self._parser.get_status_code())


class Requests:
    """The requests that one connection of a model server received, and the raw bytes."""

    def __init__(self) -> None:
        self.raw = b""
        self.whole = 0
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> int:
        """Return the number of requests that are complete with this; raise where it is not HTTP."""
        self.raw += data
        before = self.whole
        self._parser.feed_data(data)
        return self.whole - before

    def on_message_complete(self) -> None:
        self.whole += 1


class Faults(logging.Handler):
    """Errors that were logged, and those that no one caught."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())

    def uncaught(self, _loop: object, context: dict[str, Any]) -> None:
        self.found.append(str(context.get("exception") or context["message"]))


@contextmanager
def playing(scene: Any) -> Iterator[Any]:
    """Yield a function that plays one case to the end, on one loop for all of them."""
    faults = Faults()
    root = logging.getLogger()
    root.addHandler(faults)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(faults.uncaught)
            stack = AsyncExitStack()
            play = runner.run(stack.enter_async_context(scene))

            def played(case: Any) -> None:
                runner.run(asyncio.wait_for(play(case), 60))
                assert faults.found == []

            try:
                yield played
            finally:
                runner.run(stack.aclose())
    finally:
        root.removeHandler(faults)


async def received(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the end, or until nothing more comes for a moment."""
    data = b""
    with suppress(TimeoutError, ConnectionError):
        while piece := await asyncio.wait_for(reader.read(65536), QUIET):
            data += piece
    return data


async def is_well(meter: Gateway) -> None:
    """Check that nothing is left of earlier requests, and that a prompt is answered."""
    await meter.at_rest()
    reply = await meter.exchange()
    assert (reply.status, reply.body) == (200, b"{}")


# ── From clients ────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def attacked() -> AsyncIterator[Any]:
    """Yield a player of what clients send, before a model server that reads it strictly."""
    heard: list[Requests] = []

    async def answer(end: ServerEnd) -> None:
        requests = Requests()
        heard.append(requests)
        while data := await end.reader.read(65536):
            for _ in range(requests.feed(data)):
                await end.send(OK)

    limits = Limits(max_body_bytes=4096)
    async with (
        upstream(answer) as server,
        gateway(server.address, limits=limits, timeouts=BOUNDED, models=("q",)) as meter,
    ):

        async def one(pieces: list[bytes]) -> None:
            client = await meter.client()
            with suppress(ConnectionError):
                for piece in pieces:
                    await client.send(piece)
                    await asyncio.sleep(0)
            answers = Answers(await received(client.reader))
            client.leave()
            assert {status for status in answers.statuses if status >= 500} <= {501}

        async def play(case: list[list[bytes]]) -> None:
            await asyncio.gather(*map(one, case))
            await is_well(meter)
            assert server.failure is None
            assert not any(SECRET in requests.raw for requests in heard)
            heard.clear()

        yield play


FRONT = HEAD.replace(b"/flan ", b"/v1/chat/completions ")

CLIENTS = damaged(
    [
        HEAD + b"Content-Length: 5\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Content-Length: 0\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}",
        b"GET /flan/v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t-invoke\r\n\r\n",
        b"GET /elsewhere HTTP/1.0\r\n\r\n",
        FRONT + b'Content-Length: 19\r\n\r\n{"model":"flan-t5"}',
        FRONT + b'Transfer-Encoding: chunked\r\n\r\nd\r\n{"model":"q"}\r\n0\r\n\r\n',
        FRONT + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 61\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nq\r\n--b--',
        HEAD + b"Prefer: wait=0\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    ],
    [
        *(
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\t",
            b":",
            b"\0",
            b"\x0b",
            b"\xff",
            b",",
            b";",
            b"0",
            b"5",
        ),
        *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: +5\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n"),
        *(b"Transfer-Encoding : chunked\r\n", b" Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        *(b"ffffffffffffffff\r\n", b"5\r\nhello\r\n", b"HTTP/1.1", b"HTTP/2.0", b"/../", b"%2e%2e"),
        *(b"Host: y\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"PRI * HTTP/2.0\r\n\r\n"),
        *(b'"model":"q",', b'"mod\\u0065l"', b"{", b'"', b"--b\r\n", b"--b--", b"\\"),
        *(HEAD, FRONT, b"X: " + b"a" * 3000, b"\x16\x03\x01\x02\x00", b"GET ", b"CONNECT ", b"*"),
    ],
)


@FEW_AND_MANY
def test_whatever_clients_send_the_next_prompt_is_answered(run, cases):
    clients = st.lists(
        st.lists(CLIENTS, min_size=1, max_size=3), min_size=AT_ONCE, max_size=AT_ONCE
    )
    with playing(attacked()) as play:
        run(f"the data plane, {AT_ONCE} clients each", play, clients, cases)


# ── From model servers ──────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def badly_served() -> AsyncIterator[Any]:
    """Yield a player of what a model server answers; the client's `X-Case` says which one."""
    answers: list[list[bytes]] = []

    async def answer(end: ServerEnd) -> None:
        while True:
            head, _ = await end.request()
            number = head["X-Case"]
            if number is None:
                await end.send(OK)
                continue
            for piece in answers[int(number)]:
                await end.send(piece)
                await asyncio.sleep(0)
            return

    async with (
        upstream(answer) as server,
        gateway(server.address, timeouts=BOUNDED) as meter,
    ):

        async def one(number: int) -> None:
            client = await meter.client()
            await client.ask(fields=f"X-Case: {number}\r\n")
            found = Answers(await received(client.reader))
            client.leave()
            assert all(200 <= status < 600 for status in found.statuses)
            assert 500 not in found.statuses or b"500" in b"".join(answers[number])

        async def play(case: list[list[bytes]]) -> None:
            answers[:] = case
            await asyncio.gather(*map(one, range(len(case))))
            await is_well(meter)

        yield play


SERVERS = damaged(
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 500 Oh\r\nContent-Length: 2\r\n\r\n{}",
    ],
    [
        *(b"\r\n", b"\n", b"\r", b" ", b":", b"\0", b"\xff", b"HTTP/1.1 ", b"200", b"101", b"304"),
        *(b"Content-Length: 5\r\n", b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"),
        *(b"Transfer-Encoding: gzip\r\n", b"Connection: close\r\n", b"Connection: x-a\r\n", OK),
        *(b"ffffffffffffffff\r\n", b"0\r\n\r\n", b"X: " + b"a" * 3000, b"<html>", b"99999999999"),
        *(
            b"Parkmeter-Seconds-Left: 1\r\n",
            b"Set-Cookie: a=b\r\n",
            b"HTTP/9.9 ",
            b"Upgrade: h2c\r\n",
        ),
    ],
)


@FEW_AND_MANY
def test_whatever_a_model_server_answers_the_client_gets_http_and_the_next_prompt_works(run, cases):
    servers = st.lists(
        st.lists(SERVERS, min_size=1, max_size=3), min_size=AT_ONCE, max_size=AT_ONCE
    )
    with playing(badly_served()) as play:
        run(f"the data plane, {AT_ONCE} answers each", play, servers, cases)
