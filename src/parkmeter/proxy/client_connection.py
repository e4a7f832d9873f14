"""One client's connection: its requests are answered in the order they came, and it ends in order.

Prompts and the application's requests share it. It may not know how requests are read, nor tokens,
meters or model servers.
"""

import asyncio
import socket
import struct
from collections import deque
from enum import Enum, auto
from typing import ClassVar

from parkmeter.proxy.client_flow import ClientFlow
from parkmeter.proxy.client_request import ClientRequest
from parkmeter.proxy.client_server import ClientServer
from parkmeter.proxy.connections import Connections
from parkmeter.proxy.lazy_timer import LazyTimer
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


class ClientConnection(asyncio.Protocol):
    """Answers requests one after the other; `GatewayProtocol` reads them.

    ::

        reading     BETWEEN ──1st byte──▶ HEAD ──its end──▶ BODY ──its end──▶ BETWEEN
                       └─ malformed, too large, too late, or an answer that ends it ──▶ STOPPED

        answering   pipeline ──▶ active ──▶ nothing, if the client takes what is written
                    read, not begun         ──▶ the next of the pipeline, or rest

    Implements `ClientSide`. Of the requests that were read, the last is `cycle`; the one that is
    being answered is `_active`. While others wait in the `pipeline`, or the client does not read,
    nothing more is read than one read brought; and of that, what stands behind them is kept as
    bytes (`_behind`): as requests it takes a hundred times the room.
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

    transport: asyncio.Transport
    flow: ClientFlow

    def __init__(self, connections: Connections, server: ClientServer) -> None:
        self.loop = asyncio.get_running_loop()
        self.timer = LazyTimer(self.loop, self._timed_out)
        self.cached_token = CachedToken(lambda: connections.recognize(self))
        self.client: tuple[str, int] | None = None
        self.address = ""
        self.made_at = 0.0
        self.cycle: ClientRequest | None = None
        self.pipeline: deque[ClientRequest] = deque()
        """Requests that wait; the oldest stands last."""
        self._connections = connections
        self._server = server
        self._reading = Reading.BETWEEN
        self._active: ClientRequest | None = None
        self._behind = b""
        self._last_problem: Problem | None = None
        """To be sent once all requests before it are answered."""

    # ── asyncio.Protocol ────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        self.transport = transport
        self.flow = ClientFlow(transport, lambda: bool(self.pipeline or self._behind))
        self.timer.restart(self.HEAD_SECONDS)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.client = (peer[0], peer[1])
            self.address = peer[0]
        self.made_at = self.loop.time()
        self._server.connections.add(self)
        if not self._connections.add(self):
            self.write(problem_answer(too_many_connections().problem, keep=False))
            self._reading = _STOPPED
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """See asyncio."""
        self.timer.close()
        self._connections.remove(self)
        self._server.connections.discard(self)
        self.cached_token = CachedToken()  # the old one refers to this connection
        self.pipeline.clear()
        self._behind = b""
        active, self._active, self.cycle = self._active, None, None
        if active is not None:
            active.client_left()

    def pause_writing(self) -> None:
        """See asyncio."""
        self.flow.write_paused = True
        if self._active is not None:
            self._active.client_full()

    def resume_writing(self) -> None:
        """See asyncio."""
        self.flow.write_paused = False
        if self._active is not None:
            self._active.client_free()
        self._begin_next()

    # ── OpenConnection ──────────────────────────────────────────────────────────────────────────

    def cut(self, token_id: str) -> None:
        """End the prompt that is being answered or held, if it is of this token."""
        if self._active is not None:
            self._active.cut(token_id)

    def shut_down(self) -> None:
        """See `OpenConnection`."""
        if self._busy and self.cycle is not None:
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    # ── Connection ──────────────────────────────────────────────────────────────────────────────

    @property
    def active(self) -> bool:
        """See `Connection`."""
        return self._active is not None

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
        """Go on to the next request, rest, or end."""
        if not keep:
            self.disconnect(at_once=False)
            return
        self._active = None
        if self.transport.is_closing():
            self.timer.restart(self.LINGER_SECONDS)
        elif self.pipeline:
            # Not at once: a thousand may wait behind one another.
            self.loop.call_soon(self._begin_next)
        elif self._last_problem is not None:
            self._send_problem(self._last_problem)
        else:
            if self.flow.read_paused:
                self.flow.resume_reading()
            in_head = self._reading is _HEAD
            self.timer.restart(self.HEAD_SECONDS if in_head else self._server.keep_alive_seconds)

    def disconnect(self, *, at_once: bool) -> None:
        """End the connection; send what is left within `LINGER_SECONDS`, unless `at_once`."""
        unread = self._unread
        self._active = None
        self._reading = _STOPPED
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

    # ── Within ──────────────────────────────────────────────────────────────────────────────────

    @property
    def _busy(self) -> bool:
        """True while a request that was read is not answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _take_turn(self, request: ClientRequest, *, at_once: bool) -> None:
        """Begin a request that was read, or queue it; `at_once`: in this turn of the loop."""
        waits = self._busy or self.flow.write_paused
        self.cycle = request
        if waits or not at_once:
            self.flow.pause_reading()
            self.pipeline.appendleft(request)
            if not waits:
                self.loop.call_soon(self._begin_next)
        else:
            self._active = request
            request.begin()

    def _begin_next(self) -> None:
        """Begin the oldest request in the pipeline, once nothing is active or waits to be sent."""
        if self._active is not None or self.flow.write_paused or not self.pipeline:
            return
        self._active = request = self.pipeline.pop()
        if self._behind and not self.pipeline:
            self.loop.call_soon(self._read_behind)
        self.flow.resume_reading()
        request.begin()
        request.client_sent()

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
