"""One prompt on its way: admitted or held, forwarded and answered, ended in every case.

Admission and the end are here; in between are `HeldStage`, and between the two connections
`Exchange`.
"""

import logging
from time import perf_counter

from parkmeter.errors import ParkmeterError, TokenMissingError, TokenRefusedError
from parkmeter.proxy.client_side import ClientSide
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.event_stream import EventStream
from parkmeter.proxy.gate import Permit, Standing
from parkmeter.proxy.held_stage import HeldStage
from parkmeter.proxy.loading import without_codings
from parkmeter.proxy.request_body import LAST_CHUNK, RequestBody, chunk
from parkmeter.proxy.request_head import RequestHead
from parkmeter.proxy.request_stage import Stage
from parkmeter.proxy.upstream_pool import address_of
from parkmeter.web import refusals
from parkmeter.web.dialect import dialect_of
from parkmeter.web.meter_headers import meter_header_lines
from parkmeter.web.problems import Problem, problem_answer, problem_of
from parkmeter.web.routes import Target

_log = logging.getLogger(__name__)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_GATEWAY = 502
_NEW, _DENIED, _HELD, _READING = Stage.NEW, Stage.DENIED, Stage.HELD, Stage.READING
_ANSWERING, _OVER = Stage.ANSWERING, Stage.OVER


