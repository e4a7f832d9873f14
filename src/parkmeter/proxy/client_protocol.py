"""One client's connection: uvicorn's HTTP protocol, on which prompts take a way of their own.

A prompt becomes a `Relay` as soon as its head is read; every other request goes to the application
as uvicorn has it. Here are also our words for what is no HTTP, and the bounds on heads and waiting:
neither ever reaches an application. It may not know tokens, meters or model servers.
"""

import asyncio
import socket
import struct
from enum import Enum, auto
from functools import partial
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from parkmeter.errors import InvalidRequestError
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.lazy_timer import LazyTimer
from parkmeter.proxy.relay import Relay
from parkmeter.proxy.request_head import Peer, RequestHead
from parkmeter.proxy.uvicorn_shims import Flow, Outlet, unchunked
from parkmeter.web.asgi import ABORT
from parkmeter.web.auth import CachedToken
from parkmeter.web.headers import HEAD_LIMIT
from parkmeter.web.problems import Problem, problem_answer, problem_of
from parkmeter.web.refusals import head_stalled, head_too_large, malformed
from parkmeter.web.routes import Target

_HEAD_WITHIN = 30.0
"""Seconds for a whole head: from the connection to its first byte, and from that to its last. Ample
on the slowest line, and nobody needs a token to make us wait so long."""

_LINGER = 30.0
"""Seconds for a client to take what is left of an answer when its connection ends."""

_NO_LINGER = struct.pack("ii", 1, 0)


def speaking(plane: DataPlane) -> type[asyncio.Protocol]:
    """What uvicorn's `http` setting takes, to serve this data plane beside an application."""
    return cast("type[asyncio.Protocol]", partial(GatewayProtocol, plane))


class Reading(Enum):
    """What of the client's requests is being read; see `GatewayProtocol`."""

    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()
    NO_MORE = auto()


_BETWEEN, _HEAD, _BODY, _NO_MORE = Reading


