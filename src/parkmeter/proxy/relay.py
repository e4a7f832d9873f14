"""One prompt on its way: admitted, forwarded and answered, piece by piece as either side sends.

The two connections it joins call it back, so it never waits and is no task. It knows the gate and
the pool; it may not know how either connection reads its bytes.
"""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from time import perf_counter
from typing import TYPE_CHECKING

from parkmeter.errors import ParkmeterError, UpstreamError
from parkmeter.proxy.admission import not_admitted
from parkmeter.proxy.client_connection import ClientSide
from parkmeter.proxy.gate import Permit
from parkmeter.proxy.held_request import HeldRequest
from parkmeter.proxy.request_body import LAST_CHUNK, Body, chunk
from parkmeter.proxy.request_head import RequestHead
from parkmeter.proxy.upstream_connection import State, UpstreamConnection
from parkmeter.proxy.upstream_pool import address_of
from parkmeter.web import refusals
from parkmeter.web.headers import BODILESS, answer_head
from parkmeter.web.meter_headers import meter_header_lines
from parkmeter.web.problems import Problem, problem_answer, problem_of
from parkmeter.web.routes import Target

if TYPE_CHECKING:
    from parkmeter.proxy.data_plane import DataPlane

_log = logging.getLogger(__name__)

AHEAD_LIMIT = 64 * 1024
"""Bytes of a body that are read before anybody takes them."""

REPLAYED_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""What may be sent twice when a kept-alive connection turns out closed before a byte of the answer:
only what changes nothing by definition (RFC 9110, 9.2.1), and only with its whole body in hand. A
POST may have run already; its client is told 502 and decides."""

_REFUSED = 300
"""From this status on an answer that comes before the end of the request wants no more of it."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"
_LAST_LINES = b"connection: close\r\n\r\n"


class Stage(Enum):
    """See `Relay`."""

    NEW = auto()
    HELD = auto()
    READING = auto()
    CONNECTING = auto()
    ASKED = auto()
    ANSWERING = auto()
    OVER = auto()


_NEW, _HELD, _READING, _CONNECTING, _ASKED, _ANSWERING, _OVER = Stage
_DONE = State.DONE


