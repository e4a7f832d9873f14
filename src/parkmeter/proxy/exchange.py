"""The exchange with a model server: one request sent on, its answer passed back as it comes.

Both connections call it, so it never waits and is no task. It may not know gates or tokens, nor how
either connection reads its bytes.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter

from parkmeter.errors import UpstreamError
from parkmeter.proxy.answer_reader import READERS, AnswerReader
from parkmeter.proxy.client_side import ClientSide
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.event_stream import EventStream, opened
from parkmeter.proxy.request_body import LAST_CHUNK, RequestBody, chunk
from parkmeter.proxy.request_head import RequestHead
from parkmeter.proxy.request_stage import Stage
from parkmeter.proxy.traffic import Traffic
from parkmeter.proxy.upstream_connection import State, UpstreamConnection
from parkmeter.proxy.upstream_pool import Address
from parkmeter.web import refusals
from parkmeter.web.headers import BODILESS, answer_head
from parkmeter.web.problems import Problem, problem_of
from parkmeter.web.routes import Target, Timeouts

REPLAYED_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that may be sent twice when a kept-alive connection turns out closed before the answer:
those that change nothing (RFC 9110, 9.2.1), with the whole body at hand. A POST may have run."""

_REFUSED = 300
"""From this status on an answer that comes before the end of the request makes the rest useless."""

_CHUNKED = b"transfer-encoding: chunked\r\n"
_LAST_LINES = b"connection: close\r\n\r\n"


_DENIED, _READING, _CONNECTING = Stage.DENIED, Stage.READING, Stage.CONNECTING
_REQUESTED, _ANSWERING, _OVER = Stage.REQUESTED, Stage.ANSWERING, Stage.OVER
_DONE = State.DONE


