"""Requests on their way to the model server, answers on their way back, both streamed."""

import asyncio

import pytest

from parkmeter.core.meter import Status
from parkmeter.web.routes import Limits, Timeouts
from tests.support.gateway_at_work import gateway, on_both_loops, until
from tests.support.scripted_upstream import OK, Received, ServerEnd, answering, upstream

MEGABYTE = 2**20


def keeping(asked: list[Received], answer: bytes = OK):
    async def script(line: ServerEnd) -> None:
        while True:
            head, _ = await line.request()
            asked.append(head)
            await line.send(answer)

    return script


# ── Requests ────────────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_a_request_goes_on_without_what_belongs_to_the_gateway_and_its_connection():
    asked: list[Received] = []
    fields = (
        "Accept: text/event-stream\r\nX-Bytes: \xff\xe9\r\nX-Twice: 1\r\n"
        "Connection: keep-alive, x-private\r\nX-Private: secret\r\nKeep-Alive: timeout=5\r\n"
        "Proxy-Authorization: Basic Zm9v\r\nProxy-Connection: close\r\nTE: trailers\r\n"
        "Trailer: X-Sum\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\n"
    )
    async with upstream(keeping(asked)) as model, gateway(model.address) as meter:
        await meter.exchange(fields=fields)
    assert asked[0].line == "POST /invocations HTTP/1.1"
    assert asked[0].fields == [
        ("accept", "text/event-stream"),
        ("x-bytes", "\xff\xe9"),
        ("x-twice", "1"),
        ("Host", model.address.removeprefix("http://")),
        ("Forwarded", 'for=127.0.0.1;host="gateway.test:8080";proto=http'),
        ("Content-Length", "2"),
    ]
    assert b"t-invoke" not in asked[0].raw


@on_both_loops
async def test_a_connection_header_cannot_take_the_framing_away():
    asked: list[Received] = []
    async with upstream(keeping(asked)) as model, gateway(model.address) as meter:
        await meter.exchange(fields="Connection: content-length, host, authorization\r\n")
    assert (asked[0]["Content-Length"], asked[0]["Authorization"]) == ("2", None)


@pytest.mark.parametrize(
    ("method", "target", "line"),
    [
        ("POST", "/flan?seed=321&x=%20y", "POST /invocations?seed=321&x=%20y"),
        ("POST", "/other?c=d", "POST /v1/completions?a=b&c=d"),
        ("POST", "/endpoints/flan-t5/invocations", "POST /invocations"),
        ("GET", "/flan/v1/models", "GET /v1/models"),
        ("PUT", "/flan/a%2Fb//c;d=%zz?q=%00&&", "PUT /a%2Fb//c;d=%zz?q=%00&&"),
        ("DELETE", "/flan/", "DELETE /"),
        ("GET", "/flan//evil.test/x", "GET //evil.test/x"),
        ("GET", "/flan/...//..x/.hidden", "GET /...//..x/.hidden"),
        ("OPTIONS", "/flan/x?", "OPTIONS /x"),
    ],
)
@on_both_loops
async def test_paths_and_queries_are_kept_byte_for_byte(method, target, line):
    asked: list[Received] = []
    async with upstream(keeping(asked)) as model, gateway(model.address) as meter:
        meter.show(address=model.address, name="other")
        assert (await meter.exchange(target, method=method)).status == 200
    assert asked[0].line == f"{line} HTTP/1.1"


@on_both_loops
async def test_a_request_without_a_body_stays_without():
    asked: list[Received] = []
    async with upstream(keeping(asked)) as model, gateway(model.address) as meter:
        await meter.exchange("/flan/ping", None, method="GET")
    assert (asked[0]["Content-Length"], asked[0]["Transfer-Encoding"]) == (None, None)


@on_both_loops
async def test_a_chunked_body_that_is_whole_at_once_goes_on_with_its_length():
    asked: list[Received] = []
    async with upstream(keeping(asked)) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(
            body=None,
            fields="Transfer-Encoding: chunked\r\n",
        )
        await client.send(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert (await client.reply()).status == 200
    length, coding = asked[0]["Content-Length"], asked[0]["Transfer-Encoding"]
    assert (length, coding) in {("5", None), (None, "chunked")}


@on_both_loops
async def test_the_model_server_has_the_first_piece_before_the_client_sends_the_second():
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(line: ServerEnd) -> None:
        await line.head()
        while piece := await line.chunk():
            arrived.put_nowait(piece)
        await line.send(OK)

    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=None, fields="Transfer-Encoding: chunked\r\n")
        for piece in (b"one", b"two", b"three"):
            await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert await arrived.get() == piece
        await client.send(b"0\r\n\r\n")
        assert (await client.reply()).status == 200


