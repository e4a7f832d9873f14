"""Failures on either side: their answers, and that nothing is left behind."""

import asyncio
import socket

import pytest

from parkmeter.core.meter import Status
from parkmeter.web.routes import Timeouts
from tests.support.gateway_at_work import gateway, on_both_loops, until
from tests.support.scripted_upstream import OK, ServerEnd, answering, upstream

QUICK = Timeouts(connect_seconds=0.1, first_byte_seconds=0.1, idle_seconds=0.1, upload_seconds=0.1)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@on_both_loops
async def test_a_model_server_that_is_not_there_is_a_502():
    async with upstream(answering(OK)) as model:
        pass
    async with gateway(model.address) as meter:
        reply = await meter.exchange()
    assert (reply.status, reply.json["code"]) == (502, "upstream_unreachable")
    assert "127.0.0.1" not in reply.json["detail"]
    assert reply.fields["parkmeter-seconds-left"] == "3600"


@pytest.mark.parametrize("address", ["https://127.0.0.1:1", "http://x:port", "http://h/path", "//"])
@on_both_loops
async def test_an_address_that_cannot_be_used_is_a_502(address):
    async with gateway(address) as meter:
        assert (await meter.exchange()).status == 502


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 777 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 30_000 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 3_000,
    ],
)
@on_both_loops
async def test_an_answer_that_is_none_is_a_502(answer):
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(answer)

    async with upstream(script) as model, gateway(model.address) as meter:
        reply = await meter.exchange()
        await meter.at_rest()
    assert (reply.status, reply.json["code"]) == (502, "upstream_unreachable")


@pytest.mark.parametrize(
    "begun",
    [HEAD, HEAD + b"x" * 99, CHUNKED, CHUNKED + b"5\r\nhello\r\n", CHUNKED + b"5\r\nhel"],
)
@pytest.mark.parametrize("reset", [False, True])
@on_both_loops
async def test_an_answer_that_breaks_off_looks_broken_to_the_client(begun, reset):
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(begun)
        await arrived.wait()
        if reset:
            line.reset()

    arrived = asyncio.Event()
    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask()
        status, fields = await client.head()
        arrived.set()
        rest = await client.reader.read()
        await meter.at_rest()
    assert status == 200
    if "content-length" in fields:
        assert len(rest) == len(begun) - len(HEAD)
    else:
        assert not rest.endswith(b"0\r\n\r\n")


@on_both_loops
async def test_an_answer_that_turns_into_nonsense_looks_broken():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await arrived.wait()
        await line.send(b"ZZ\r\n")
        await line.gone()

    arrived = asyncio.Event()
    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask()
        await client.head()
        arrived.set()
        assert await client.reader.read() == b"5\r\nhello\r\n"


