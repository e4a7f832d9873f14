"""Reading of a client's requests: heads, bodies and their bounds.

As soon as its head is read a prompt becomes a `Relay`, and every other request an
`ApplicationCycle`. Malformed requests and the bounds on heads and waiting are answered here, for
they never reach an application. It may not know tokens, meters or model servers.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import httptools

from parkmeter.errors import ParkmeterError
from parkmeter.proxy.application_cycle import ApplicationCycle
from parkmeter.proxy.client_connection import Reading
from parkmeter.proxy.client_server import ClientServer
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.front_relay import FrontRelay
from parkmeter.proxy.known_requests import KnownRequests
from parkmeter.proxy.parser_within import parser_within
from parkmeter.proxy.relay import Relay
from parkmeter.proxy.request_head import Peer, RequestHead
from parkmeter.web.cross_origin import NO_ORIGINS
from parkmeter.web.dialect import dialect_at
from parkmeter.web.headers import HEAD_LIMIT, wants_upgrade
from parkmeter.web.problems import Problem, problem_of
from parkmeter.web.refusals import Refusal, head_stalled, head_too_large, malformed
from parkmeter.web.routes import Target
from parkmeter.web.stage import locate


def protocol_for(plane: DataPlane) -> Callable[[ClientServer], "GatewayProtocol"]:
    """Return what makes the connections of a server that serves this data plane with an app."""
    return partial(GatewayProtocol, plane)


_BETWEEN, _HEAD, _BODY, _STOPPED = Reading


_LINES = 64
_PIECE = 1024
"""A read of more lines is parsed in pieces of this size; it can hold ten thousand requests."""

_AT_ONCE = 4
"""Prompts of one read that are begun at once, if each is refused at once; the next ones take turns
with those of other connections."""


class GatewayProtocol(KnownRequests):
    """Reads requests one after the other; the states are drawn at `ClientConnection`."""

    def __init__(self, plane: DataPlane, server: ClientServer) -> None:
        super().__init__(plane, server)
        self.parser: Any = httptools.HttpRequestParser(self)
        # What comes behind a last request is dropped, not malformed.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._peer = Peer("", None, "http")
        self._head_problem: Problem | None = None
        """The fault of a head that was read; nothing is read behind it."""
        self._last_head: RequestHead | None = None
        self._read_size = 0
        """Bytes of the present read."""
        self._body_came = False
        """Of the present read."""
        self._upgrade_declined = False
        """The head just read offers another protocol, and its body follows all the same."""

    # ── asyncio.Protocol ────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        edge, own = self._plane.edge, transport.get_extra_info("sockname")
        server = (own[0], own[1]) if isinstance(own, tuple) else None
        self._peer = Peer(self.address, server, "http", lambda: edge.public)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        super().connection_lost(exc)
        self.parser = None  # they refer to each other

    def _read(self, data: bytes) -> None:
        """Read on; a prompt is notified once of everything that came for it."""
        if self._reading is _STOPPED:
            self._drain(len(data))
            return
        if self._behind:
            self._behind += data
            return
        before = self._reading
        self._heads_begun = 0
        self._body_came = False
        self._read_size = len(data)
        try:
            if data.count(b"\n") > _LINES:
                self._feed(data)
            else:
                try:  # as `_parse` does: a call less for each read
                    self.parser.feed_data(data)
                except httptools.HttpParserUpgrade as upgrade:
                    self._read_on(upgrade, data)
        except httptools.HttpParserUpgrade:
            pass  # refused; nothing behind it is read
        except httptools.HttpParserError:
            self._refuse(self._head_problem or malformed().problem)
            return
        reading = self._reading
        if reading is _BODY and (active := self._active) is not None and self.cycle is active:
            active.client_sent()
        if self._heads_begun and reading is _HEAD:
            self._limit(self.HEAD_SECONDS)
            self._earlier_size = self._head_size()
        elif reading is _HEAD or (reading is _BODY and before is _BODY and not self._body_came):
            # Not only header by header: one without an end is never complete. Nor is a trailer.
            self._earlier_size += len(data)
        # Else the rest of a body that was answered already, or empty lines: neither is given more
        # time than was left, or a byte a minute would hold the connection for ever.
        if self._earlier_size > HEAD_LIMIT:
            self._refuse(head_too_large(HEAD_LIMIT).problem)

    # ── httptools' callbacks ────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """Collect a head; its end shows where the request goes."""
        self._reading = _HEAD
        self._heads_begun += 1
        self._earlier_size = 0
        self.url = b""
        self.headers = []
        self._length = None

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools. Not counted here: most heads come in one read, and that was bounded."""
        if self._reading is not _HEAD:
            return  # a trailer: taken for a header, it could become any of them
        name = name.lower()
        if name == b"content-length":
            self._length = value
        else:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin the request, or queue it behind those before it."""
        if self._earlier_size + self._read_size > HEAD_LIMIT < self._head_size():
            self._head_problem = head_too_large(HEAD_LIMIT).problem
            raise _EndOfReadingError
        if self.transport.is_closing():
            raise _EndOfReadingError  # its answer could not be sent
        request = self._request_head()
        routes = self._plane.routes
        if request.routes is not routes:
            request.routes, request.target = routes, routes.match(request.location.path)
            rule = self._plane.edge.cross_origin or NO_ORIGINS
            if rule.answers(request.method, request.named):
                request.target = None  # the application answers it, whatever it is for
        target = request.target
        self._earlier_size = 0
        if b"upgrade" in request.named and self.parser.should_upgrade():
            self._upgrade_declined = request.method != "CONNECT" and (
                target is None or not wants_upgrade(request.fields)
            )
        if target is None or (target.listing and not self._plane.lists(target, request)):
            self._pass_to_application(request)
            self._reading = _BODY
        else:
            self._reading = _BODY  # before: a refusal may end the connection at once
            self._relay(request, target)

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._body_came = True
        self._earlier_size = 0
        if self.cycle is not None:
            self.cycle.add(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._upgrade_declined:
            return  # not yet: to the parser, what follows the head is another protocol
        if self._reading is not _STOPPED:
            self._reading = _BETWEEN
        if self.cycle is not None:
            self.cycle.end()

    # ── Within ──────────────────────────────────────────────────────────────────────────────────

    def _feed(self, data: bytes) -> None:
        """Parse data in pieces, until a request waits for the one before it or enough have come."""
        for begin in range(0, len(data), _PIECE):
            if self.pipeline or self._heads_begun > _AT_ONCE:
                self._behind = data[begin:]
                self.flow.pause_reading()
                if not self.pipeline:
                    self.loop.call_soon(self._read_behind)
                return
            self._parse(data[begin : begin + _PIECE])

    def _parse(self, data: bytes) -> None:
        """Parse data, and read on behind the head of a request whose upgrade is declined."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_on(upgrade, data)

    def _read_on(self, upgrade: Exception, data: bytes) -> None:
        """Read on behind the head of a request; `upgrade` is raised again if it is not declined."""
        if not self._upgrade_declined:
            raise upgrade
        rest = data[upgrade.args[0] :]
        self._upgrade_declined = False
        if self._reading is _STOPPED:
            self._drain(len(rest))
            return
        if self._unread:
            self.parser = parser_within(self, self.headers, self._length)
        else:
            self.on_message_complete()
        if rest:
            self._parse(rest)

    @property
    def _unread(self) -> bool:
        """True while bytes of a body are still to come."""
        return self._reading is _BODY and (
            self._length not in {None, b"0"}
            or any(name == b"transfer-encoding" for name, _ in self.headers)
        )

    def _request_head(self) -> RequestHead:
        """Return the head that was read; the same object while the client sends the same head."""
        method = self.parser.get_method().decode("ascii")
        http11 = self.parser.get_http_version() == "1.1"
        last = self._last_head
        if (
            last is None
            or last.fields != self.headers
            or last.url != self.url
            or last.method != method
            or last.http11 != http11
        ):
            last = RequestHead(method, self.url, self.headers, self._peer, http11=http11)
            self._last_head = last
        return last

    def _head_size(self) -> int:
        """Return the bytes of the head as far as it was read."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _relay(self, request: RequestHead, target: Target) -> None:
        kind = FrontRelay if target.front else Relay
        relay: Any = kind(self._plane, self, request, target, self._length)
        if not self.parser.should_keep_alive() or (
            self.parser.should_upgrade() and not self._upgrade_declined
        ):
            relay.keep_alive = False
        self._take_turn(relay, at_once=self._heads_begun <= _AT_ONCE)

    def _pass_to_application(self, request: RequestHead) -> None:
        plane = self._plane
        try:
            request.check_names()
            if not plane.recognize(request.authorization, self.cached_token):
                plane.edge.check_host(request.named.get(b"host", b""))
        except ParkmeterError as error:
            self._head_problem = problem_of(error)
            raise _EndOfReadingError from None
        except Refusal as refusal:
            if request.authorization:
                plane.edge.refuse_token(self.address, request.fields)
            self._head_problem = refusal.problem
            raise _EndOfReadingError from None
        cycle = ApplicationCycle(self._server, self, request, self._length, self.client)
        if not self.parser.should_keep_alive():
            cycle.keep_alive = False
        self._take_turn(cycle, at_once=True)

    def _limit(self, seconds: float) -> None:
        """Limit the client's time, if it is its turn: nothing is being answered."""
        if not self._busy:
            self.timer.restart(seconds)

    def _timed_out(self) -> None:
        if self._active is not None:
            self._active.timed_out()
        elif self.transport.is_closing() or self.flow.write_paused:
            self.transport.abort()  # nothing that is written now would be taken either
        elif self._reading is _HEAD:
            self._refuse(head_stalled(self.HEAD_SECONDS).problem)
        else:
            self.disconnect(at_once=False)

    def _drain(self, size: int) -> None:
        """Drop what comes behind the last answer; end the connection if it is too much."""
        self._earlier_size += size
        if self._earlier_size > self.DRAIN_LIMIT:
            self.transport.abort()

    def _refuse(self, problem: Problem) -> None:
        """Stop reading, and answer with the problem: in its turn, and once for each request."""
        in_body, self._reading = self._reading is _BODY, _STOPPED
        cycle = self.cycle
        if in_body and cycle is not None and cycle is self._active:
            cycle.refuse(problem)
            return
        if in_body and not self._busy:
            self.disconnect(at_once=False)  # it has its answer
            return
        problem = problem.in_dialect(dialect_at(locate(self.url).path))
        if (rule := self._plane.edge.cross_origin) is not None:
            problem = problem.with_fields(rule.fields(dict(self.headers)))
        if in_body:
            self.pipeline.popleft()  # the broken one itself, the last that came
        if self._active is not None or self.pipeline:
            self._last_problem = problem
            self.flow.pause_reading()
        else:
            self._send_problem(problem)


class _EndOfReadingError(Exception):
    """Raised to end the parsing; the parser reports it as an error of its own."""