@on_both_loops
async def test_a_body_of_known_length_streams_with_its_length():
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(line: ServerEnd) -> None:
        assert (await line.head())["Content-Length"] == "6"
        for _ in range(2):
            arrived.put_nowait(await line.reader.readexactly(3))
        await line.send(OK)

    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=None, fields="Content-Length: 6\r\n")
        for piece in (b"one", b"two"):
            await client.send(piece)
            assert await arrived.get() == piece
        assert (await client.reply()).status == 200


@on_both_loops
async def test_a_chunked_body_over_the_limit_is_a_413_and_never_ends_at_the_model_server():
    ended = asyncio.Event()

    async def script(line: ServerEnd) -> None:
        await line.head()
        try:
            while await line.chunk():
                pass
            ended.set()
        finally:
            broken.set()

    broken = asyncio.Event()
    limits = Limits(max_body_bytes=100)
    async with upstream(script) as model, gateway(model.address, limits=limits) as meter:
        client = await meter.client()
        await client.ask(body=None, fields="Transfer-Encoding: chunked\r\n")
        await client.send(b"40\r\n" + b"x" * 64 + b"\r\n")
        await until(lambda: model.connections == 1)
        await client.send(b"40\r\n" + b"x" * 64 + b"\r\n")
        reply = await client.reply()
        await broken.wait()
    assert (reply.status, reply.json["limit_bytes"], ended.is_set()) == (413, 100, False)


@on_both_loops
async def test_a_client_that_expects_100_continue_is_invited_only_when_admitted():
    async with upstream(answering(OK)) as model, gateway() as meter:
        client = await meter.client()
        head = (
            b"POST /flan HTTP/1.1\r\nHost: x\r\nAuthorization: t-invoke\r\n"
            b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        await client.send(head)
        assert (await client.reply()).status == 503
        meter.show(address=model.address)
        client = await meter.client()
        await client.send(head)
        assert await client.head() == (100, {})
        await client.send(b"{}")
        assert (await client.reply()).status == 200


@on_both_loops
async def test_a_model_server_that_does_not_read_slows_the_client_down():
    async def script(line: ServerEnd) -> None:
        await line.head()
        await over.wait()

    over = asyncio.Event()
    sent = 0
    limits, timeouts = Limits(max_body_bytes=400 * MEGABYTE), Timeouts(upload_seconds=1)
    async with (
        upstream(script) as model,
        gateway(model.address, limits=limits, timeouts=timeouts) as meter,
    ):
        client = await meter.client()
        await client.ask(body=None, fields=f"Content-Length: {200 * MEGABYTE}\r\n")
        block = b"x" * MEGABYTE
        try:
            while sent < 200:
                async with asyncio.timeout(0.5):
                    await client.send(block)
                sent += 1
        except TimeoutError:
            pass  # kernel and stream readers are full; nothing moves
        assert sent < 50
        assert (await client.reply()).status == 504
        await meter.at_rest()


@on_both_loops
async def test_an_answer_that_comes_early_is_passed_on_and_the_rest_is_not_sent():
    async def script(line: ServerEnd) -> None:
        await line.head()
        await line.chunk()
        await line.send(b"HTTP/1.1 422 No\r\nContent-Length: 2\r\n\r\n[]")
        rest.append(await line.reader.read())

    rest: list[bytes] = []
    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=None, fields="Transfer-Encoding: chunked\r\n")
        await client.send(b"3\r\none\r\n")
        assert (await client.reply()).status == 422
        await client.send(b"3\r\ntwo\r\n0\r\n\r\n")
        await until(lambda: bool(rest))
        assert (await client.exchange(token=None)).status == 401  # the connection is still good
    assert rest == [b""]


@on_both_loops
async def test_a_good_answer_may_begin_before_the_request_has_ended():
    async def script(line: ServerEnd) -> None:
        await line.head()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while piece := await line.chunk():
            await line.send(b"%x\r\n%b\r\n" % (len(piece), piece.upper()))
        await line.send(b"0\r\n\r\n")

    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=None, fields="Transfer-Encoding: chunked\r\n")
        await client.send(b"3\r\none\r\n")
        await client.head()
        assert await client.chunk() == b"ONE"
        await client.send(b"3\r\ntwo\r\n0\r\n\r\n")
        assert await client.chunk() == b"TWO"
        assert await client.chunk() == b""


