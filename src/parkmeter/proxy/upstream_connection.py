"""One HTTP/1.1 connection to a model server, one request at a time.

It sends bytes it is given, has the answer read into status, headers and pieces of the body, and
calls its requester once for all that one read brought. It may not know what is forwarded or why,
nor the pool that keeps it.
"""

import asyncio
from typing import Protocol, cast

from parkmeter.errors import UpstreamError
from parkmeter.proxy.answer_heads import AnswerHeads
from parkmeter.proxy.answer_parser import AnswerParser, State, chunk_line

_IDLE, _REQUESTED, _ANSWERING, _DONE, _CLOSED = State


class Requester(Protocol):
    """The request's owner. Called from within the connection, so it must not wait."""

    def received(self) -> None:
        """Take what a read brought: the answer's head, pieces of its body, its end, or all."""

    def chunk_received(self, framed: bytes, data: bytes) -> bool:
        """Take a read that was one whole chunk: all of it, and what is in it.

        Return False to have it as any other read.
        """

    def failed(self, error: UpstreamError) -> None:
        """End: no answer comes, or nothing more of it. `received` was called for all before."""

    def server_full(self) -> None:
        """Slow down: the server does not take the request as fast as it comes."""

    def server_free(self) -> None:
        """Go on: the server has caught up."""


class UpstreamConnection(AnswerParser, asyncio.Protocol):
    """One connection, always in one of these states.

    ::

              begin()          head             end of answer         recycle()
        IDLE ───────▶ REQUESTED ─────▶ ANSWERING ─────────────▶ DONE ───────────▶ IDLE
          │             │                  │                      │
          └─────────────┴──────────────────┴──────────────────────┴── abort() ──▶ CLOSED
                             broken, malformed

    REQUESTED lasts through interim (1xx) answers. An answer without a length ends with the
    connection. What is known of the answer is described at `AnswerParser`. The requester sets
    `request_sent` once the last byte of the request was written; `reused`: this is not the
    connection's first request; `got_bytes`: a byte came in answer to it.
    """

    __slots__ = (
        "_paused",
        "_requester",
        "_transport",
        "got_bytes",
        "idle_since",
        "request_sent",
        "reused",
    )

    def __init__(self, heads: AnswerHeads | None = None) -> None:
        super().__init__(heads)
        self._transport: asyncio.Transport | None = None
        self._requester: Requester | None = None
        self._paused = False
        self.reused = False
        self.idle_since = 0.0
        self.got_bytes = False
        self.request_sent = False

    # ── For the requester ───────────────────────────────────────────────────────────────────────

    def begin(self, requester: Requester, data: bytes, *, headless: bool) -> None:
        """Begin a request with its first bytes. `headless`: HEAD, so the answer has no body."""
        self.state = _REQUESTED
        self._requester = requester
        self._headless = headless
        self._head_bytes = self.status = 0
        self.got_bytes = self.request_sent = False
        if self._transport is not None:
            self._transport.write(data)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send more of the request. On a closed connection it is dropped."""
        if self._transport is not None and self.state is not _CLOSED:
            self._transport.write(data)

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
        """Read on, and notify the requester."""
        state, requester = self.state, self._requester
        if requester is None or state is _DONE:
            self._unrequested()
            return
        problem = ""
        if state is _REQUESTED:
            first = not self.got_bytes
            self.got_bytes = True
            known = first and self._heads is not None and self._known_head(self._heads, data)
            if not known:
                problem = self._parse(data)
        elif self._between_chunks and (line := chunk_line(data)):
            piece = data[len(line) : -2]
            if requester.chunk_received(data, piece):
                return
            self._pieces.append(piece)
        elif self._left:
            self._known_body(data)
        else:
            problem = self._parse(data)
        if self.state is not _REQUESTED:
            requester.received()
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

    # ── Within ──────────────────────────────────────────────────────────────────────────────────

    def _unrequested(self) -> None:
        """Take note of bytes that came in answer to nothing."""
        if self.state is _DONE:
            self._keep_alive = False  # not to be trusted with another request
        else:
            self.abort()

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
