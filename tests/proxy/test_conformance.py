"""HTTP/1.1 as RFC 9112 has it, at its edges: what is read, what is refused, wherever it is cut.

Every case goes over real sockets, all the way of a prompt. A refused request must never reach the
model server; an accepted one must mean the same to both, in however many pieces it arrives.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from parkmeter.core.meter import Status
from tests.support.gateway_at_work import Gateway, gateway, on_both_loops, on_uvloop, until
from tests.support.scripted_upstream import ServerEnd, upstream

LINE = b"POST /flan HTTP/1.1\r\n"
HOST = b"Host: gateway.test\r\n"
TOKEN = b"Authorization: t-invoke\r\n"
HEAD = LINE + HOST + TOKEN
FIVE = b"Content-Length: 5\r\n\r\nhello"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
FRONT = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST
OTHER = b"Authorization: t-elsewhere\r\n"


def sized(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def form(*models: bytes) -> bytes:
    field = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n'
    return b"".join(field % model for model in models) + b"--b--\r\n"


FORM = b"Content-Type: multipart/form-data; boundary=b\r\n"


@dataclass(frozen=True)
class Read:
    """A request as received by the model server."""

    line: str
    body: bytes
    shown: str | None


PLAIN = Read("POST /invocations HTTP/1.1", b"hello", None)


def chat(body: bytes) -> Read:
    return Read("POST /v1/chat/completions HTTP/1.1", body, None)


def showing(value: str) -> Read:
    return Read(PLAIN.line, PLAIN.body, value)


READ = {
    "a length": (HEAD + FIVE, PLAIN),
    "empty lines in front": (b"\r\n\r\n" + HEAD + FIVE, PLAIN),
    "no reason to keep it alive": (HEAD + b"Connection: close\r\n" + FIVE, PLAIN),
    "names in any case": (LINE + b"hOST: x\r\naUTHORIZATION: t-invoke\r\n" + FIVE, PLAIN),
    "a scheme in any case": (LINE + HOST + b"Authorization: bEARER  t-invoke \r\n" + FIVE, PLAIN),
    "chunks": (HEAD + CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", PLAIN),
    "chunked in any case": (
        HEAD + b"Transfer-Encoding:  Chunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        PLAIN,
    ),
    "zeros before a size": (HEAD + CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n", PLAIN),
    "chunk extensions": (HEAD + CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0;z\r\n\r\n', PLAIN),
    "a trailer": (HEAD + CHUNKED + b"5\r\nhello\r\n0\r\nX-Shown: no\r\n\r\n", PLAIN),
    "no body": (
        b"GET /flan/v1/models HTTP/1.1\r\n" + HOST + TOKEN + b"\r\n",
        Read("GET /v1/models HTTP/1.1", b"", None),
    ),
    "a length of none": (
        HEAD + b"Content-Length: 0\r\n\r\n",
        Read("POST /invocations HTTP/1.1", b"", None),
    ),
    "an old client": (b"POST /flan HTTP/1.0\r\n" + TOKEN + FIVE, PLAIN),
    "an address as for a proxy": (
        b"POST http://elsewhere:1/prod/flan?a=b HTTP/1.1\r\n" + HOST + TOKEN + FIVE,
        Read("POST /invocations?a=b HTTP/1.1", b"hello", None),
    ),
    "blanks around a value": (HEAD + b"X-Shown: \t a \tb \t\r\n" + FIVE, showing("a \tb")),
    "no blank before a value": (HEAD + b"X-Shown:a \tb\r\n" + FIVE, showing("a \tb")),
    "an empty value": (HEAD + b"X-Shown:\r\n" + FIVE, showing("")),
    "a value beyond ASCII": (HEAD + b"X-Shown: \xfc\xff\r\n" + FIVE, showing("\xfc\xff")),
    "every sign of a name": (HEAD + b"!#$%&'*+-.^_`|~9z: x\r\n" + FIVE, PLAIN),
    "a percent is kept": (
        b"POST /flan/%2Fa%20b?c=%0d HTTP/1.1\r\n" + HOST + TOKEN + FIVE,
        Read("POST /%2Fa%20b?c=%0d HTTP/1.1", b"hello", None),
    ),
    "a model that its server knows": (
        FRONT + TOKEN + sized(b'{"x":1, "mod\\u0065l": "\\u0071"}'),
        chat(b'{"x":1, "mod\\u0065l": "\\u0071"}'),
    ),
    "a model by its endpoint's name": (
        FRONT + TOKEN + sized(b'{"model" : "flan-t5","x":1}'),
        chat(b'{"model" : "q","x":1}'),
    ),
    "a model in chunks": (
        FRONT + TOKEN + CHUNKED + b'9\r\n{"model":\r\n4\r\n"q"}\r\n0\r\n\r\n',
        chat(b'{"model":"q"}'),
    ),
    "a model in a form": (FRONT + TOKEN + FORM + sized(form(b"flan-t5")), chat(form(b"q"))),
    "an id that an endpoint gave": (
        b"GET /prod/v1/responses/resp_1?a=b HTTP/1.1\r\n" + HOST + TOKEN + b"\r\n",
        Read("GET /v1/responses/resp_1?a=b HTTP/1.1", b"", None),
    ),
}

REFUSED = {
    "a line that is none": b"hello\r\n\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version that is none": b"POST /flan HTTP/1.x\r\n" + HOST + TOKEN + FIVE,
    "a method in lower case": b"post /flan HTTP/1.1\r\n" + HOST + TOKEN + FIVE,
    "a blank in the address": b"POST /flan /x HTTP/1.1\r\n" + HOST + TOKEN + FIVE,
    "no host": LINE + TOKEN + FIVE,
    "two hosts": HEAD + b"Host: other.test\r\n" + FIVE,
    "a name with a blank": HEAD + b"X Y: z\r\n" + FIVE,
    "a blank before the colon": HEAD + b"Content-Length : 5\r\n\r\nhello",
    "no name": HEAD + b": z\r\n" + FIVE,
    "no colon": HEAD + b"X\r\n" + FIVE,
    "a folded value": HEAD + b"X: y\r\n z\r\n" + FIVE,
    "a folded first header": LINE + b" X: y\r\n" + HOST + TOKEN + FIVE,
    "a NUL": HEAD + b"X: y\x00z\r\n" + FIVE,
    "a lone CR": HEAD + b"X: y\rZ: a\r\n" + FIVE,
    "two lengths": HEAD + b"Content-Length: 5\r\n" + FIVE,
    "two other lengths": HEAD + b"Content-Length: 4\r\n" + FIVE,
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "a length in sixteens": HEAD + b"Content-Length: 0x5\r\n\r\nhello",
    "an empty length": HEAD + b"Content-Length:\r\n\r\nhello",
    "a length beyond counting": HEAD + b"Content-Length: %b\r\n\r\n" % (b"9" * 40),
    "both framings": HEAD + b"Content-Length: 5\r\n" + CHUNKED + b"0\r\n\r\n",
    "both framings turned": HEAD + b"Transfer-Encoding: chunked\r\n" + FIVE,
    "an unknown coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    "a coding after chunked": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked\r\n" + CHUNKED + b"0\r\n\r\n",
    "a vertical tab in a coding": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a chunk of no size": HEAD + CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "a chunk's size in words": HEAD + CHUNKED + b"five\r\nhello\r\n0\r\n\r\n",
    "a signed chunk": HEAD + CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "a chunk in sixteens": HEAD + CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk beyond counting": HEAD + CHUNKED + b"f" * 20 + b"\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": HEAD + CHUNKED + b"4\r\nhello\r\n0\r\n\r\n",
    "a chunk without its end": HEAD + CHUNKED + b"5\r\nhello0\r\n\r\n",
    "two models": FRONT + TOKEN + sized(b'{"model":"q","model":"q"}'),
    "two models, one of them escaped": FRONT + TOKEN + sized(b'{"model":"q","mod\\u0065l":"q"}'),
    "two models in a form": FRONT + TOKEN + FORM + sized(form(b"q", b"q")),
    "a model behind the end": FRONT + TOKEN + sized(b'{"model":"q"}{}'),
    "a compressed model": FRONT + TOKEN + b"Content-Encoding: gzip\r\n" + sized(b'{"model":"q"}'),
    "a model in UTF-16": FRONT + TOKEN + sized('{"model":"q"}'.encode("utf-16")),
    "a model and a byte that is not UTF-8": FRONT + TOKEN + sized(b'{"model":"q","x":"\xff"}'),
    "a model with both framings": FRONT + TOKEN + b"Content-Length: 13\r\n" + CHUNKED,
    "no model": FRONT + TOKEN + sized(b"{}"),
    "an unknown model": FRONT + TOKEN + sized(b'{"model":"x"}'),
    "a model of another token's": FRONT + OTHER + sized(b'{"model":"q"}'),
    "a name of another token's": FRONT + OTHER + sized(b'{"model":"flan-t5"}'),
    "another token's in a form": FRONT + OTHER + FORM + sized(form(b"q")),
    "an id of another token's": b"GET /v1/responses/resp_1 HTTP/1.1\r\n" + HOST + OTHER + b"\r\n",
}

REFUSALS = {400, 404, 413, 415, 501}

BEGUN = {
    "a chunk longer than its size",
    "a chunk without its end",
    "a chunk of no size",
    "a chunk's size in words",
    "a signed chunk",
    "a chunk in sixteens",
    "a chunk beyond counting",
}
"""Faults in the midst of a body: its beginning may have been forwarded by then, never its end."""

ANSWERS = {
    "a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "chunks": (
        b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX-Shown: no\r\n\r\n",
        200,
        b"hello",
    ),
    "interim answers": (
        b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Early\r\nX-Shown: no\r\n\r\nHTTP/1.1 500 Sorry\r\n"
        + FIVE,
        500,
        b"hello",
    ),
    "no phrase": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "an old server": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        200,
        b"hello",
    ),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "an empty body": (b"HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n", 201, b""),
    "its last": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        200,
        b"hello",
    ),
    "an end without a word": (b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello", 200, b"hello"),
}


class Model:
    """A model server that keeps the requests it received."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") -> None:
        self.read: list[Read] = []
        self.heads = 0
        self.answer = answer
        self.cut = 0
        """Position at which the answer is cut in two; 0: not at all, -1: after every byte."""

    async def __call__(self, line: ServerEnd) -> None:
        while True:
            asked = await line.head()
            self.heads += 1
            body = await line.body(asked)
            shown = asked["X-Shown"]
            self.read.append(Read(asked.line, body, None if shown is None else shown.strip()))
            for piece in pieces(self.answer, self.cut):
                await line.send(piece)
                await turn()
            if b"\r\nX: y\r\n" in self.answer:
                return