class Exchange:
    """The stages of a `Relay` from READING to ANSWERING. Implements `Requester`.

    All fields are set by `Relay`, in one call for each request.

    `response_complete` and `keep_alive` are attributes that uvicorn expects of a request.
    """

    __slots__ = (
        "_address",
        "_admitted_at",
        "_allowed_seconds",
        "_body",
        "_chunked",
        "_client",
        "_connecting",
        "_connection",
        "_cookies",
        "_first",
        "_head",
        "_head_at",
        "_plane",
        "_reader",
        "_request",
        "_stage",
        "_stream",
        "_target",
        "_timeout_error",
        "_timeouts",
        "_traffic",
        "_upload_from",
        "keep_alive",
        "response_complete",
    )

    _plane: DataPlane
    _client: ClientSide
    _request: RequestHead
    _target: Target
    _stage: Stage
    _body: RequestBody
    _head: bytes
    _first: bytes
    """What was sent first, as long as it may be sent again."""
    _chunked: bool
    """The answer goes to the client in chunks."""
    _stream: EventStream | None
    """The answer, where it is a stream that can be ended by an event: its head is sent."""
    _cookies: bool
    """Cookies pass, in both directions."""
    _address: Address
    _timeouts: Timeouts
    _traffic: Traffic
    _connecting: asyncio.Task[None] | None
    _connection: UpstreamConnection | None
    _reader: AnswerReader | None
    _allowed_seconds: float
    _timeout_error: Callable[[float], Exception]
    _admitted_at: float
    _upload_from: float
    """Time from which the body's least rate counts."""
    _head_at: float
    keep_alive: bool
    response_complete: bool

    # ── From the client ─────────────────────────────────────────────────────────────────────────

    def add(self, piece: bytes) -> None:
        """Take a piece of the request's body; `client_sent` or `end` follows."""
        if not self.response_complete:
            self._body.add(piece)

    def end(self) -> None:
        """Take note that the request is complete."""
        self._body.complete = True
        self._guarded(self._proceed)

    def take_whole(self, body: bytes) -> None:
        """Take the whole body: `add` and `end` in one."""
        if self._stage is _OVER:
            return
        self._body.fill(body)
        try:
            self._proceed()
        except Exception as error:  # noqa: BLE001 (as `_guarded`)
            self._fail_with(error)

    def client_sent(self) -> None:
        """Go on with what one read of the client's connection brought."""
        self._guarded(self._proceed)

    def client_full(self) -> None:
        """Slow down: the client does not take the answer as fast as it comes."""
        if self._connection is not None:
            self._connection.pause_reading()

    def client_free(self) -> None:
        """Go on: the client has caught up."""
        if self._connection is not None:
            self._connection.resume_reading()

    # ── From the model server ───────────────────────────────────────────────────────────────────

    def received(self) -> None:
        """See `Requester`."""
        if self._stage is _OVER:
            return
        try:
            self._pass_on()
        except Exception as error:  # noqa: BLE001 (as `_guarded`)
            self._fail_with(error)

    def failed(self, error: UpstreamError) -> None:
        """See `Requester`."""
        connection, self._connection = self._connection, None
        stale = connection is not None and connection.reused and not connection.got_bytes
        if stale and self._first:
            self._guarded(self._connect)
        else:
            self._fail(problem_of(error))

    def server_full(self) -> None:
        """See `Requester`."""
        self._client.pause()
        if self._stage is _REQUESTED and not self._body.complete:
            self._allow(self._timeouts.upload_seconds, refusals.upload_not_taken)

    def server_free(self) -> None:
        """See `Requester`."""
        self._client.resume()
        if self._stage is _REQUESTED and not self._body.complete:
            self._upload_from = perf_counter()  # it was not the client that was slow
            self._await_body()

    # ── The request ─────────────────────────────────────────────────────────────────────────────

    def _proceed(self) -> None:
        body, stage = self._body, self._stage
        if body.unsized:
            body.check_size()
        if stage is _REQUESTED or stage is _ANSWERING:
            self._upload()
        elif stage is _READING:
            if body.waiting or body.complete:
                idle = self._plane.pool.reuse(self._address)
                if idle is not None:
                    self._send(idle)
                else:
                    self._connect()
            else:
                self._allow(self._timeouts.upload_seconds, refusals.upload_stalled)
        elif stage is _DENIED:
            self._send_refusal()
        else:
            self._read_ahead()

    def _connect(self) -> None:
        self._stage = _CONNECTING
        self._allow(self._timeouts.connect_seconds, refusals.no_connection)
        self._connecting = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        try:
            connection = await self._plane.pool.open(self._address)
        except Exception as error:  # noqa: BLE001 (this task is never awaited)
            self._connecting = None
            self._fail_with(error)
        else:
            self._connecting = None
            self._guarded(lambda: self._send(connection))

    def _send(self, connection: UpstreamConnection) -> None:
        """Send what there is: head, framing and the first of the body in one write."""
        complete = self._body.complete
        first = self._first or self._body.first(self._head)
        if complete:
            self._first = first if self._request.method in REPLAYED_METHODS else b""
            self._allow(self._timeouts.first_byte_seconds, refusals.no_answer)
        else:
            self._allow(self._timeouts.upload_seconds, refusals.upload_stalled)
            self._client.resume()
        self._connection = connection
        self._stage = _REQUESTED
        connection.begin(self, first, headless=self._request.method == "HEAD")
        connection.request_sent = complete

    def _upload(self) -> None:
        connection, body = self._connection, self._body
        if connection is None:
            return
        refused = connection.status >= _REFUSED
        if body.complete:
            connection.request_sent = not refused
        if self._stage is _REQUESTED:  # later the limit on the answer counts, not on the upload
            if body.complete:
                self._allow(self._timeouts.first_byte_seconds, refusals.no_answer)
            else:
                self._await_body()
        if refused:
            body.discard()  # read all the same: many clients listen only after their last byte
        else:
            connection.write(body.take())

    # ── The answer ──────────────────────────────────────────────────────────────────────────────

    def _pass_on(self) -> None:
        """Send the client what one read of the model server's connection brought, in one write."""
        connection = self._connection
        if connection is None:
            return
        head = self._begin_answer(connection) if self._stage is _REQUESTED else b""
        data = connection.take()
        sent, done, stream = data, connection.state is _DONE, self._stream
        if stream is not None and stream.kept is not None:
            sent = stream.instead(data, done=done)
        elif stream is not None:
            stream.last = data
        if self._chunked:
            sent = (chunk(sent) if sent else b"") + (LAST_CHUNK if done else b"")
        if head or sent:
            self._client.write(head + sent)
        if self._reader is not None and data:
            self._reader.feed(data)  # after it was passed on
        if done:
            self._end_answer(connection)
        else:
            self._client.timer.restart(self._timeouts.idle_seconds)

    def _begin_answer(self, connection: UpstreamConnection) -> bytes:
        """Return the head of the answer, framed as this client can read it."""
        self._stage = _ANSWERING
        # From here on for a piece to come, and for the client to take it.
        self._allowed_seconds = self._timeouts.idle_seconds
        self._timeout_error = refusals.answer_stalled
        self._head_at = perf_counter()
        status = connection.status
        if status < _REFUSED and self._request.reads_usage:
            self._reader = READERS[connection.content_type]()
        if self._stream is not None:
            self._stream.answered(status, connection.headers)
            return b""
        head = answer_head(
            status, connection.headers, cookies=self._cookies, document=connection.document
        )
        head += self._meter_headers()
        if not (connection.has_length or self._request.method == "HEAD" or status in BODILESS):
            self._stream, lines = opened(connection.headers, self._target.path)
            head += lines
            if self._request.http11:
                self._chunked = True
                head += _CHUNKED
            else:
                self.keep_alive = False  # it ends where its connection ends
        return head + (b"\r\n" if self.keep_alive else _LAST_LINES)

    def _end_answer(self, connection: UpstreamConnection) -> None:
        now = perf_counter()
        self._traffic.answered(
            connection.status, self._head_at - self._admitted_at, now - self._admitted_at
        )
        try:
            self._release()
        finally:
            self._client.answered(keep=self.keep_alive)

    # ── Limits and failures ─────────────────────────────────────────────────────────────────────

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run a step; an error in it ends the request."""
        if self._stage is _OVER:
            return
        try:
            step()
        except Exception as error:  # noqa: BLE001 (the client gets every error as a problem)
            self._fail_with(error)

    def _allow(self, seconds: float, error: Callable[[float], Exception]) -> None:
        """Limit the stage that begins now; `error(seconds)` is raised after it."""
        self._allowed_seconds = seconds
        self._timeout_error = error
        self._client.timer.restart(seconds)

    def _await_body(self) -> None:
        """Limit the wait for more of the body: for its next piece, and by the least rate."""
        seconds = self._timeouts.upload_seconds
        left = self._body.time_left(perf_counter() - self._upload_from)
        if left < seconds:
            self._allow(max(left, 0), refusals.upload_too_slow)
        else:
            self._allow(seconds, refusals.upload_stalled)

    def _raise_timeout(self) -> None:
        raise self._timeout_error(self._allowed_seconds)

    def _fail_with(self, error: Exception) -> None:
        """End with the problem that an error means."""
        raise NotImplementedError

    def _fail(self, problem: Problem) -> None:
        """Send the problem, or break off visibly if the answer has begun."""
        raise NotImplementedError

    def _send_refusal(self) -> None:
        """Send the problem of a request that its head alone had refused."""
        raise NotImplementedError

    def _release(self) -> None:
        """End the request and give back all it holds."""
        raise NotImplementedError

    def _read_ahead(self) -> None:
        """Take note of a body that comes before it can be forwarded."""
        raise NotImplementedError

    def _meter_headers(self) -> bytes:
        """Return the lines of the answer's head that show the meter."""
        raise NotImplementedError
