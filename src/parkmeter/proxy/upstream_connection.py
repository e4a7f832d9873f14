"""One HTTP/1.1 connection to a model server, one request at a time.

It sends bytes it is given, turns the answer's bytes into status, headers and pieces of the body,
and tells its asker once of all that one read brought. It may not know who asks, what is forwarded
or why, nor the pool it lives in.
"""

import asyncio
from enum import Enum, auto
from typing import Protocol, cast

import httptools

from parkmeter.errors import UpstreamError
from parkmeter.web.headers import HEAD_LIMIT


class State(Enum):
    """See `UpstreamConnection`."""

    IDLE = auto()
    ASKED = auto()
    ANSWERING = auto()
    DONE = auto()
    CLOSED = auto()


_IDLE, _ASKED, _ANSWERING, _DONE, _CLOSED = State
"""Bound once: Python 3.11 takes 130 ns to find a member in its enum, twenty times a request."""


class Asker(Protocol):
    """Who asked. Called from within the connection, so it must not wait."""

    def heard(self) -> None:
        """A read brought the answer's head, pieces of its body, its end, or all of them."""

    def lost(self, error: UpstreamError) -> None:
        """There will be no answer, or no more of it; what was heard before was told."""

    def server_full(self) -> None:
        """The server does not take the request as fast as it comes."""

    def server_free(self) -> None:
        """It has caught up."""


class UpstreamConnection(asyncio.Protocol):
    """One connection, always in one of these states.

    ::

              ask()            head             end of answer         recycle()
        IDLE ───────▶ ASKED ─────────▶ ANSWERING ─────────────▶ DONE ───────────▶ IDLE
          │             │                  │                      │
          └─────────────┴──────────────────┴──────────────────────┴── abort() ──▶ CLOSED
                             broken, malformed

    ASKED lasts through interim (1xx) answers. An answer without a length ends with the connection.
    `status` and `headers` (names in lower case) are of the last answer, 0 and none before its head;
    `measured` says that it has a length. `request_sent` is set by who asks, once the last byte of
    the request was written; `reused` says that this is not the connection's first request, `heard`
    that a byte came in answer to it.
    """

    __slots__ = (
        "_asker",
        "_close_delimited",
        "_head_bytes",
        "_headless",
        "_interim",
        "_keep_alive",
        "_parser",
        "_paused",
        "_pieces",
        "_transport",
        "headers",
        "heard",
        "idle_since",
        "measured",
        "request_sent",
        "reused",
        "state",
        "status",
    )

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._asker: Asker | None = None
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
        self.measured = False
        self.heard = False
        self.request_sent = False

    # ── What the asking side does ───────────────────────────────────────────────────────────────

    def ask(self, asker: Asker, data: bytes, *, headless: bool) -> None:
        """Begin a request with its first bytes. `headless`: HEAD, so the answer has no body."""
        self.state = _ASKED
        self._asker = asker
        self.status = 0
        self.headers = []
        self.measured = False
        self.heard = False
        self.request_sent = False
        self._headless = headless
        self._head_bytes = 0
        self._close_delimited = True
        self.write(data)

    def write(self, data: bytes) -> None:
        """Send more of the request. What comes too late for a closed connection is dropped."""
        if self._transport is not None and self.state is not _CLOSED:
            self._transport.write(data)

    def take(self) -> bytes:
        """What came of the body since; with `state` DONE it is the end."""
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
        """Let it go on."""
        if self._transport is not None and self._paused and self.state is not _CLOSED:
            self._paused = False
            self._transport.resume_reading()

    def recycle(self) -> bool:
        """Make ready for another request; False if this connection is good for no more."""
        self._asker = None
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
        """Close at once; what was not sent yet is thrown away, and nobody is told anything more."""
        self.state = _CLOSED
        self._asker = None
        if self._transport is not None:
            self._transport.abort()

    # ── asyncio.Protocol ────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and tell the asker what came of it."""
        if self.state is _DONE:
            self._keep_alive = False  # it speaks unasked: not to be trusted with another request
            return
        if self.state is _IDLE or self.state is _CLOSED:
            self.abort()
            return
        self.heard = True
        if self.state is _ASKED:
            self._head_bytes += len(data)
        wrong = ""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keep_alive = False
            wrong = "The model server's answer is not valid HTTP."
        if self.state is _ASKED:
            # Interim answers count too; and not only header by header: one without an end is never
            # complete.
            if self._head_bytes > HEAD_LIMIT and not wrong:
                wrong = "The model server's answer has too large a head."
        elif self._asker is not None:
            self._asker.heard()
        if wrong:
            self._fail(wrong)

    def eof_received(self) -> None:
        """End an answer that only the end of the connection delimits; anything else is broken."""
        if self.state is _ANSWERING and self._close_delimited:
            self._end(keep_alive=False)
            if self._asker is not None:
                self._asker.heard()
        else:
            self._lose()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Tell who waits."""
        self._lose()
        self._keep_alive = False
        self._transport = None

    def pause_writing(self) -> None:
        """See `Asker.server_full`."""
        if self._asker is not None:
            self._asker.server_full()

    def resume_writing(self) -> None:
        """See `Asker.server_free`."""
        if self._asker is not None:
            self._asker.server_free()

    # ── httptools' callbacks: an exception raised in one makes the answer malformed ─────────────

    def on_message_begin(self) -> None:
        """An answer, or one more that nobody asked for."""
        if self.state is _DONE:
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; those of a trailer are dropped."""
        if self.state is not _ASKED:
            return
        name = name.lower()
        if name == b"content-length":
            self.measured = True
            self._close_delimited = False
        elif name == b"transfer-encoding":
            # Only framing may be taken off an answer; a coding of the content may not be.
            if value.strip().lower() != b"chunked":
                raise ValueError("transfer coding")
            self._close_delimited = False
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there, or that of an interim answer, which is skipped."""
        if self.state is not _ASKED:
            self._keep_alive = False
            return
        if self._head_bytes > HEAD_LIMIT and _size(self.headers) > HEAD_LIMIT:
            raise ValueError("head too large")
        status = self._parser.get_status_code()
        if 100 <= status < 200:  # noqa: PLR2004
            self._interim = True
            self.headers = []
            self.measured = False
            self._close_delimited = True
            return
        if not 200 <= status < 600:  # noqa: PLR2004
            raise ValueError("status")
        self.status = status
        self.state = _ANSWERING
        if self._headless:
            # The parser cannot be told that the length in a HEAD's answer announces nothing; so
            # the connection ends here, or it would read the next answer as this one's body.
            self._end(keep_alive=False)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self.state is _ANSWERING:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The end. Asked after `feed_data` the parser denies keep-alive, so it is asked here."""
        if self._interim:
            self._interim = False
        elif self.state is _ANSWERING:
            self._end(keep_alive=self._parser.should_keep_alive())

    # ── Within ──────────────────────────────────────────────────────────────────────────────────

    def _end(self, *, keep_alive: bool) -> None:
        self.state = _DONE
        self._keep_alive = keep_alive

    def _lose(self) -> None:
        if self.state is _ASKED:
            self._fail("The model server closed the connection without an answer.")
        elif self.state is _ANSWERING:
            self._fail("The model server broke off its answer.")
        elif self.state is _IDLE:
            self.state = _CLOSED

    def _fail(self, detail: str) -> None:
        """End the request, if it is still going on: an answer that is complete stays good."""
        if self.state is _ASKED or self.state is _ANSWERING:
            asker = self._asker
            self.abort()
            if asker is not None:
                asker.lost(UpstreamError(detail))


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)