@asynccontextmanager
async def metered(model: Model) -> AsyncIterator[Gateway]:
    """Yield a gateway whose endpoint serves `q` and has given an id."""
    async with upstream(model) as served, gateway(served.address, models=("q",)) as meter:
        meter.plane.given_ids.remember("resp_1", "flan-t5")
        yield meter


def pieces(data: bytes, cut: int) -> list[bytes]:
    if cut < 0:
        return [data[at : at + 1] for at in range(len(data))]
    return [data[:cut], data[cut:]] if cut else [data]


async def turn() -> None:
    """Let all ends read what was sent; they share one loop."""
    for _ in range(4):
        await asyncio.sleep(0)


async def answer_to(meter: Gateway, request: bytes, cut: int) -> tuple[int, bool]:
    """Send a request in pieces; return its status and True if the connection was kept."""
    client = await meter.client()
    for piece in pieces(request, cut):
        await client.send(piece)
        await turn()
        if client.reader._buffer:
            break  # refused before its last piece
    reply = await client.reply()
    kept = reply.fields.get("connection") != "close"
    if not kept:
        assert await client.reader.read() == b""
    client.leave()
    return reply.status, kept


@pytest.mark.parametrize("case", READ)
@on_both_loops
async def test_what_can_be_read_is_read_and_means_the_same_to_the_model_server(case):
    request, expected = READ[case]
    model = Model()
    async with metered(model) as meter:
        status, kept = await answer_to(meter, request, 0)
    assert status == 200
    assert kept == (b"close" not in request and b"HTTP/1.0" not in request)
    assert model.read == [expected]