# ── Answers ─────────────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_an_answer_comes_without_what_belongs_to_its_connection():
    answer = (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Trailer: X-Sum\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\nVary: a\r\n"
        b"Vary: b\r\nServer: model/1\r\nContent-Type: a/b\r\nParkmeter-Seconds-Left: 1000000\r\n"
        b"Preference-Applied: wait=1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;ext=1\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    async with upstream(answering(answer)) as model, gateway(model.address) as meter:
        reply = await meter.exchange()
    assert reply.body == b"{}"
    assert reply.fields == {
        "vary": "a, b",
        "server": "model/1",
        "content-type": "a/b",
        "parkmeter-seconds-left": "3600",
        "parkmeter-expires-at": "2027-03-01T13:00:00Z",
        "transfer-encoding": "chunked",
    }


@on_both_loops
async def test_the_client_has_the_first_event_before_the_model_server_sends_the_second():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        while event := await events.get():
            await line.send(b"%x\r\n%b\r\n" % (len(event), event))
        await line.send(b"0\r\n\r\n")

    events: asyncio.Queue[bytes] = asyncio.Queue()
    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask()
        status, fields = await client.head()  # before there is any event
        assert (status, fields["content-type"]) == (200, "text/event-stream")
        for number in range(3):
            events.put_nowait(b"data: %d\n\n" % number)
            assert await client.chunk() == b"data: %d\n\n" % number
        events.put_nowait(b"")
        assert await client.chunk() == b""


@on_both_loops
async def test_an_answer_that_ends_with_its_connection_is_whole():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(b"HTTP/1.0 200 OK\r\n\r\n", b"all of it")

    async with upstream(script) as model, gateway(model.address) as meter:
        for _ in range(2):
            assert (await meter.exchange()).body == b"all of it"
    assert model.connections == 2


@on_both_loops
async def test_interim_answers_are_skipped():
    interim = b"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
    async with upstream(answering(interim + OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        for _ in range(2):
            reply = await client.exchange()
            assert (reply.status, reply.body) == (200, b"{}")
            assert not {"link", "x-interim"} & set(reply.fields)
    assert model.connections == 1


@pytest.mark.parametrize(
    ("method", "answer", "length"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", "1234"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: x\r\n\r\n", None),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "0"),
    ],
)
@on_both_loops
async def test_answers_without_a_body_leave_the_connection_good_for_the_next(
    method, answer, length
):
    async with upstream(answering(answer)) as model, gateway(model.address) as meter:
        client = await meter.client()
        for _ in range(3):
            reply = await client.exchange("/flan/x", None, method=method)
            assert (reply.body, reply.fields.get("content-length")) == (b"", length)


@on_both_loops
async def test_a_client_that_does_not_read_slows_the_model_server_down():
    async def script(line: ServerEnd) -> None:
        nonlocal sent
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MEGABYTE))
        block = b"x" * MEGABYTE
        try:
            while sent < 200:
                async with asyncio.timeout(0.5):
                    await line.send(block)
                sent += 1
        except TimeoutError:
            pass  # nothing moves
        stuck.set()
        await line.gone()
        closed.set()

    sent = 0
    stuck, closed = asyncio.Event(), asyncio.Event()
    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask()
        await stuck.wait()
        assert sent < 50  # what the kernel takes for two connections, and a little of ours
        client.leave()
        await meter.at_rest()
        await closed.wait()


@on_both_loops
async def test_a_large_answer_arrives_whole_at_a_client_that_reads():
    body = bytes(range(256)) * (20 * MEGABYTE // 256)

    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)

    async with upstream(script) as model, gateway(model.address) as meter:
        assert (await meter.exchange()).body == body


@on_both_loops
async def test_kept_alive_connections_carry_many_requests():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        clients = [await meter.client() for _ in range(4)]
        for _ in range(25):
            for reply in await asyncio.gather(*(client.exchange() for client in clients)):
                assert reply.status == 200
    assert model.connections <= 4


@on_both_loops
async def test_pipelined_requests_are_answered_in_their_order():
    async def script(line: ServerEnd) -> None:
        while True:
            _, body = await line.request()
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + body)

    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        for body in (b"1", b"2", b"3"):
            await client.ask(body=body)
        assert [(await client.reply()).body for _ in range(3)] == [b"1", b"2", b"3"]


@on_both_loops
async def test_the_timeline_counts_admitted_requests_and_no_refused_ones():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        for token in (None, "t-purse", "t-nonsense"):
            assert (await meter.exchange(token=token)).status in {401, 403}
        assert meter.plane.traffic["flan-t5"].admitted == 0
        assert (await meter.exchange()).status == 200
        assert meter.plane.traffic["flan-t5"].admitted == 1
        meter.show(Status.STOPPED, minutes=0)
        assert (await meter.exchange()).status == 402
        assert meter.plane.traffic["flan-t5"].admitted == 1