class Relay:
    """Carries one request and its answer, always in one of these stages.

    ::

           begin()          seat          1st piece            connected        head
        NEW ───────▶ HELD ───────▶ READING ───────▶ CONNECTING ───────▶ ASKED ───────▶ ANSWERING
                     (at once if it serves)       ▲ (at once if one is    │                │ last
                                                  │  idle)                │                │ piece
                                                  └─── found closed ──────┘                ▼
         refused, broken, late, or either side gone: from every stage ─────────────────▶ OVER

    NEW lasts while an earlier request of the connection is unanswered. In flight from READING on.
    What breaks before ANSWERING is told in words; after that it must break visibly, for nothing
    else can be said.

    `response_complete` and `keep_alive` are what uvicorn asks of a request of its own, too.
    """

    __slots__ = (
        "_address",
        "_admitted_at",
        "_body",
        "_chunked",
        "_client",
        "_connection",
        "_first",
        "_head",
        "_head_at",
        "_hold",
        "_late",
        "_opening",
        "_permitted",
        "_plane",
        "_request",
        "_route",
        "_seat",
        "_seconds",
        "_stage",
        "_target",
        "_timeouts",
        "keep_alive",
        "response_complete",
    )

    def __init__(
        self,
        plane: "DataPlane",
        client: ClientSide,
        request: RequestHead,
        target: Target,
        length: bytes | None,
    ) -> None:
        self._plane = plane
        self._client = client
        self._request = request
        self._target = target
        self._stage = _NEW
        self._body = Body(length, awaited=request.modern and request.expects_invitation)
        self._hold: HeldRequest | None = None
        self._seat: Permit | None = None
        self._opening: asyncio.Task[None] | None = None
        self._connection: UpstreamConnection | None = None
        self._late: Callable[[float], Exception] = TimeoutError
        self._permitted = self._chunked = False
        self._first = b""
        self.keep_alive = request.modern
        self.response_complete = False

    # ── From the client ─────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Go as far as the head allows. Every request before this one has been answered."""
        self._guarded(self._begin)

    def add(self, piece: bytes) -> None:
        """Take a piece of the request's body; `client_sent` or `end` follows."""
        if not self.response_complete:
            self._body.add(piece)

    def end(self) -> None:
        """Take note that the request is whole."""
        self._body.whole = True
        self._guarded(self._go_on)

    def client_sent(self) -> None:
        """Go on with what one read of the client's connection brought."""
        self._guarded(self._go_on)

    def client_left(self) -> None:
        """End: there is nobody left to answer."""
        if self._stage is not _OVER:
            self._plane.traffic[self._target.name].gone += 1
            self._release()

    def client_full(self) -> None:
        """The client does not take the answer as fast as it comes."""
        if self._connection is not None:
            self._connection.pause_reading()

    def client_free(self) -> None:
        """It has caught up."""
        if self._connection is not None:
            self._connection.resume_reading()

    def late(self) -> None:
        """The alarm rang: the present stage took longer than it may."""
        self._guarded(self._look if self._stage is _HELD else self._give_up)

    def refuse(self, problem: Problem) -> None:
        """End, for a reason the client's connection found in the rest of the request."""
        self.keep_alive = False
        self._fail(problem)

    # ── From the model server ───────────────────────────────────────────────────────────────────

    def heard(self) -> None:
        """See `Asker`."""
        self._guarded(self._pass_on)

    def lost(self, error: UpstreamError) -> None:
        """See `Asker`."""
        connection, self._connection = self._connection, None
        stale = connection is not None and connection.reused and not connection.heard
        if stale and self._first:
            self._guarded(self._connect)
        else:
            self._fail(problem_of(error))

    def server_full(self) -> None:
        """See `Asker`."""
        self._client.pause()
        if self._stage is _ASKED and not self._body.whole:
            self._allow(self._timeouts.upload_seconds, refusals.upload_not_taken)

    def server_free(self) -> None:
        """See `Asker`."""
        self._client.resume()
        if self._stage is _ASKED and not self._body.whole:
            self._allow(self._timeouts.upload_seconds, refusals.upload_stalled)

    # ── Admission ───────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        request, plane, target = self._request, self._plane, self._target
        known = request.good_for is target
        if not known:
            request.check_names()
        self._route = route = plane.permitted(target, request.authorization, self._client.holder)
        self._permitted = True
        if not known:
            request.check_form(target)
        self._body.frame(request.named, route.limits.max_body_bytes)
        seat = plane.gate.admit(route.name, prompt=request.prompt)
        if seat is not None:
            self._admit(seat)
            return
        seconds = self._wait()
        wake = plane.waker(route, self._client.holder.token) if request.prompt else None
        if not seconds and wake is None:
            raise self._not_admitted()
        self._hold = HeldRequest(plane.gate, route, seconds, plane.now, self._changed, wake)
        self._stage = _HELD
        self._look()

    def _changed(self) -> None:
        if self._stage is _HELD:
            self.late()

    def _look(self) -> None:
        """Hold on, or let go: it serves, its meter closed, or the time is over."""
        if self._hold is None:
            return
        if (left := self._hold.left()) > 0:
            self._client.alarm.set(left)
            return
        self._hold.leave()
        seat = self._plane.gate.admit(self._route.name, prompt=self._request.prompt)
        if seat is None:
            raise self._not_admitted()
        self._admit(seat)
        self._client.resume()
        self._go_on()

    def _wait(self) -> int:
        """Seconds this request may be held."""
        return min(self._request.prefer.wait or 0, self._route.limits.max_wait_seconds)

    def _not_admitted(self) -> ParkmeterError:
        view = self._plane.gate.view(self._route.name)
        return not_admitted(self._route, view, self._plane.now(), self._request.base)

    def _admit(self, seat: Permit) -> None:
        self._seat = seat
        self._stage = _READING
        self._plane.traffic[self._target.name].let_in += 1
        self._admitted_at = perf_counter()
        self._timeouts = self._route.timeouts
        self._address = address_of(seat.address)
        self._head = self._request.head_for(self._target.path, self._address.authority)
        if self._body.awaited:
            self._body.awaited = False
            self._client.write(_CONTINUE)

    # ── The request ─────────────────────────────────────────────────────────────────────────────

    def _go_on(self) -> None:
        body, stage = self._body, self._stage
        if body.unmeasured:
            body.within_limit()
        if stage is _ASKED or stage is _ANSWERING:
            self._upload()
        elif stage is _READING:
            if body.waiting or body.whole:
                self._connect(self._plane.pool.reuse(self._address))
            else:
                self._allow(self._timeouts.upload_seconds, refusals.upload_stalled)
        elif body.waiting > AHEAD_LIMIT and not body.whole:
            self._client.pause()  # not if it is whole: nobody would see the client leave

    def _connect(self, idle: UpstreamConnection | None = None) -> None:
        if idle is not None:
            self._ask(idle)
            return
        self._stage = _CONNECTING
        self._allow(self._timeouts.connect_seconds, refusals.no_connection)
        self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        try:
            connection = await self._plane.pool.open(self._address)
        except Exception as error:  # noqa: BLE001 (nobody waits for this task)
            self._opening = None
            self._tell(error)
        else:
            self._opening = None
            self._guarded(lambda: self._ask(connection))

    def _ask(self, connection: UpstreamConnection) -> None:
        """Send what there is: head, framing and the first of the body in one write."""
        whole = self._body.whole
        first = self._first or self._body.first(self._head)
        if whole:
            self._first = first if self._request.method in REPLAYED_METHODS else b""
            self._allow(self._timeouts.first_byte_seconds, refusals.no_answer)
        else:
            self._allow(self._timeouts.upload_seconds, refusals.upload_stalled)
            self._client.resume()
        self._connection = connection
        self._stage = _ASKED
        connection.ask(self, first, headless=self._request.method == "HEAD")
        connection.request_sent = whole

    def _upload(self) -> None:
        connection, body = self._connection, self._body
        if connection is None:
            return
        refused = connection.status >= _REFUSED
        if body.whole:
            connection.request_sent = not refused
        if self._stage is _ASKED:  # later the answer's patience counts, not the upload's
            if body.whole:
                self._allow(self._timeouts.first_byte_seconds, refusals.no_answer)
            else:
                self._allow(self._timeouts.upload_seconds, refusals.upload_stalled)
        if refused:
            body.drop()  # read all the same: many clients listen only after their last byte
        else:
            connection.write(body.next())

    # ── The answer ──────────────────────────────────────────────────────────────────────────────

    def _pass_on(self) -> None:
        """Send the client what one read of the model server's connection brought, in one write."""
        connection = self._connection
        if connection is None:
            return
        head = self._answer(connection) if self._stage is _ASKED else b""
        data = connection.take()
        if self._chunked and data:
            data = chunk(data)
        if connection.state is _DONE:
            self._client.write(b"".join((head, data, LAST_CHUNK if self._chunked else b"")))
            self._answered(connection)
            return
        if head or data:
            self._client.write(head + data)
        self._client.alarm.set(self._timeouts.idle_seconds)

    def _answer(self, connection: UpstreamConnection) -> bytes:
        """The head of the answer, framed as this client can read it."""
        self._stage = _ANSWERING
        # From here on for a piece to come, and for the client to take it.
        self._seconds = self._timeouts.idle_seconds
        self._late = refusals.answer_stalled
        self._head_at = perf_counter()
        status = connection.status
        head = answer_head(status, connection.headers) + self._stamp()
        if not (connection.measured or self._request.method == "HEAD" or status in BODILESS):
            if self._request.modern:
                self._chunked = True
                head += _CHUNKED
            else:
                self.keep_alive = False  # it ends where its connection ends
        return head + (b"\r\n" if self.keep_alive else _LAST_LINES)

    def _answered(self, connection: UpstreamConnection) -> None:
        now = perf_counter()
        self._plane.traffic[self._target.name].answered(
            connection.status, self._head_at - self._admitted_at, now - self._admitted_at
        )
        try:
            self._release()
        finally:
            self._client.answered(keep=self.keep_alive)

    def _stamp(self) -> bytes:
        if not self._permitted:
            return b""  # whoever may not prompt is told nothing of the meter
        waited = None if self._request.prefer.wait is None else self._wait()
        return meter_header_lines(
            self._plane.gate.view(self._route.name), self._plane.now(), waited
        )

    # ── The end ─────────────────────────────────────────────────────────────────────────────────

    def _guarded(self, step: Callable[[], None]) -> None:
        """Go a step, and end with what is wrong if that is found out on it."""
        if self._stage is _OVER:
            return
        try:
            step()
        except Exception as error:  # noqa: BLE001 (whoever asks is told in our words)
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        match error:
            case refusals.Refusal():
                self._fail(error.problem)
            case ParkmeterError():
                self._fail(problem_of(error))
            case _:
                name = self._target.name
                _log.error("a request for %s ended in our own fault", name, exc_info=error)
                self._fail(problem_of(ParkmeterError("See the log.")))

    def _allow(self, seconds: float, late: Callable[[float], Exception]) -> None:
        """Give the stage that begins now so much time; `late(seconds)` is the error after it."""
        self._seconds = seconds
        self._late = late
        self._client.alarm.set(seconds)

    def _give_up(self) -> None:
        raise self._late(self._seconds)

    def _fail(self, problem: Problem) -> None:
        """Tell what is wrong, or end visibly what has begun."""
        name, client = self._target.name, self._client
        if self._stage is _OVER:
            return
        if self._stage is _ANSWERING:
            _log.warning("an answer of %s broke off: %s", name, problem.body.decode())
            self._plane.traffic[name].broken += 1
            self._release()
            client.cut(at_once=not self._request.modern)
            return
        if self._target.route is not None:  # anybody can make names up, and each would be kept
            self._plane.traffic[name].refused(problem.status)
        keep = self.keep_alive and not self._body.awaited and "Connection" not in problem.headers
        headless = self._request.method == "HEAD"
        client.write(problem_answer(problem, self._stamp(), keep=keep, headless=headless))
        self._release()
        client.answered(keep=keep)

    def _release(self) -> None:
        """Give back what this request holds."""
        self._stage = _OVER
        self.response_complete = True
        if self._hold is not None:
            self._hold.leave()
        if self._opening is not None:
            self._opening.cancel()
        if self._connection is not None:
            # Kept only if question and answer are complete, closed in every other case.
            self._plane.pool.give_back(self._address, self._connection)
            self._connection = None
        if self._seat is not None:
            self._seat.leave()