@pytest.mark.parametrize("case", REFUSED)
@on_both_loops
async def test_what_can_be_read_in_two_ways_is_refused_and_never_forwarded(case):
    model = Model()
    async with metered(model) as meter:
        status, _ = await answer_to(meter, REFUSED[case], 0)
        await meter.at_rest()
    assert status in REFUSALS
    assert not model.heads


@pytest.mark.parametrize("case", READ)
@on_uvloop
async def test_a_request_means_the_same_wherever_it_is_cut(case):
    request, expected = READ[case]
    model = Model()
    async with metered(model) as meter:
        for cut in (-1, *range(1, len(request))):
            model.read.clear()
            assert (await answer_to(meter, request, cut))[0] == 200
            assert model.read == [expected], cut


@on_both_loops
async def test_a_trailer_is_no_header_not_even_of_a_request_that_is_held():
    model = Model()
    async with upstream(model) as served, gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.send(HEAD + b"Prefer: wait=9\r\n" + READ["a trailer"][0].removeprefix(HEAD))
        await until(lambda: meter.gate.waiting("flan-t5") == 1)
        meter.show(address=served.address)
        assert (await client.reply()).status == 200
    assert model.read == [PLAIN]


@on_both_loops
async def test_trailers_without_end_are_refused():
    async with upstream(Model()) as served, gateway(served.address) as meter:
        client = await meter.client()
        await client.send(HEAD + CHUNKED + b"5\r\nhello\r\n0\r\n")
        await turn()
        await client.send(b"X: y\r\n" * 20_000)
        reply = await client.reply()
    assert reply.status == 431


