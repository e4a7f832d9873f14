"""Streams whose events come one by one: each passes as it is, and still counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from parkmeter.core.usage import Used
from parkmeter.proxy.answer_parser import AnswerParser
from tests.support.gateway_at_work import Client, Gateway, gateway, on_both_loops, until
from tests.support.scripted_upstream import ServerEnd, upstream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices": []}\n\n'
USAGE = b'data: {"usage": {"prompt_tokens": 9, "completion_tokens": 3}}\n\n'


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass
class Stream:
    """A stream under way: what its model sends next is read by the gateway in one read."""

    meter: Gateway
    client: Client
    line: ServerEnd

    async def pass_on(self, data: bytes, *, until_bytes: bytes | None = None) -> bytes:
        """Send this from the model server; return what the client gets for it."""
        await self.line.send(data)
        end = data if until_bytes is None else until_bytes
        return await self.client.reader.readexactly(len(end)) if end else b""


@pytest.fixture
def parsed(monkeypatch):
    """Count the reads of answers that go through the parser."""
    reads = []
    parse = AnswerParser._parse
    monkeypatch.setattr(
        AnswerParser, "_parse", lambda a, data: reads.append(data) or parse(a, data)
    )
    return reads


@asynccontextmanager
async def streaming(fields: bytes = b"", version: str = "1.1") -> AsyncIterator[Stream]:
    lines: asyncio.Queue[ServerEnd] = asyncio.Queue()
    over = asyncio.Event()

    async def script(line: ServerEnd) -> None:
        await line.request()
        lines.put_nowait(line)
        await over.wait()

    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        body = b"{}"
        await client.send(
            f"POST /flan/v1/chat/completions HTTP/{version}\r\nHost: gateway.test\r\n"
            f"Authorization: Bearer t-invoke\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        line = await lines.get()
        await line.send(HEAD.replace(b"\r\n\r\n", b"\r\n" + fields + b"\r\n"))
        await client.head()
        yield Stream(meter, client, line)
        over.set()


@on_both_loops
async def test_an_event_that_comes_alone_passes_as_it_came(parsed):
    async with streaming() as stream:
        assert await stream.pass_on(framed(EVENT)) == framed(EVENT)
        parsed.clear()
        for event in (EVENT, b": a\n\n", EVENT * 100, USAGE):
            assert await stream.pass_on(framed(event)) == framed(event)
        assert not parsed
        end = b"0\r\n\r\n"
        assert await stream.pass_on(end) == end
        assert parsed == [end]
        await stream.meter.at_rest()
        traffic = stream.meter.plane.traffic["flan-t5"]
        assert traffic.usage["invoke"].used() == Used(1, 0, 9, 3)
        assert sum(traffic.first_event.buckets) == 1
        assert traffic.requests()["2xx"] == 1


@on_both_loops
async def test_what_is_not_one_chunk_is_framed_anew(parsed):
    async with streaming() as stream:
        assert await stream.pass_on(framed(EVENT)) == framed(EVENT)
        both = framed(EVENT + USAGE)
        assert await stream.pass_on(framed(EVENT) + framed(USAGE), until_bytes=both) == both
        spelled = b"0%x;a=b\r\n%b\r\n" % (len(EVENT), EVENT)
        assert await stream.pass_on(spelled, until_bytes=framed(EVENT)) == framed(EVENT)
        # One that comes in pieces goes on in pieces; behind it the next one is whole again.
        half = framed(EVENT)[:9]
        assert await stream.pass_on(half, until_bytes=framed(half[4:])) == framed(half[4:])
        left = EVENT[5:]
        assert await stream.pass_on(framed(EVENT)[9:], until_bytes=framed(left)) == framed(left)
        parsed.clear()
        assert await stream.pass_on(framed(USAGE)) == framed(USAGE)
        assert not parsed


@on_both_loops
async def test_a_client_that_knows_no_chunks_gets_none():
    async with streaming(version="1.0") as stream:
        for _ in range(3):
            assert await stream.pass_on(framed(EVENT), until_bytes=EVENT) == EVENT
        await stream.pass_on(b"0\r\n\r\n", until_bytes=b"")
        assert await stream.client.reader.read() == b""


@pytest.mark.parametrize(
    ("last", "ending"), [(EVENT, b'data: {"error": {'), (b"data: {", b'"error": {')]
)
@on_both_loops
async def test_a_stream_of_whole_chunks_that_breaks_off_ends_with_its_reason(last, ending):
    async with streaming() as stream:
        for event in (EVENT, EVENT, last):
            assert await stream.pass_on(framed(event)) == framed(event)
        stream.line.reset()
        end = await stream.client.chunk()
        assert end.startswith(ending)
        assert await stream.client.chunk() == b""
        await until(lambda: stream.meter.plane.traffic["flan-t5"].broken == 1)
