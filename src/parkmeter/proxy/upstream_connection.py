"""One HTTP/1.1 connection to a model server, one request at a time.

It sends bytes it is given, parses the answer into status, headers and pieces of the body, and calls
its requester once for all that one read brought. It may not know what is forwarded or why, nor the
pool that keeps it.
"""

import asyncio
from enum import Enum, auto
from typing import Protocol, cast

import httptools

from parkmeter.errors import UpstreamError
from parkmeter.web.headers import HEAD_LIMIT, is_document


class State(Enum):
    """State of a connection; see `UpstreamConnection`."""

    IDLE = auto()
    REQUESTED = auto()
    ANSWERING = auto()
    DONE = auto()
    CLOSED = auto()


_IDLE, _REQUESTED, _ANSWERING, _DONE, _CLOSED = State
"""Bound once: Python 3.11 takes 130 ns to find a member in its enum, twenty times a request."""

_NO_DOCUMENTS = frozenset(
    {
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/octet-stream",
        b"text/event-stream",
        b"text/event-stream; charset=utf-8",
        b"text/plain",
        b"text/plain; charset=utf-8",
    }
)
"""The types of nearly all answers, which need no closer look."""


class Requester(Protocol):
    """The request's owner. Called from within the connection, so it must not wait."""

    def received(self) -> None:
        """Take what a read brought: the answer's head, pieces of its body, its end, or all."""

    def failed(self, error: UpstreamError) -> None:
        """End: no answer comes, or nothing more of it. `received` was called for all before."""

    def server_full(self) -> None:
        """Slow down: the server does not take the request as fast as it comes."""

    def server_free(self) -> None:
        """Go on: the server has caught up."""


