"""Limits of one client's connection: towards the gateway, and among its own requests."""

import asyncio
import contextlib
from typing import Any

import pytest

from parkmeter.core.meter import Status
from parkmeter.proxy.client_protocol import protocol_for
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.upstream_pool import UpstreamPool
from parkmeter.web.routes import Timeouts
from tests.support.gateway_at_work import (
    Client,
    Gateway,
    gateway,
    not_found,
    on_both_loops,
    served,
    until,
    waiting,
)
from tests.support.scripted_upstream import OK, ServerEnd, answering, upstream

HOST = b"Host: gateway.test\r\n"
TOKEN = b"Authorization: t-invoke\r\n"
PROMPT = b"POST /flan HTTP/1.1\r\n" + HOST + TOKEN + b"Content-Length: 2\r\n\r\n{}"
UNKNOWN = b"POST /flan HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n"
BAD_BODY = b"POST /flan HTTP/1.1\r\n" + HOST + TOKEN + b"Transfer-Encoding: chunked\r\n\r\nx\r\n"
BAD_ADDRESS = b"GET http://[/ HTTP/1.1\r\n" + HOST + b"\r\n"
CONTROL = b"POST /control HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n"


class Application:
    """An application that answers when `go_on` is set, and counts the requests carried out."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.done = 0
        self.disconnected = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/control":
            await not_found(scope, receive, send)
            return
        await receive()
        if not self.go_on.is_set():
            leaving = asyncio.ensure_future(receive())
            going = asyncio.ensure_future(self.go_on.wait())
            await asyncio.wait({leaving, going}, return_when=asyncio.FIRST_COMPLETED)
            going.cancel()
            if leaving.done() and leaving.result()["type"] == "http.disconnect":
                self.disconnected += 1
            leaving.cancel()
        self.done += 1
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def beside(application: Application, plane: DataPlane):
    """Yield a client of an application that shares its connection with a data plane."""
    made: list[Client] = []

    def part() -> None:
        application.go_on.set()
        for client in made:
            client.leave()

    async with served(application, http=protocol_for(plane), part=part) as port:
        made.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        yield made[0]


def written(meter: Gateway) -> int:
    """Return the bytes that wait for clients that do not read."""
    return sum(one.transport.get_write_buffer_size() for one in meter.connections)


# ── Who does not read ────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_refusals_for_a_client_that_does_not_read_do_not_pile_up():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        client.writer.transport.pause_reading()
        sending = asyncio.create_task(client.send(UNKNOWN * 80_000))
        await asyncio.sleep(0.5)
        assert written(meter) < 2**21
        sending.cancel()


@on_both_loops
async def test_answers_for_a_client_that_does_not_read_do_not_pile_up():
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    async with upstream(answering(large)) as model, gateway(model.address) as meter:
        client = await meter.client()
        client.writer.transport.pause_reading()
        await client.send(PROMPT * 500)
        await asyncio.sleep(0.5)
        assert written(meter) < 2**20
        client.writer.transport.resume_reading()
        for _ in range(500):
            assert len((await client.reply()).body) == 100_000


# ── Nonsense behind what is good ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("nonsense", [BAD_BODY, BAD_ADDRESS, b"nonsense\r\n\r\n"])
@on_both_loops
async def test_nonsense_behind_a_prompt_is_answered_after_it(nonsense):
    go_on = asyncio.Event()

    async def slow(line: ServerEnd) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n")
        await go_on.wait()
        await line.send(b"3\r\nllo\r\n0\r\n\r\n")
        await line.gone()

    async with upstream(slow) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.send(PROMPT)
        await client.head()
        await client.send(nonsense)
        assert await client.chunk() == b"he"
        await asyncio.sleep(0.02)
        go_on.set()
        assert [await client.chunk() for _ in range(2)] == [b"llo", b""]
        assert (await client.reply()).status == 400
        assert await client.reader.read() == b""
        assert model.connections == 1


@pytest.mark.parametrize("nonsense", [BAD_BODY, BAD_ADDRESS, b"nonsense\r\n\r\n"])
@on_both_loops
async def test_nonsense_behind_a_control_request_is_answered_after_it(nonsense):
    application = Application()
    async with gateway() as meter, beside(application, meter.plane) as client:
        await client.send(CONTROL)
        await asyncio.sleep(0.02)
        await client.send(nonsense)
        await asyncio.sleep(0.02)
        application.go_on.set()
        assert [(await client.reply()).status for _ in range(2)] == [204, 400]
        assert await client.reader.read() == b""
    assert (application.done, application.disconnected) == (1, 0)


@on_both_loops
async def test_one_refusal_is_enough_for_a_request_that_is_wrong_twice():
    async with gateway() as meter:
        client = await meter.client()
        await client.send(BAD_BODY.replace(TOKEN, b"").removesuffix(b"x\r\n"))
        assert (await client.reply()).status == 401
        await client.send(b"x\r\n")
        assert await client.reader.read() == b""


# ── What ends a connection ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("token", ["t-invoke", "t-unknown", None])
@on_both_loops
async def test_a_refusal_of_head_has_no_body(token):
    async with gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        for _ in range(2):
            await client.ask("/flan/x", None, method="HEAD", token=token)
            status, fields = await client.head()
            assert (status, int(fields["content-length"]) > 0) == (status, True)
            assert status in {401, 403, 503}


@pytest.mark.parametrize("head", [b"", TOKEN], ids=["401", "503"])
@on_both_loops
async def test_a_body_that_was_not_invited_ends_its_connection(head):
    async with gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        expecting = b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        await client.send(b"POST /flan HTTP/1.1\r\n" + HOST + head + expecting)
        reply = await client.reply()
        assert (reply.status in {401, 503}, reply.fields["connection"]) == (True, "close")
        assert await client.reader.read() == b""


@on_both_loops
async def test_a_control_request_that_waits_to_be_invited_ends_its_connection():
    application = Application()
    application.go_on.set()
    async with gateway() as meter, beside(application, meter.plane) as client:
        expecting = b"Expect: 100-continue\r\nContent-Length: 20\r\n\r\n"
        await client.send(b"POST /elsewhere HTTP/1.1\r\n" + HOST + expecting)
        reply = await client.head()
        assert (reply[0], reply[1]["connection"]) == (404, "close")


@on_both_loops
async def test_an_old_client_is_not_invited():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        expecting = b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"
        await client.send(b"POST /flan HTTP/1.0\r\n" + TOKEN + expecting)
        assert (await client.head())[0] == 200


@pytest.mark.parametrize("behind", [PROMPT, CONTROL])
@on_both_loops
async def test_nothing_is_carried_out_behind_an_answer_that_ends_the_connection(behind):
    application = Application()
    application.go_on.set()
    asked = []

    async def script(line: ServerEnd) -> None:
        asked.append(await line.request())
        await line.send(OK)

    old = b"POST /flan HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
    async with upstream(script) as model, gateway(model.address) as meter:
        async with beside(application, meter.plane) as client:
            await client.send(old + behind)
            assert (await client.reply()).status == 401
            assert await client.reader.read() == b""
        await asyncio.sleep(0.02)
    assert (asked, application.done) == ([], 0)


# ── Who leaves ───────────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_a_client_that_leaves_with_a_large_body_on_a_new_connection_is_noticed():
    started = asyncio.Event()

    async def silent(line: ServerEnd) -> None:
        await line.request()
        started.set()
        await line.gone()

    async with upstream(silent) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=b"x" * 150_000)
        await started.wait()
        client.leave()
        await meter.at_rest()


@on_both_loops
async def test_a_client_that_leaves_while_held_with_a_large_body_is_noticed():
    async with gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(body=b"x" * 100_000, fields="Prefer: wait=60\r\n")
        await until(lambda: meter.gate.waiting("flan-t5") == 1)
        await asyncio.sleep(0.02)
        client.leave()
        await meter.at_rest()


# ── Who sends too much ───────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_a_large_prompt_behind_a_slow_control_request_waits_outside():
    application = Application()
    async with gateway() as meter, beside(application, meter.plane) as client:
        await client.send(CONTROL)
        await asyncio.sleep(0.02)
        sent = 0
        client.writer.transport.set_write_buffer_limits(high=0)
        head = b"POST /flan HTTP/1.1\r\n" + HOST + TOKEN + b"Content-Length: 100000000\r\n\r\n"
        client.writer.write(head)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while sent < 30_000_000:
                    await client.send(b"x" * 100_000)
                    sent += 100_000
        assert sent < 15_000_000  # the sockets' own buffers, on both sides
        client.leave()


@on_both_loops
async def test_a_server_that_sends_an_unrequested_answer_is_not_used_again():
    twice = OK + b"HTTP/1.1 200 OK\r\nX: "
    async with upstream(answering(twice)) as model, gateway(model.address) as meter:
        client = await meter.client()
        for _ in range(2):
            reply = await client.exchange()
            assert (reply.status, "x" in reply.fields) == (200, False)
        assert model.connections == 2


@on_both_loops
async def test_an_unexpected_error_of_a_connection_is_answered_at_once():
    class Broken(UpstreamPool):
        async def open(self, address: Any) -> Any:
            raise UnicodeError("label too long")

    patient = Timeouts(connect_seconds=60)
    async with gateway("http://127.0.0.1:9", pool=Broken(), timeouts=patient) as meter:
        assert (await meter.exchange()).status == 500


@on_both_loops
async def test_of_thousands_of_requests_in_one_read_few_are_kept_as_requests():
    async with upstream(answering(OK)) as model, gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(fields="Prefer: wait=60\r\n")
        await until(lambda: waiting(meter.gate) == 1)
        (connection,) = meter.connections
        await client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 3000)
        await until(lambda: bool(connection.pipeline))
        assert len(connection.pipeline) < 200
        meter.show(address=model.address)
        assert (await client.reply()).status == 200
        for _ in range(3000):
            assert (await client.head())[0] == 404
            assert await client.chunk() == b""


@on_both_loops
async def test_a_long_body_behind_a_held_prompt_arrives_whole():
    bodies: list[bytes] = []

    async def script(end: ServerEnd) -> None:
        while True:
            bodies.append((await end.request())[1])
            await end.send(OK)

    async with upstream(script) as model, gateway() as meter:
        meter.show(Status.STARTING)
        client = await meter.client()
        await client.ask(fields="Prefer: wait=60\r\n")
        await until(lambda: waiting(meter.gate) == 1)
        lines = b"one line\n" * 20_000
        asking = [asyncio.create_task(client.ask(body=body)) for body in (b"2", lines, b"4")]
        meter.show(address=model.address)
        for _ in range(4):
            assert (await client.reply()).status == 200
        await asyncio.gather(*asking)
    assert bodies == [b"{}", b"2", lines, b"4"]


@on_both_loops
async def test_thousands_of_refusals_in_one_read_do_not_keep_others_waiting():
    async with gateway() as meter:
        flood = await meter.client()
        flood.writer.write(b"POST /flan HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" * 3000)
        assert (await flood.reply()).status == 401
        assert sum(meter.plane.traffic["flan-t5"].statuses) < 1000, (
            "not all in one turn of the loop"
        )
        for _ in range(2999):
            assert (await flood.reply()).status == 401
