"""One client's connection: its requests are answered in the order they came, and it ends in order.

uvicorn's HTTP protocol, adapted so that prompts and the application share the connection. It may
not know how requests are read, nor tokens, meters or model servers.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any, ClassVar

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from parkmeter.proxy.connections import Connections
from parkmeter.proxy.lazy_timer import LazyTimer
from parkmeter.proxy.relay import Relay
from parkmeter.web.asgi import ABORT, Application, Message, Receive, Scope, Send
from parkmeter.web.auth import CachedToken
from parkmeter.web.problems import Problem, problem_answer
from parkmeter.web.refusals import too_many_connections

_NO_LINGER = struct.pack("ii", 1, 0)


class Reading(Enum):
    """Part of a client's request that is being read; see `ClientConnection`."""

    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()
    STOPPED = auto()


_HEAD, _STOPPED = Reading.HEAD, Reading.STOPPED
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class ClientConnection(HttpToolsProtocol):
    """Answers requests one after the other; `GatewayProtocol` reads them.

    ::

        reading     BETWEEN ──1st byte──▶ HEAD ──its end──▶ BODY ──its end──▶ BETWEEN
                       └─ malformed, too large, too late, or an answer that ends it ──▶ STOPPED

        answering   pipeline ──▶ active ──▶ nothing, if the client takes what is written
                    read, not begun         ──▶ the next of the pipeline, or rest

    Implements `ClientSide`. Of the requests that were read, the last is uvicorn's `cycle`; the one
    that is being answered is `_active`, a `Relay` or a cycle of uvicorn's. While others wait in the
    `pipeline`, or the client does not read, nothing more is read than one read brought; and of
    that, what stands behind them is kept as bytes (`_behind`): as requests it takes a hundred times
    the room.
    """

    HEAD_SECONDS: ClassVar[float] = 30.0
    """For a whole head: from the connection to its first byte, and from that to its last. Ample on
    the slowest line, and it takes no token to make us wait so long."""

    LINGER_SECONDS: ClassVar[float] = 30.0
    """For a client to take what is left of an answer when its connection ends, and to stop sending.
    Set once: with each byte that comes it would last for as long as a client likes."""

    DRAIN_LIMIT: ClassVar[int] = 32 * 1024 * 1024
    """Bytes that are read and dropped behind the last answer; three of the largest bodies allowed
    by default, for a client that reads its answer only after its last byte."""

    TAKING_SECONDS: ClassVar[float] = 60.0
    """For a client to take some of an answer of the application, which has no limit of its own."""

    def __init__(self, connections: Connections, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.timer = LazyTimer(self.loop, self._timed_out)
        self.cached_token = CachedToken(lambda: connections.recognize(self))
        self.address = ""
        self.made_at = 0.0
        self._connections = connections
        self._reading = Reading.BETWEEN
        self._active: Any = None
        self._behind = b""
        self._last_problem: Problem | None = None
        """To be sent once all requests before it are answered."""
        self._ended = False
        """Nothing more is written."""

    # ── asyncio.Protocol ────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See uvicorn."""
        super().connection_made(transport)
        self.flow = _Flow(transport, lambda: bool(self.pipeline or self._behind))
        self.timer.restart(self.HEAD_SECONDS)
        self.address = self.client[0] if self.client else ""
        self.made_at = self.loop.time()
        if not self._connections.add(self):
            self.write(problem_answer(too_many_connections().problem, keep=False))
            self._reading = _STOPPED
            self._ended = True
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See uvicorn, which would notify the last request read, not the one being answered."""
        self.timer.close()
        self._connections.remove(self)
        self.cached_token = CachedToken()  # the old one refers to this connection
        self.pipeline.clear()
        self._behind = b""
        active, self._active = self._active, None
        if isinstance(active, Relay):
            active.client_left()
            active = None
        self.cycle = active
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """See uvicorn."""
        super().pause_writing()
        if isinstance(self._active, Relay):
            self._active.client_full()
        else:
            self.timer.restart(self.TAKING_SECONDS)

    def resume_writing(self) -> None:
        """See uvicorn."""
        super().resume_writing()
        if isinstance(self._active, Relay):
            self._active.client_free()
        elif self._active is not None:
            self.timer.stop()
        self._begin_next()

    def cut(self, token_id: str) -> None:
        """End the prompt that is being answered or held, if it is of this token."""
        if isinstance(self._active, Relay):
            self._active.cut(token_id)

    # ── Connection ──────────────────────────────────────────────────────────────────────────────

    @property
    def active(self) -> bool:
        """See `Connection`."""
        return self._active is not None or bool(self.pipeline)

    @property
    def ends_at(self) -> float:
        """See `Connection`."""
        return self.timer.deadline

    def drop(self) -> None:
        """See `Connection`."""
        self.transport.abort()

    # ── ClientSide ──────────────────────────────────────────────────────────────────────────────

    def write(self, data: bytes) -> None:
        """See `ClientSide`."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def pause(self) -> None:
        """See `ClientSide`."""
        self.flow.pause_reading()

    def resume(self) -> None:
        """See `ClientSide`; not while a request waits already."""
        self.flow.resume_reading()

    def answered(self, *, keep: bool) -> None:
        """Go on to the next request, or end."""
        if keep:
            self.on_response_complete()
        else:
            self.disconnect(at_once=False)

    def disconnect(self, *, at_once: bool) -> None:
        """End the connection; send what is left within `LINGER_SECONDS`, unless `at_once`."""
        unread = self._unread
        self._active = None
        self._reading = _STOPPED
        self._ended = True
        self.pipeline.clear()
        self._behind = b""
        if at_once:
            # A reset: the plain end of a connection would end an answer of unknown length.
            connected = self.transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.transport.abort()
        elif unread and not self.transport.is_closing():
            # Closed now, its client would lose the answer: TCP resets what still sends.
            self.transport.write_eof()
            self.flow.resume_reading()
            self.timer.restart(self.LINGER_SECONDS)
        else:
            self.transport.close()
            self.timer.restart(self.LINGER_SECONDS)

    # ── uvicorn's own hooks ─────────────────────────────────────────────────────────────────────

    def on_response_complete(self) -> None:
        """Go on to the next request, or rest."""
        self.server_state.total_requests += 1
        self._active = None
        if self._ended or self.transport.is_closing():
            self.timer.restart(self.LINGER_SECONDS)
        elif self.pipeline:
            # Not at once: a thousand may wait behind one another.
            self._await_turn()
        elif self._last_problem is not None:
            self._send_problem(self._last_problem)
        else:
            if self.flow.read_paused:
                self.flow.resume_reading()
            in_head = self._reading is _HEAD
            self.timer.restart(self.HEAD_SECONDS if in_head else self.timeout_keep_alive)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._active = cycle
        self.timer.stop()
        cycle.scope["extensions"] = {ABORT: self.transport.abort}
        cycle.transport = _Outlet(self.transport, partial(self.disconnect, at_once=False))
        if any(name in _FRAMING for name, _ in cycle.scope["headers"]):
            app = _closing_if_early(cycle, app)
        if cycle.scope["http_version"] == "1.0":
            app = _without_chunks(cycle, app)
        super()._start_asgi_task(cycle, app)

    # ── Within ──────────────────────────────────────────────────────────────────────────────────

    @property
    def _busy(self) -> bool:
        """True while a request that was read is not answered."""
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _begin_next(self) -> None:
        """Begin the oldest request in the pipeline, once nothing is active or waits to be sent."""
        if self._active is not None or self.flow.write_paused or not self.pipeline:
            return
        cycle, app = self.pipeline.pop()
        if self._behind and not self.pipeline:
            self.loop.call_soon(self._read_behind)
        self.flow.resume_reading()
        if isinstance(cycle, Relay):
            self._active = cycle
            cycle.begin()
            cycle.client_sent()
        else:
            self._start_asgi_task(cycle, app)

    def _await_turn(self) -> None:
        """Have the oldest request in the pipeline begun when it is its turn."""
        raise NotImplementedError

    def _read_behind(self) -> None:
        """Read what came behind the requests that waited."""
        data, self._behind = self._behind, b""
        if data:
            self.flow.resume_reading()
            self.data_received(data)

    def _send_problem(self, problem: Problem) -> None:
        self.write(problem_answer(problem, keep=False))
        self.disconnect(at_once=False)

    def _timed_out(self) -> None:
        """Act on the timer."""
        raise NotImplementedError

    @property
    def _unread(self) -> bool:
        """True while bytes of a body are still to come."""
        raise NotImplementedError


class _Flow(FlowControl):
    """uvicorn's flow control, which reads on only when no request waits behind another."""

    def __init__(self, transport: asyncio.Transport, waits: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._waits = waits

    def resume_reading(self) -> None:
        """See uvicorn."""
        if not self._waits():
            super().resume_reading()


class _Outlet:
    """A client's transport as a request of uvicorn's uses it, except for how it is closed."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def _closing_if_early(cycle: Any, app: Application) -> Application:
    """Return the application with `Connection: close` on an answer that precedes the body's end.

    The rest of that body is not waited for: it may never come. `cycle` is uvicorn's request.
    """

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and cycle.more_body:
                others = (
                    field for field in message["headers"] if field[0].lower() != b"connection"
                )
                message["headers"] = [*others, (b"connection", b"close")]
            await send(message)

        await app(scope, receive, send_closing)

    return run


def _without_chunks(cycle: Any, app: Application) -> Application:
    """Return the application for a client of HTTP/1.0, which cannot read chunks.

    An answer of unknown length ends where its connection ends. `cycle` is uvicorn's request.
    """

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        has_length = True

        async def send_unchunked(message: Message) -> None:
            nonlocal has_length
            if message["type"] == "http.response.start":
                names = (name.lower() for name, _ in message["headers"])
                has_length = b"content-length" in names
                if not has_length:
                    cycle.chunked_encoding = False
            elif not has_length:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_unchunked)

    return run
