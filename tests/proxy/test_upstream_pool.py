"""Connections to model servers: parsing under any cut, states, and the pool that keeps them."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkmeter.errors import UpstreamError
from parkmeter.proxy.answer_parser import State
from parkmeter.proxy.upstream_connection import UpstreamConnection
from parkmeter.proxy.upstream_pool import UpstreamPool, address_of
from tests.support.gateway_at_work import on_both_loops, until
from tests.support.scripted_upstream import OK, ServerEnd, answering, upstream

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nX-A: b c\r\nContent-Length: 11\r\n\r\nhello world",
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
    ),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
    ),
    "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\nhello world",
}


class Wire:
    """A transport without a network: for cuts that no network would make."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Waiting:
    """A requester that waits for the whole answer, without taking it."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.over = asyncio.Event()
        self.error: UpstreamError | None = None
        self.connection: UpstreamConnection | None = None

    def received(self) -> None:
        self.began.set()
        if self.connection is not None and self.connection.state is State.DONE:
            self.over.set()

    def failed(self, error: UpstreamError) -> None:
        self.error = error
        self.over.set()

    def server_full(self) -> None:
        pass

    def server_free(self) -> None:
        pass

    async def whole_answer(self, connection: UpstreamConnection) -> bytes:
        """Send a request and return the body of its answer."""
        self.connection = connection
        connection.begin(self, ASK, headless=False)
        await self.over.wait()
        return connection.take()


def parsed(*pieces: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes, State, bool]:
    """Return an answer as parsed by a connection on which it arrives in these pieces."""

    async def listen() -> tuple[int, list[tuple[bytes, bytes]], bytes, State, bool]:
        connection = UpstreamConnection()
        connection.connection_made(Wire())  # type: ignore[arg-type]
        connection.begin(Waiting(), ASK, headless=False)
        connection.request_sent = True
        for piece in pieces:
            connection.data_received(piece)
        body = connection.take()
        state = connection.state
        return connection.status, connection.headers, body, state, connection.recycle()

    return asyncio.run(listen())


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_means_the_same_wherever_it_is_cut(name):
    answer = ANSWERS[name]
    whole = parsed(answer)
    assert (whole[0], whole[2], whole[3]) == (200, b"hello world", State.DONE)
    assert whole[4] == (name != "close")
    for cut in range(1, len(answer)):
        assert parsed(answer[:cut], answer[cut:]) == whole, cut
    assert parsed(*(answer[at : at + 1] for at in range(len(answer)))) == whole


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_can_do_more_than_fail(noise):
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n", ANSWERS["chunked"][:55]):
        assert parsed(prefix, noise)[3] in State


def test_every_byte_is_refused_in_a_value_or_passed_as_it_is():
    for number in range(256):
        byte = bytes([number])
        status, headers, *_ = parsed(
            b"HTTP/1.1 200 OK\r\nX: a" + byte + b"b\r\nContent-Length: 0\r\n\r\n"
        )
        if status == 200:
            assert dict(headers)[b"x"] == b"a" + byte + b"b"
            assert number == 9 or 32 <= number != 127
        else:
            assert number < 32 or number == 127


# ── The pool, over sockets ──────────────────────────────────────────────────────────────────────


async def one_answer(pool: UpstreamPool, address: str) -> UpstreamConnection:
    where = address_of(address)
    connection = pool.reuse(where) or await pool.open(where)
    await Waiting().whole_answer(connection)
    connection.request_sent = True
    pool.give_back(where, connection)
    return connection


@on_both_loops
async def test_the_connection_used_last_is_lent_first():
    pool = UpstreamPool()
    async with upstream(answering(OK)) as model:
        first = await one_answer(pool, model.address)
        assert first is await one_answer(pool, model.address)
        assert (first.reused, pool.opened) == (True, 1)
        pool.close()


@on_both_loops
async def test_no_more_than_the_limit_stay_idle():
    pool = UpstreamPool(idle_limit=2)
    async with upstream(answering(OK)) as model:
        where = address_of(model.address)
        lent = [await pool.open(where) for _ in range(4)]
        for connection in lent:
            await Waiting().whole_answer(connection)
            connection.request_sent = True
            pool.give_back(where, connection)
        states = [connection.state for connection in lent]
        assert states == [State.IDLE, State.IDLE, State.CLOSED, State.CLOSED]
        pool.close()


@on_both_loops
async def test_nothing_stays_idle_for_long():
    pool = UpstreamPool(idle_seconds=0.05)
    async with upstream(answering(OK)) as model:
        connection = await one_answer(pool, model.address)
        await until(lambda: connection.state is State.CLOSED)
        assert pool.reuse(address_of(model.address)) is None
        pool.close()


@on_both_loops
async def test_an_idle_connection_that_hears_something_is_not_lent_again():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(OK)
        await idle.wait()
        await line.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await line.gone()

    idle = asyncio.Event()
    pool = UpstreamPool()
    async with upstream(script) as model:
        connection = await one_answer(pool, model.address)
        idle.set()
        await until(lambda: connection.state is State.CLOSED)
        assert pool.reuse(address_of(model.address)) is None
        pool.close()


@on_both_loops
async def test_a_request_that_was_not_sent_whole_spends_its_connection():
    pool = UpstreamPool()
    async with upstream(answering(OK)) as model:
        where = address_of(model.address)
        connection = await pool.open(where)
        await Waiting().whole_answer(connection)
        pool.give_back(where, connection)
        assert connection.state is State.CLOSED


@on_both_loops
async def test_a_server_that_is_made_to_wait_waits_and_goes_on():
    size = 50 * 2**20

    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        await line.send(b"x" * size)
        sent.set()
        await line.gone()

    sent = asyncio.Event()
    pool = UpstreamPool()
    async with upstream(script) as model:
        connection = await pool.open(address_of(model.address))
        listener = Waiting()
        asking = asyncio.create_task(listener.whole_answer(connection))
        await listener.began.wait()
        connection.pause_reading()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sent.wait(), 0.3)
        connection.resume_reading()
        assert len(await asking) == size
        connection.abort()


@on_both_loops
async def test_nothing_is_kept_of_an_address_whose_connections_are_used_up_or_bad():
    pool = UpstreamPool(idle_seconds=0.1)
    async with upstream(answering(OK)) as model:
        where = address_of(model.address)
        connection = await pool.open(where)
        pool.give_back(where, connection)  # never used: it cannot be kept
        assert pool._idle == {}
        connection = await pool.open(where)
        await Waiting().whole_answer(connection)
        connection.request_sent = True
        pool.give_back(where, connection)
        assert set(pool._idle) == {where.authority}
        assert pool.reuse(where) is connection
        await until(lambda: not pool._idle)
        connection.abort()
        pool.give_back(where, connection)
        assert pool._idle == {}


@on_both_loops
async def test_a_closed_port_is_an_upstream_error():
    async with upstream(answering(OK)) as model:
        pass
    with pytest.raises(UpstreamError, match="refuses"):
        await UpstreamPool().open(address_of(model.address))


def test_addresses_are_read_with_and_without_a_scheme():
    assert address_of("http://127.0.0.1:81/") == address_of("127.0.0.1:81")
    assert address_of("http://[::1]:81").authority == b"[::1]:81"
    assert (address_of("http://[::1]:81").host, address_of("http://host").port) == ("::1", 80)