# ── Time-outs ───────────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_a_model_server_that_takes_no_connection_is_a_504():
    """A listener that never accepts, with its backlog full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        host, port = listening.getsockname()
        queue = [socket.socket() for _ in range(4)]
        for one in queue:
            one.setblocking(False)
            one.connect_ex((host, port))
        async with gateway(f"{host}:{port}", timeouts=QUICK) as meter:
            reply = await meter.exchange()
        for one in queue:
            one.close()
    assert (reply.status, reply.json["code"]) == (504, "upstream_timeout")


@on_both_loops
async def test_an_internal_error_is_a_500_without_details():
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    async with gateway("127.0.0.1:1") as meter:
        meter.pool.reuse = broken  # type: ignore[assignment]
        reply = await meter.exchange()
    assert (reply.status, reply.json["code"]) == (500, "internal")
    assert b"secret" not in reply.body


@on_both_loops
async def test_a_model_server_that_does_not_answer_is_a_504():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.gone()
        closed.set()

    closed = asyncio.Event()
    async with upstream(script) as model, gateway(model.address, timeouts=QUICK) as meter:
        reply = await meter.exchange()
        await closed.wait()
    assert (reply.status, reply.json["code"]) == (504, "upstream_timeout")


@on_both_loops
async def test_a_model_server_that_pauses_too_long_is_cut_off_visibly():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await line.gone()

    async with upstream(script) as model, gateway(model.address, timeouts=QUICK) as meter:
        client = await meter.client()
        await client.ask()
        await client.head()
        assert await client.reader.read() == b"5\r\nhello\r\n"


@on_both_loops
async def test_an_answer_that_keeps_coming_may_take_longer_than_any_pause():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(CHUNKED)
        for _ in range(12):
            await asyncio.sleep(0.05)
            await line.send(b"1\r\nx\r\n")
        await line.send(b"0\r\n\r\n")

    timeouts = Timeouts(first_byte_seconds=0.4, idle_seconds=0.4, upload_seconds=0.4)
    async with upstream(script) as model, gateway(model.address, timeouts=timeouts) as meter:
        assert (await meter.exchange()).body == b"x" * 12


@pytest.mark.parametrize("sent", [b"", b"half"])
@on_both_loops
async def test_a_client_that_stops_sending_its_body_is_a_408(sent):
    async def script(line: ServerEnd) -> None:
        await line.gone()

    async with upstream(script) as model, gateway(model.address, timeouts=QUICK) as meter:
        client = await meter.client()
        await client.ask(body=None, fields="Content-Length: 8\r\n")
        await client.send(sent)
        reply = await client.reply()
        await meter.at_rest()
    assert (reply.status, reply.json["code"]) == (408, "upload_stalled")


@on_both_loops
async def test_a_client_that_never_reads_does_not_stay_in_flight_for_ever():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n")
        await line.send(b"x" * 90_000_000)

    timeouts = Timeouts(idle_seconds=0.5)
    async with upstream(script) as model, gateway(model.address, timeouts=timeouts) as meter:
        client = await meter.client()
        await client.ask()
        assert (await client.head())[0] == 200
        await meter.at_rest()


# ── Clients that leave ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("begun", [b"", HEAD, CHUNKED + b"5\r\nhello\r\n"])
@on_both_loops
async def test_a_client_that_leaves_takes_its_upstream_connection_with_it(begun):
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(begun)
        asked.set()
        await line.gone()
        closed.set()

    asked, closed = asyncio.Event(), asyncio.Event()
    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask()
        await asked.wait()
        assert meter.gate.in_flight("flan-t5") == 1
        client.leave()
        await closed.wait()
        await meter.at_rest()
    assert meter.idle == []


@on_both_loops
async def test_a_client_that_leaves_amid_its_body_leaves_no_whole_request_behind():
    async def script(line: ServerEnd) -> None:
        await line.head()
        head.set()
        await line.gone()
        closed.set()

    head, closed = asyncio.Event(), asyncio.Event()
    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask(body=None, fields="Transfer-Encoding: chunked\r\n")
        await client.send(b"5\r\nhello\r\n")
        await head.wait()
        client.leave()
        await closed.wait()
        await meter.at_rest()


@on_both_loops
async def test_the_last_request_of_a_closed_meter_wakes_the_clock():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await done.wait()
        await line.send(OK)

    done = asyncio.Event()
    async with upstream(script) as model, gateway(model.address) as meter:
        clients = [await meter.client() for _ in range(2)]
        for client in clients:
            await client.ask()
        await until(lambda: meter.gate.in_flight("flan-t5") == 2)
        meter.show(Status.STOPPING, model.address, minutes=0)
        clients[0].leave()
        await until(lambda: meter.gate.in_flight("flan-t5") == 1)
        assert meter.idle == []
        done.set()
        assert (await clients[1].reply()).status == 200
        await meter.at_rest()
        assert meter.idle == ["flan-t5"]


# ── Kept-alive connections that are closed at the other end ─────────────────────────────────────


def closing_on_the_second(how: str):
    """Answer each connection's first request, and close on the second."""

    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(OK)
        if how == "at once":
            return
        await line.head()
        if how == "by a reset":
            line.reset()

    return script


@on_both_loops
async def test_a_connection_found_closed_costs_no_request():
    async with upstream(closing_on_the_second("at once")) as model, gateway(model.address) as meter:
        client = await meter.client()
        for _ in range(5):
            assert (await client.exchange()).status == 200
            await asyncio.sleep(0.01)  # for the end of the connection to arrive
    assert model.connections == 5


@pytest.mark.parametrize("how", ["after the head", "by a reset"])
@on_both_loops
async def test_a_request_that_changes_nothing_is_sent_again_on_a_new_connection(how):
    async with upstream(closing_on_the_second(how)) as model, gateway(model.address) as meter:
        client = await meter.client()
        for _ in range(3):
            reply = await client.exchange("/flan/v1/models", None, method="GET")
            assert reply.status == 200
    assert model.connections == 3


@pytest.mark.parametrize("how", ["after the head", "by a reset"])
@on_both_loops
async def test_a_prompt_that_may_have_run_is_not_run_again(how):
    async with upstream(closing_on_the_second(how)) as model, gateway(model.address) as meter:
        client = await meter.client()
        assert [(await client.exchange()).status for _ in range(3)] == [200, 502, 200]
    assert model.connections == 2


@on_both_loops
async def test_a_fresh_connection_that_closes_is_not_tried_again():
    async def script(line: ServerEnd) -> None:
        await line.head()

    async with upstream(script) as model, gateway(model.address) as meter:
        reply = await meter.exchange("/flan/v1/models", None, method="GET")
    assert (reply.status, model.connections) == (502, 1)


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"x"])
@on_both_loops
async def test_unrequested_data_of_a_model_server_is_no_answer(extra):
    async with upstream(answering(OK + extra)) as model, gateway(model.address) as meter:
        client = await meter.client()
        for _ in range(3):
            assert (await client.exchange()).body == b"{}"
    assert model.connections == 3