class Relay(HeldStage):
    """Carries one request and its answer, always in one of these stages.

    ::

           begin()          permit        1st piece            connected          head
        NEW ───────▶ HELD ───────▶ READING ───────▶ CONNECTING ───────▶ REQUESTED ─────▶ ANSWERING
                     (at once if it serves)       ▲ (at once if one is      │              │ last
                                                  │  idle)                  │              │ piece
                                                  └──── found closed ───────┘              ▼
         refused, broken, late, or either side gone: from every stage ──────────────────▶ OVER

    NEW lasts while an earlier request of the connection is unanswered. One that is refused by its
    head alone is DENIED until the read that brought it is taken in: its connection is kept only if
    the body has come too. In flight from READING on.
    A failure before ANSWERING is answered with a problem; after that the answer must break off
    visibly, for nothing else can be sent.
    """

    __slots__ = ("_delay", "_permit", "_refusal")

    _body_type = RequestBody
    _delay: float
    """Seconds that a refusal has to wait."""

    def __init__(
        self,
        plane: DataPlane,
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
        self._body = self._body_type(length, request.http11 and request.expects_continue)
        self._held = None
        self._loading = None
        self._token = None
        self._permit: Permit | None = None
        self._connecting = None
        self._connection = None
        self._reader = None
        self._stream = None
        self._timeout_error = TimeoutError
        self._permitted = self._chunked = False
        self._first = b""
        self.keep_alive = request.http11
        self.response_complete = False

    @property
    def request(self) -> RequestHead:
        """The head of the request."""
        return self._request

    @property
    def may_repeat(self) -> bool:
        """True if its token is valid and its connection stays: its like may come again."""
        return self._token is not None and self.keep_alive

    def begin(self) -> None:
        """Go as far as the head allows. Every request before this one has been answered."""
        try:
            self._begin()
        except Exception as error:  # noqa: BLE001 (as `_guarded`)
            self._fail_with(error)

    def client_left(self) -> None:
        """End without an answer."""
        if self._stage is not _OVER:
            if self._target.route is not None:  # see `_fail`
                self._plane.traffic[self._target.name].gone += 1
            self._release()

    def timed_out(self) -> None:
        """Act on the timer: the present stage took longer than it may."""
        if self._stage is _DENIED:
            self._delay = 0
            self._send_refusal()
            return
        self._guarded(self._recheck if self._stage is _HELD else self._raise_timeout)

    def cut(self, token_id: str) -> None:
        """End the request, answered or not, if it is of this token: it was revoked."""
        if self._holder() == token_id:
            self.refuse(problem_of(TokenRefusedError()))

    def refuse(self, problem: Problem) -> None:
        """End, for a reason the client's connection found in the rest of the request."""
        self.keep_alive = False
        self._fail(problem)

    # ── Admission ───────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        request, plane, target = self._request, self._plane, self._target
        checked = request.checked_for is target
        if not checked:
            request.check_names()
        cached_token = self._client.cached_token
        try:
            self._route = route = plane.authorize(target, request.authorization, cached_token)
        except (TokenMissingError, TokenRefusedError) as error:
            self._refuse_token(error)
            return
        self._token = cached_token.token
        self._permitted = True
        if not checked:
            request.check_form(target)
        if request.needs_admin:
            plane.require_admin(route, cached_token)
        self._body.frame(request.named, route.limits.max_body_bytes)
        self._seek_permit()

    def _seek_permit(self) -> None:
        """Let the request in, or hold it."""
        request, plane, route = self._request, self._plane, self._route
        if route.limits.max_in_flight is None:
            permit = plane.gate.admit(route.name, prompt=request.prompt)
        else:
            permit = self._limited(route.limits.max_in_flight)
        if permit is not None:
            self._admit(permit)
            return
        self._wait_for_permit()

    def _refuse_token(self, error: TokenMissingError | TokenRefusedError) -> None:
        edge, request, delay = self._plane.edge, self._request, 0.0
        if isinstance(error, TokenRefusedError):
            delay = edge.refuse_token(request.peer.client, request.fields)
        try:
            edge.check_host(request.named.get(b"host", b""))
        except refusals.Refusal as refusal:
            self._refuse_later(refusal.problem, delay)
        else:
            self._refuse_later(problem_of(error), delay)

    def _admit(self, permit: Permit) -> None:
        self._permit = permit
        self._stage = _READING
        route = self._route
        self._traffic = self._plane.traffic[route.name]
        self._traffic.admitted += 1
        self._admitted_at = self._upload_from = perf_counter()
        self._timeouts = route.timeouts
        self._address = address_of(permit.address)
        self._cookies = route.cookies
        self._head = self._request.head_to(self._target, route, self._address.authority)
        if self._stream is not None:
            self._head = without_codings(self._head)
        if self._body.awaits_continue:
            self._invite()

    def _invite(self) -> None:
        """Have the client send the body, which waits for that."""
        self._body.awaits_continue = False
        self._client.write(_CONTINUE)

    def _meter_headers(self) -> bytes:
        plane, lines = self._plane, b""
        if self._permitted:  # else the client learns nothing of the meter
            name = self._route.name
            view, now = plane.gate.view(name), plane.now()
            if self._request.prefer.wait is None:
                lines = plane.stamps[name].lines(view, now)
            else:
                lines = meter_header_lines(view, now, self._wait_seconds())
        if (rule := plane.edge.cross_origin) is not None:
            lines += rule.lines(self._request.named)
        return lines

    # ── The end ─────────────────────────────────────────────────────────────────────────────────

    def _fail_with(self, error: Exception) -> None:
        match error:
            case refusals.Refusal():
                self._fail(error.problem)
            case ParkmeterError():
                self._fail(problem_of(error))
            case _:
                name = self._target.name
                _log.error("a request for %s failed: internal error", name, exc_info=error)
                self._fail(problem_of(ParkmeterError("See the log.")))

    def _fail(self, problem: Problem) -> None:
        name, client = self._target.name, self._client
        if self._stage is _OVER:
            return
        if self._stage is _NEW:
            self._refuse_later(problem, 0)
            return
        if self._stage is _DENIED:
            problem = self._refusal  # the first fault of a request is the one it is answered with
        if self._stream is not None:
            self._end_stream(self._stream, problem)
            return
        if self._stage is _ANSWERING:
            _log.warning("an answer of %s broke off: %s", name, problem.body.decode())
            self._plane.traffic[name].broken += 1
            self._release()
            client.disconnect(at_once=not self._request.http11)
            return
        if self._target.route is not None:  # any client can make names up; each would be kept
            self._plane.traffic[name].refused(problem.status)
        # A body that is still to come may never come: its end is not waited for.
        keep = self.keep_alive and self._body.complete and "Connection" not in problem.headers
        headless = self._request.method == "HEAD"
        problem = problem.in_dialect(dialect_of(self._target.path))
        client.write(problem_answer(problem, self._meter_headers(), keep=keep, headless=headless))
        self._release()
        client.answered(keep=keep)

    def _end_stream(self, stream: EventStream, problem: Problem) -> None:
        """End a stream by an event: its head is sent, so no status can say why."""
        route, plane, client = self._route, self._plane, self._client
        if problem.status == _BAD_GATEWAY and plane.gate.standing(route.name) is Standing.CLOSED:
            # Its server was stopped: of that the model's connection shows nothing but its end.
            problem = problem_of(self._not_admitted())
        if self._stage is _ANSWERING:
            _log.warning("a stream of %s was cut off: %s", route.name, problem.members["detail"])
            plane.traffic[route.name].broken += 1
        else:
            plane.traffic[route.name].refused(problem.status)
        event = stream.ending(problem)
        client.write(chunk(event) + LAST_CHUNK if self._chunked else event)
        keep = self.keep_alive and self._body.complete
        self._release()
        client.answered(keep=keep)

    def _refuse_later(self, problem: Problem, delay: float) -> None:
        """Send the problem once the present read is taken in, at the earliest after `delay`."""
        self._stage = _DENIED
        self._refusal = problem
        self._delay = delay

    def _send_refusal(self) -> None:
        if self._delay:
            self._client.pause()
            self._client.timer.restart(self._delay)
        else:
            self._client.resume()
            self._fail(self._refusal)

    def _release(self) -> None:
        self._stage = _OVER
        self.response_complete = True
        if self._held is not None:
            self._held.release()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            # Kept only if request and answer are complete, closed in every other case.
            self._plane.pool.give_back(self._address, self._connection)
            self._connection = None
        if self._permit is not None:
            self._permit.release()
        if self._reader is not None and self._token is not None:
            self._traffic.used(self._token.name, self._reader, self._admitted_at)
            if self._request.gives_ids:
                self._plane.given_ids.remember(self._reader.answer_id(), self._target.name)