@pytest.mark.parametrize("case", REFUSED)
@on_uvloop
async def test_what_is_refused_is_refused_wherever_it_is_cut(case):
    request = REFUSED[case]
    model = Model()
    async with metered(model) as meter:
        for cut in (-1, *range(1, len(request))):
            assert (await answer_to(meter, request, cut))[0] in REFUSALS, cut
        await meter.at_rest()
    assert model.read == []
    assert case in BEGUN or not model.heads


@pytest.mark.parametrize("case", ANSWERS)
@on_both_loops
async def test_an_answer_means_the_same_wherever_it_is_cut(case):
    answer, status, body = ANSWERS[case]
    model = Model(answer)
    async with upstream(model) as served, gateway(served.address) as meter:
        client = await meter.client()
        for model.cut in (0, -1, *range(1, len(answer), 1 if len(answer) < 90 else 5)):
            await client.send(HEAD + FIVE)
            reply = await client.reply()
            assert (reply.status, reply.body) == (status, body), model.cut
            assert "x-shown" not in reply.fields


@on_both_loops
async def test_pipelined_requests_are_answered_in_order_wherever_they_are_cut():
    before = HEAD + FIVE + READ["chunks"][0] + READ["no body"][0]
    refused = LINE + HOST + b"Content-Length: 0\r\n\r\n"
    stream = before + refused + HEAD + FIVE
    model = Model()
    async with upstream(model) as served, gateway(served.address) as meter:
        for cut in (0, -1, *range(1, len(stream), 3)):
            client = await meter.client()
            for piece in pieces(stream, cut):
                await client.send(piece)
                await turn()
            assert [(await client.reply()).status for _ in range(5)] == [200, 200, 200, 401, 200]
            client.leave()
            assert [read.line.split()[0] for read in model.read] == ["POST", "POST", "GET", "POST"]
            model.read.clear()


@on_both_loops
async def test_a_connection_ends_with_a_refusal_whose_body_is_still_to_come():
    request = LINE + HOST + FIVE
    head = request.index(b"\r\n\r\n") + 4
    async with upstream(Model()) as served, gateway(served.address) as meter:
        for cut in range(1, len(request)):
            client = await meter.client()
            await client.send(request[:cut])
            await turn()
            await client.send(request[cut:])
            reply = await client.reply()
            ends = head <= cut
            assert (reply.status, reply.fields.get("connection")) == (
                401,
                "close" if ends else None,
            )
            client.leave()


@on_both_loops
async def test_a_thousand_requests_in_one_breath_are_answered_one_by_one():
    async with upstream(Model()) as served, gateway(served.address) as meter:
        client = await meter.client()
        await client.send((LINE + HOST + b"Content-Length: 0\r\n\r\n") * 1000)
        assert {(await client.reply()).status for _ in range(1000)} == {401}
        assert (await client.exchange()).status == 200


@on_both_loops
async def test_nonsense_behind_a_request_does_not_disturb_its_answer():
    go_on = asyncio.Event()

    async def slow(line: ServerEnd) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        await go_on.wait()
        await line.send(b"llo")

    async with upstream(slow) as served, gateway(served.address) as meter:
        client = await meter.client()
        await client.send(HEAD + FIVE + b"nonsense\r\n\r\n")
        await client.head()
        go_on.set()
        assert await client.reader.readexactly(5) == b"hello"
        assert (await client.reply()).status == 400
        assert await client.reader.read() == b""


@on_both_loops
async def test_an_old_client_reads_an_answer_of_unknown_length_to_the_end_of_its_connection():
    model = Model(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    async with upstream(model) as served, gateway(served.address) as meter:
        client = await meter.client()
        await client.send(READ["an old client"][0])
        _, fields = await client.head()
        assert "transfer-encoding" not in fields
        assert await client.reader.read() == b"hello"


@on_both_loops
async def test_an_answer_that_breaks_off_looks_broken_to_an_old_client_too():
    async def broken(line: ServerEnd) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await turn()

    async with upstream(broken) as served, gateway(served.address) as meter:
        client = await meter.client()
        await client.send(READ["an old client"][0])
        with pytest.raises(ConnectionError):
            await client.reader.readuntil(b"never said")


def test_every_refusal_here_is_one_the_table_of_readable_requests_does_not_hold():
    assert not {request for request, _ in READ.values()} & set(REFUSED.values())
    assert all(re.search(rb"\r\n\r\n|\x16", request) for request in REFUSED.values())