class UpstreamConnection(asyncio.Protocol):
    """One connection, always in one of these states.

    ::

              begin()          head             end of answer         recycle()
        IDLE ───────▶ REQUESTED ─────▶ ANSWERING ─────────────▶ DONE ───────────▶ IDLE
          │             │                  │                      │
          └─────────────┴──────────────────┴──────────────────────┴── abort() ──▶ CLOSED
                             broken, malformed

    REQUESTED lasts through interim (1xx) answers. An answer without a length ends with the
    connection. `status` and `headers` (names in lower case) are of the last answer, 0 and none
    before its head; `content_type` and `has_length` too; `document`: a browser could run it. The
    requester sets `request_sent` once the last byte of the request was written; `reused`: this is
    not the connection's first request; `got_bytes`: a byte came in answer to it.
    """

    __slots__ = (
        "_close_delimited",
        "_head_bytes",
        "_headless",
        "_interim",
        "_keep_alive",
        "_parser",
        "_paused",
        "_pieces",
        "_requester",
        "_transport",
        "content_type",
        "document",
        "got_bytes",
        "has_length",
        "headers",
        "idle_since",
        "request_sent",
        "reused",
        "state",
        "status",
    )

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._requester: Requester | None = None
        self._pieces: list[bytes] = []
        self._paused = False
        self._keep_alive = False
        self._headless = False
        self._head_bytes = 0
        self._interim = False
        self._close_delimited = True
        self.state = _IDLE
        self.reused = False
        self.idle_since = 0.0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_length = False
        self.content_type: bytes | None = None
        self.document = False
        self.got_bytes = False
        self.request_sent = False

    # ── For the requester ───────────────────────────────────────────────────────────────────────

    def begin(self, requester: Requester, data: bytes, *, headless: bool) -> None:
        """Begin a request with its first bytes. `headless`: HEAD, so the answer has no body."""
        self.state = _REQUESTED
        self._requester = requester
        self.status = 0
        self.headers = []
        self.has_length = False
        self.content_type = None
        self.document = False
        self.got_bytes = False
        self.request_sent = False
        self._headless = headless
        self._head_bytes = 0
        self._close_delimited = True
        self.write(data)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send more of the request. On a closed connection it is dropped."""
        if self._transport is not None and self.state is not _CLOSED:
            self._transport.write(data)

    def take(self) -> bytes:
        """Return what came of the body since; with `state` DONE it is the end."""
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    def pause_reading(self) -> None:
        """Make the server wait: its answer is not taken as fast as it comes."""
        if self._transport is not None and not self._paused and self.state is not _CLOSED:
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Let the server go on."""
        if self._transport is not None and self._paused and self.state is not _CLOSED:
            self._paused = False
            self._transport.resume_reading()

    def recycle(self) -> bool:
        """Make ready for another request; return False if this connection cannot be reused."""
        self._requester = None
        if (
            self.state is not _DONE
            or not self._keep_alive
            or not self.request_sent
            or self._transport is None
            or self._transport.is_closing()
            or self._transport.get_write_buffer_size()
        ):
            return False
        if self._paused:
            self.resume_reading()
        self.state = _IDLE
        self.reused = True
        return True

    def abort(self) -> None:
        """Close at once: discard what was not sent yet, call the requester no longer."""
        self.state = _CLOSED
        self._requester = None
        if self._transport is not None:
            self._transport.abort()

    # ── asyncio.Protocol ────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and notify the requester."""
        if self.state is _DONE:
            self._keep_alive = False  # unrequested data: not to be trusted with another request
            return
        if self.state is _IDLE or self.state is _CLOSED:
            self.abort()
            return
        self.got_bytes = True
        if self.state is _REQUESTED:
            self._head_bytes += len(data)
        problem = ""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keep_alive = False
            problem = "The model server's answer is not valid HTTP."
        if self.state is _REQUESTED:
            # Interim answers count too; and not only header by header: one without an end is never
            # complete.
            if self._head_bytes > HEAD_LIMIT and not problem:
                problem = "The model server's answer has too large a head."
        elif self._requester is not None:
            self._requester.received()
        if problem:
            self._fail(problem)

    def eof_received(self) -> None:
        """End an answer that only the end of the connection delimits; anything else is broken."""
        if self.state is _ANSWERING and self._close_delimited:
            self._end(keep_alive=False)
            if self._requester is not None:
                self._requester.received()
        else:
            self._end_of_input()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Notify the requester."""
        self._end_of_input()
        self._keep_alive = False
        self._transport = None

    def pause_writing(self) -> None:
        """See `Requester.server_full`."""
        if self._requester is not None:
            self._requester.server_full()

    def resume_writing(self) -> None:
        """See `Requester.server_free`."""
        if self._requester is not None:
            self._requester.server_free()

    # ── httptools' callbacks: an exception raised in one makes the answer malformed ─────────────

    def on_message_begin(self) -> None:
        """Begin an answer; one that was not requested spoils the connection."""
        if self.state is _DONE:
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; drop those of a trailer."""
        if self.state is not _REQUESTED:
            return
        name = name.lower()
        if name == b"content-length":
            self.has_length = True
            self._close_delimited = False
        elif name == b"transfer-encoding":
            # Only framing may be taken off an answer; a coding of the content may not be.
            if value.strip().lower() != b"chunked":
                raise ValueError("transfer coding")
            self._close_delimited = False
        elif name == b"content-type":
            self.content_type = value
            if value not in _NO_DOCUMENTS:
                self.document = self.document or is_document(value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the head; skip that of an interim answer."""
        if self.state is not _REQUESTED:
            self._keep_alive = False
            return
        if self._head_bytes > HEAD_LIMIT and _size(self.headers) > HEAD_LIMIT:
            raise ValueError("head too large")
        status = self._parser.get_status_code()
        if 100 <= status < 200:  # noqa: PLR2004
            self._interim = True
            self.headers = []
            self.has_length = False
            self.content_type = None
            self.document = False
            self._close_delimited = True
            return
        if not 200 <= status < 600:  # noqa: PLR2004
            raise ValueError("status")
        self.status = status
        self.state = _ANSWERING
        if self.content_type is None:
            self.document = True  # a browser would guess its type
        if self._headless:
            # No setting of the parser says that the length in a HEAD's answer announces nothing; so
            # the connection ends here, or it would read the next answer as this one's body.
            self._end(keep_alive=False)

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self.state is _ANSWERING:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """End the answer. Keep-alive is read here: after `feed_data` the parser denies it."""
        if self._interim:
            self._interim = False
        elif self.state is _ANSWERING:
            self._end(keep_alive=self._parser.should_keep_alive())

    # ── Within ──────────────────────────────────────────────────────────────────────────────────

    def _end(self, *, keep_alive: bool) -> None:
        self.state = _DONE
        self._keep_alive = keep_alive

    def _end_of_input(self) -> None:
        if self.state is _REQUESTED:
            self._fail("The model server closed the connection without an answer.")
        elif self.state is _ANSWERING:
            self._fail("The model server broke off its answer.")
        elif self.state is _IDLE:
            self.state = _CLOSED

    def _fail(self, detail: str) -> None:
        """End the request, if it is still going on: an answer that is complete stays good."""
        if self.state is _REQUESTED or self.state is _ANSWERING:
            requester = self._requester
            self.abort()
            if requester is not None:
                requester.failed(UpstreamError(detail))


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)
