"""One HTTP/1.1 connection to a model server, one request at a time.

It sends bytes it is given and turns the answer's bytes into status, headers and pieces of the body,
with bounded memory. It may not know who asks, what is forwarded or why, nor the pool it lives in.
"""

import asyncio
from enum import Enum, auto
from typing import cast

import httptools

from parkmeter.errors import UpstreamError
from parkmeter.web.fields import HEAD_LIMIT

BUFFER_LIMIT = 64 * 1024
"""Bytes of an answer's body kept here before the server has to wait for the client to read."""


class State(Enum):
    """See `UpstreamConnection`."""

    IDLE = auto()
    ASKED = auto()
    ANSWERING = auto()
    DONE = auto()
    CLOSED = auto()


_IDLE, _ASKED, _ANSWERING, _DONE, _CLOSED = State
"""Bound once: Python 3.11 takes 130 ns to find a member in its enum, twenty times a request."""


class UpstreamConnection(asyncio.Protocol):
    """One connection, always in one of these states.

    ::

              ask()            head             end of answer         recycle()
        IDLE ───────▶ ASKED ─────────▶ ANSWERING ─────────────▶ DONE ───────────▶ IDLE
          │             │                  │                      │
          └─────────────┴──────────────────┴──────────────────────┴── abort() ──▶ CLOSED
                             broken, malformed

    ASKED lasts through interim (1xx) answers. An answer without a length ends with the connection.
    `request_sent` is set by who asks, once the last byte of the request was written; `reused` says
    that this is not the connection's first request, `heard` that a byte came in answer to it.
    """

    __slots__ = (
        "_buffered",
        "_close_delimited",
        "_failure",
        "_head_bytes",
        "_headless",
        "_interim",
        "_keep_alive",
        "_loop",
        "_parser",
        "_pieces",
        "_reader",
        "_reading_paused",
        "_transport",
        "_writer",
        "_writing_paused",
        "headers",
        "heard",
        "idle_since",
        "request_sent",
        "reused",
        "state",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._writing_paused = False
        self._reading_paused = False
        self._failure: UpstreamError | None = None
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._keep_alive = False
        self.state = _IDLE
        self.reused = False
        self.idle_since = 0.0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.heard = False
        self.request_sent = False
        self._headless = False
        self._head_bytes = 0
        self._interim = False
        self._close_delimited = True

    # ── What the asking side does ───────────────────────────────────────────────────────────────

    def ask(self, data: bytes, *, headless: bool) -> None:
        """Begin a request with its first bytes. `headless`: HEAD, so the answer has no body."""
        self.state = _ASKED
        self.status = 0
        self.headers = []
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

    async def drain(self) -> None:
        """Wait until the server takes more. Returns at once when the connection is lost."""
        while self._writing_paused and self.state is not _CLOSED:
            self._writer = self._loop.create_future()
            await self._writer

    async def head(self) -> None:
        """Wait for `status` and `headers` (names in lower case).

        Raises:
            UpstreamError: the connection broke before, or the answer is malformed.

        """
        while self.state is _ASKED:
            await self._stir()
        if self.state is _CLOSED and self._failure is not None:
            raise self._failure

    async def piece(self) -> bytes:
        """The next bytes of the body. With `state` DONE afterwards they were the last, or none.

        Raises:
            UpstreamError: the answer broke off; all bytes before were handed out.

        """
        while not self._pieces and self.state is _ANSWERING:
            await self._stir()
        if self._pieces:
            pieces = self._pieces
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._buffered = 0
            if self._reading_paused and self._transport is not None:
                self._reading_paused = False
                self._transport.resume_reading()
            return data
        if self._failure is not None:
            raise self._failure
        return b""

    def recycle(self) -> bool:
        """Make ready for another request; False if this connection is good for no more."""
        if (
            self.state is not _DONE
            or not self._keep_alive
            or not self.request_sent
            or self._pieces
            or self._transport is None
            or self._transport.is_closing()
        ):
            return False
        self.state = _IDLE
        self.reused = True
        return True

    def abort(self) -> None:
        """Close at once; what was not sent yet is thrown away."""
        self.state = _CLOSED
        if self._transport is not None:
            self._transport.abort()

    # ── asyncio.Protocol ────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and make the server wait if nobody takes what it sends."""
        if self.state is _DONE:
            self._keep_alive = False  # it speaks unasked: not to be trusted with another request
            return
        if self.state is _IDLE or self.state is _CLOSED:
            self.abort()
            return
        self.heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keep_alive = False
            self._fail("The model server's answer is not valid HTTP.")
        if self.state is _ASKED:
            # Interim answers count too; and not only header by header: one without an end is never
            # complete.
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_LIMIT:
                self._fail("The model server's answer has too large a head.")
            return
        if self._buffered > BUFFER_LIMIT and not self._reading_paused and self._transport:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> None:
        """End an answer that only the end of the connection delimits; anything else is broken."""
        if self.state is _ANSWERING and self._close_delimited:
            self._end(keep_alive=False)
            self._wake_reader()
        else:
            self._lose()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Let go of whoever waits."""
        self._lose()
        self._keep_alive = False
        self._transport = None
        self.resume_writing()

    def pause_writing(self) -> None:
        """The server does not take the request as fast as it comes."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writing_paused = False
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    # ── httptools' callbacks: an exception raised in one makes the answer malformed ─────────────

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; those of a trailer are dropped."""
        if self.state is not _ASKED:
            return
        name = name.lower()
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_LIMIT:
            raise ValueError("head too large")
        if name == b"content-length":
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
        status = self._parser.get_status_code()
        if 100 <= status < 200:  # noqa: PLR2004
            self._interim = True
            self.headers = []
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
            self._buffered += len(body)

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
            self._failure = UpstreamError(detail)
            self.abort()
            self._wake_reader()
            self.resume_writing()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def _stir(self) -> None:
        self._reader = self._loop.create_future()
        await self._reader