class GatewayProtocol(HttpToolsProtocol):
    """Reads requests one after the other, and has them answered in that order.

    ::

        reading     BETWEEN ──1st byte──▶ HEAD ──its end──▶ BODY ──its end──▶ BETWEEN
                       └─ nonsense, too much, too late, or an answer that ends it ──▶ NO_MORE

        answering   pipeline ──▶ active ──▶ nothing, if the client takes what is written
                    read, not begun         ──▶ the next of the pipeline, or rest

    Implements `ClientSide`. Of the requests that were read, the last is uvicorn's `cycle`; the one
    that is being answered is `_active`, a `Relay` or a cycle of uvicorn's. While others wait in the
    `pipeline`, or the client does not read, nothing more is read than one read brought.
    """

    def __init__(self, plane: DataPlane, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._plane = plane
        self._peer = Peer("", None, "http")
        self.alarm = LazyTimer(self.loop, self._late)
        self.holder = CachedToken()
        self._reading = _BETWEEN
        self._active: Any = None
        self._last_words: Problem | None = None
        self._wrong: Problem | None = None
        """What is wrong with a head that was read; nothing is read behind it."""
        self._ended = False
        """Nothing more is written."""
        self._length: bytes | None = None
        self._incoming: RequestHead | None = None
        self._read = 0
        """Bytes of the present read."""
        self._earlier = 0
        """Bytes of the head, or of what follows a body, in reads before it."""
        self._head_began = self._body_came = False
        """Of the present read."""

    # ── asyncio.Protocol ────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See uvicorn."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        self._peer = Peer(self.client[0] if self.client else "", self.server, self.scheme or "http")
        self.alarm.set(_HEAD_WITHIN)

    def connection_lost(self, exc: Exception | None) -> None:
        """See uvicorn, who would tell the last request that was read, not the one being served."""
        self.alarm.close()
        self.pipeline.clear()
        active, self._active = self._active, None
        if isinstance(active, Relay):
            active.client_left()
            active = None
        self.cycle = active
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; tell a prompt once of everything that came for it."""
        if self._reading is _NO_MORE:
            return
        before = self._reading
        self._head_began = self._body_came = False
        self._read = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nobody's here: a prompt was refused, and the application reads on as it likes
        except httptools.HttpParserError:
            self._refuse(self._wrong or malformed().problem)
            return
        reading = self._reading
        if reading is _BODY and self.cycle is self._active and isinstance(self._active, Relay):
            self._active.client_sent()
        if self._head_began and reading is _HEAD:
            self._expect(_HEAD_WITHIN)
            self._earlier = self._size()
        elif reading is _HEAD or (reading is _BODY and before is _BODY and not self._body_came):
            # Not only header by header: one without an end is never complete. Nor is a trailer.
            self._earlier += len(data)
        elif not self._busy:
            # The rest of a body that was answered already, or empty lines.
            self.alarm.set(self.timeout_keep_alive)
        if self._earlier > HEAD_LIMIT:
            self._refuse(head_too_large(HEAD_LIMIT).problem)

    def pause_writing(self) -> None:
        """See uvicorn."""
        super().pause_writing()
        if isinstance(self._active, Relay):
            self._active.client_full()

    def resume_writing(self) -> None:
        """See uvicorn."""
        super().resume_writing()
        if isinstance(self._active, Relay):
            self._active.client_free()
        self._next()

    # ── httptools' callbacks ────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """Collect a head; whose it is shows at its end."""
        self._reading = _HEAD
        self._head_began = True
        self._earlier = 0
        self.url = b""
        self.headers = []
        self._length = None

    def on_url(self, url: bytes) -> None:
        """See uvicorn."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """See uvicorn. Not counted here: most heads come in one read, and that was bounded."""
        if self._reading is not _HEAD:
            return  # a trailer: were it taken for a header, it could become any of them
        name = name.lower()
        if name == b"content-length":
            self._length = value
        else:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hand the request over, or have it wait for those before it."""
        if self._earlier + self._read > HEAD_LIMIT and self._size() > HEAD_LIMIT:
            self._wrong = head_too_large(HEAD_LIMIT).problem
            raise _EndOfReadingError
        if self.transport.is_closing():
            raise _EndOfReadingError  # nobody will be told what came of it
        request = self._request()
        target = self._plane.routes.match(request.location.path)
        self._earlier = 0
        if target is None:
            self._to_the_application(request)
            self._reading = _BODY
        else:
            self._reading = _BODY  # before: a refusal may end the connection at once
            self._to_a_relay(request, target)

    def on_body(self, body: bytes) -> None:
        """See uvicorn."""
        self._body_came = True
        self._earlier = 0
        cycle: Any = self.cycle
        if isinstance(cycle, Relay):
            cycle.add(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """See uvicorn."""
        if self._reading is not _NO_MORE:
            self._reading = _BETWEEN
        cycle: Any = self.cycle
        if isinstance(cycle, Relay):
            cycle.end()
        else:
            super().on_message_complete()

    # ── ClientSide ──────────────────────────────────────────────────────────────────────────────

    def write(self, data: bytes) -> None:
        """Send."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def pause(self) -> None:
        """Read no more for now."""
        self.flow.pause_reading()

    def resume(self) -> None:
        """Read on, unless a request waits already."""
        self.flow.resume_reading()

    def answered(self, *, keep: bool) -> None:
        """Go on to the next request, or end."""
        if keep:
            self.on_response_complete()
        else:
            self.cut(at_once=False)

    def cut(self, *, at_once: bool) -> None:
        """End the connection; what was not sent yet is sent within `_LINGER`, if at all."""
        unread = self._unread
        self._active = None
        self._reading = _NO_MORE
        self._ended = True
        self.pipeline.clear()
        if at_once:
            # A reset, and not the end of a connection, which ends an answer of unknown length.
            connected = self.transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.transport.abort()
        elif unread and not self.transport.is_closing():
            # Were it closed now, its client would lose the answer: TCP resets what still sends.
            self.transport.write_eof()
            self.flow.resume_reading()
            self.alarm.set(_LINGER)
        else:
            self.transport.close()
            self.alarm.set(_LINGER)

    # ── uvicorn's own hooks ─────────────────────────────────────────────────────────────────────

    def on_response_complete(self) -> None:
        """Go on to the next request, or rest."""
        self.server_state.total_requests += 1
        self._active = None
        if self._ended or self.transport.is_closing():
            self.alarm.set(_LINGER)
        elif self.pipeline:
            self.loop.call_soon(self._next)  # not at once: a thousand may wait behind one another
        elif self._last_words is not None:
            self._say(self._last_words)
        else:
            if self.flow.read_paused:
                self.flow.resume_reading()
            self.alarm.set(_HEAD_WITHIN if self._reading is _HEAD else self.timeout_keep_alive)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._active = cycle
        self.alarm.off()
        cycle.scope["extensions"] = {ABORT: self.transport.abort}
        cycle.transport = Outlet(self.transport, partial(self.cut, at_once=False))
        if cycle.scope["http_version"] == "1.0":
            app = unchunked(cycle, app)
        super()._start_asgi_task(cycle, app)

    # ── Within ──────────────────────────────────────────────────────────────────────────────────

    @property
    def _busy(self) -> bool:
        """Whether a request that was read is not answered yet."""
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    @property
    def _unread(self) -> bool:
        """Whether bytes of a body are still to come."""
        return self._reading is _BODY and (
            self._length not in {None, b"0"}
            or any(name == b"transfer-encoding" for name, _ in self.headers)
        )

    def _request(self) -> RequestHead:
        """The head that was read; the same object as long as the client sends the same."""
        method = self.parser.get_method().decode("ascii")
        modern = self.parser.get_http_version() == "1.1"
        last = self._incoming
        if (
            last is None
            or last.fields != self.headers
            or last.url != self.url
            or last.method != method
            or last.modern != modern
        ):
            last = RequestHead(method, self.url, self.headers, self._peer, modern=modern)
            self._incoming = last
        return last

    def _size(self) -> int:
        """Bytes of the head as far as it was read."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _to_a_relay(self, request: RequestHead, target: Target) -> None:
        relay: Any = Relay(self._plane, self, request, target, self._length)
        if not self.parser.should_keep_alive() or self.parser.should_upgrade():
            relay.keep_alive = False
        waits = self._busy or self.flow.write_paused
        self.cycle = relay
        if waits:
            self.flow.pause_reading()
            self.pipeline.appendleft((relay, self.app))
        else:
            self._active = relay
            relay.begin()

    def _to_the_application(self, request: RequestHead) -> None:
        """Let uvicorn read the head again, and have its way."""
        try:
            request.check_names()
        except InvalidRequestError as error:
            self._wrong = problem_of(error)
            raise _EndOfReadingError from None
        url, headers = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        if self._length is not None:
            super().on_header(b"content-length", self._length)
        super().on_headers_complete()
        if self.expect_100_continue:
            # It may be answered uninvited; then nobody knows whether its body still comes.
            self.cycle.keep_alive = False

    def _next(self) -> None:
        """Begin the request that waits longest, once nothing is being answered or waits to go."""
        if self._active is not None or self.flow.write_paused or not self.pipeline:
            return
        cycle, app = self.pipeline.pop()
        self.flow.resume_reading()
        if isinstance(cycle, Relay):
            self._active = cycle
            cycle.begin()
            cycle.client_sent()
        else:
            self._start_asgi_task(cycle, app)

    def _expect(self, seconds: float) -> None:
        """Give the client so much time, if it is its turn: nothing is being answered."""
        if not self._busy:
            self.alarm.set(seconds)

    def _late(self) -> None:
        if isinstance(self._active, Relay):
            self._active.late()
        elif self.transport.is_closing():
            self.transport.abort()
        elif self._reading is _HEAD:
            self._refuse(head_stalled(_HEAD_WITHIN).problem)
        else:
            self.cut(at_once=False)

    def _refuse(self, found: Problem) -> None:
        """Read no more, and say why: in its turn, and once for each request."""
        in_body, self._reading = self._reading is _BODY, _NO_MORE
        cycle: Any = self.cycle
        if in_body and cycle is self._active and isinstance(cycle, Relay):
            cycle.refuse(found)
            return
        if in_body and (cycle.response_complete or cycle is self._active):
            # It has its answer, or the application is about to find its client gone.
            if not (cycle.response_complete or cycle.response_started):
                self.write(problem_answer(found, keep=False))
            self.cut(at_once=False)
            return
        if in_body:
            self.pipeline.popleft()  # the broken one itself, the last that came
        if self._active is not None or self.pipeline:
            self._last_words = found
            self.flow.pause_reading()
        else:
            self._say(found)

    def _say(self, found: Problem) -> None:
        self.write(problem_answer(found, keep=False))
        self.cut(at_once=False)


class _EndOfReadingError(Exception):
    """Ends the parsing; the parser reports it as an error of its own."""
