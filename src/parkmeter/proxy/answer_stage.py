"""The answer's part of an exchange: passed back to the client as it comes, and counted.

It is called by the model server's connection, so it never waits. It may not know how the request is
sent, nor how either connection reads its bytes.
"""

from collections.abc import Callable
from time import perf_counter

from parkmeter.proxy.answer_parser import State
from parkmeter.proxy.answer_reader import READERS, AnswerReader
from parkmeter.proxy.client_side import ClientSide
from parkmeter.proxy.event_stream import EventStream, opened
from parkmeter.proxy.request_body import LAST_CHUNK, chunk
from parkmeter.proxy.request_head import RequestHead
from parkmeter.proxy.request_stage import Stage
from parkmeter.proxy.traffic import Traffic
from parkmeter.proxy.upstream_connection import UpstreamConnection
from parkmeter.web import refusals
from parkmeter.web.headers import BODILESS, answer_head
from parkmeter.web.routes import Target, Timeouts

REFUSED = 300
"""From this status on an answer that comes before the end of the request makes the rest useless."""

_CHUNKED = b"transfer-encoding: chunked\r\n"
_LAST_LINES = b"connection: close\r\n\r\n"
_REQUESTED, _ANSWERING, _OVER = Stage.REQUESTED, Stage.ANSWERING, Stage.OVER
_DONE = State.DONE


class AnswerStage:
    """The stage ANSWERING of a `Relay`; all fields are set there.

    `keep_alive`: the client's connection is kept.
    """

    __slots__ = (
        "_admitted_at",
        "_allowed_seconds",
        "_chunked",
        "_client",
        "_connection",
        "_cookies",
        "_head_at",
        "_reader",
        "_request",
        "_stage",
        "_stream",
        "_target",
        "_timeout_error",
        "_timeouts",
        "_traffic",
        "keep_alive",
    )

    _client: ClientSide
    _request: RequestHead
    _target: Target
    _stage: Stage
    _chunked: bool
    """The answer goes to the client in chunks."""
    _stream: EventStream | None
    """The answer, where it is a stream that can be ended by an event: its head is sent."""
    _cookies: bool
    """Cookies pass, in both directions."""
    _timeouts: Timeouts
    _traffic: Traffic
    _connection: UpstreamConnection | None
    _reader: AnswerReader | None
    _allowed_seconds: float
    _timeout_error: Callable[[float], Exception]
    _admitted_at: float
    _head_at: float
    keep_alive: bool

    # ── From the model server: see `Requester` ──────────────────────────────────────────────────

    def received(self) -> None:
        """Send the client what one read of the model server's connection brought, in one write."""
        connection = self._connection
        if connection is None or self._stage is _OVER:
            return
        try:
            head = self._begin_answer(connection) if self._stage is _REQUESTED else b""
            data = sent = connection.take()
            done, stream = connection.state is _DONE, self._stream
            if stream is not None:
                if stream.kept is None:
                    stream.last = data
                else:
                    sent = stream.instead(data, done=done)
            if self._chunked:
                sent = (chunk(sent) if sent else b"") + (LAST_CHUNK if done else b"")
            if head or sent:
                self._client.write(head + sent)
            if self._reader is not None and data:
                self._reader.feed(data)
            if done:
                self._end_answer(connection.status)
            else:
                self._client.timer.restart(self._timeouts.idle_seconds)
        except Exception as error:  # noqa: BLE001 (the client gets every error as a problem)
            self._fail_with(error)

    def chunk_received(self, framed: bytes, data: bytes) -> bool:
        """See `Requester`. It passes as it is to a client that gets this answer in chunks too."""
        stream = self._stream
        if not self._chunked or (stream is not None and stream.kept is not None):
            return False
        try:
            if stream is not None:
                stream.last = data
            self._client.write(framed)
            if self._reader is not None:
                self._reader.feed(data)  # after it was passed on
            self._client.timer.restart(self._timeouts.idle_seconds)
        except Exception as error:  # noqa: BLE001 (as above)
            self._fail_with(error)
        return True

    # ── To the client ───────────────────────────────────────────────────────────────────────────

    def _begin_answer(self, connection: UpstreamConnection) -> bytes:
        """Return the head of the answer, framed as this client can read it."""
        self._stage = _ANSWERING
        # From here on for a piece to come, and for the client to take it.
        self._allowed_seconds = self._timeouts.idle_seconds
        self._timeout_error = refusals.answer_stalled
        self._head_at = perf_counter()
        status, length, known = connection.status, connection.length, connection.known
        if status < REFUSED and self._request.reads_usage:
            self._reader = READERS[connection.content_type]()
        if self._stream is not None:
            self._stream.answered(status, connection.headers)
            return b""
        if known is not None:
            lines = known.lines_with_cookies if self._cookies else known.lines
        else:
            lines = answer_head(
                status, connection.headers, cookies=self._cookies, document=connection.document
            )
        end = b"\r\n" if self.keep_alive else _LAST_LINES
        if length is not None and status not in BODILESS:
            return b"%bcontent-length: %b\r\n%b%b" % (lines, length, self._meter_headers(), end)
        lines += self._meter_headers()
        # Many clients would wait for a body after a length.
        if status in BODILESS or length is not None or self._request.method == "HEAD":
            return lines + end
        self._stream, more = opened(connection.headers, self._target.path)
        if self._request.http11:
            self._chunked = True
            return lines + more + _CHUNKED + end
        self.keep_alive = False  # it ends where its connection ends
        return lines + more + _LAST_LINES

    def _end_answer(self, status: int) -> None:
        since = self._admitted_at
        self._traffic.answered(status, self._head_at - since, perf_counter() - since)
        try:
            self._release()
        finally:
            self._client.answered(keep=self.keep_alive)

    # ── The end, and what a `Relay` adds ────────────────────────────────────────────────────────

    def _fail_with(self, error: Exception) -> None:
        """End with the problem that an error means."""
        raise NotImplementedError

    def _release(self) -> None:
        """End the request and give back all it holds."""
        raise NotImplementedError

    def _meter_headers(self) -> bytes:
        """Return the lines of the answer's head that show the meter."""
        raise NotImplementedError
