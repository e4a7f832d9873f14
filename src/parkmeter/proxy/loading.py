"""The beginning of an answer before its endpoint serves: a head, then the progress of the start.

For requests that are held and asked for a stream, where the endpoint's `loading` says so. From the
head on no status can be sent: whatever comes instead of the stream is an event in it.
"""

import asyncio

from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.event_stream import EventStream
from parkmeter.proxy.gate import Standing
from parkmeter.proxy.request_body import RequestBody, chunk
from parkmeter.proxy.request_head import RequestHead
from parkmeter.web.headers import STATUS_LINES
from parkmeter.web.routes import Loading, Target
from parkmeter.web.stream_events import (
    LoadingForm,
    loading_form,
    progress_event,
    progress_text,
)

EVERY_SECONDS = 5.0
"""Between two events. Proxies and clients give up after 30 seconds of silence at the earliest."""

READ_AHEAD_LIMIT = 1024 * 1024
"""Bytes of a body that are read while it is held: `stream` may stand at its end. A larger body
waits as if `loading` was off."""

_HEAD = (
    STATUS_LINES[200]
    + b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    + b"x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n"
)
_ACCEPTED_CODINGS = b"accept-encoding:"


class LoadingAnswer:
    """Begins the answer to one held request, and reports the start until it is admitted.

    `stream` is None until its head was sent.
    """

    __slots__ = ("_due", "_form", "_now", "_plane", "_read", "_target", "stream")

    def __init__(self, plane: DataPlane, target: Target) -> None:
        self._plane = plane
        self._target = target
        self._now = asyncio.get_running_loop().time
        self._form: LoadingForm | None = None
        self._read = False
        self._due = 0.0
        self.stream: EventStream | None = None

    def begin(self, body: RequestBody) -> EventStream | None:
        """Return the stream if its head is to be sent now; None: the request goes on waiting.

        Not before the meter is open, nor for a start that has failed: those are answered with a
        status of their own.
        """
        plane, name = self._plane, self._target.name
        view = plane.gate.view(name)
        if plane.gate.standing(name) is not Standing.WAITING or _failed(view):
            return None
        if not self._read and body.complete and body.waiting <= READ_AHEAD_LIMIT:
            self._read = True
            self._form = loading_form(self._mode, self._target.path, body.ahead())
        if self._form is not None:
            self.stream = EventStream(self._target.path)
        return self.stream

    def due(self) -> tuple[bytes, float]:
        """Return the event that is due now, framed, if one is, and the seconds to the next."""
        now, event = self._now(), b""
        if now >= self._due and self._form is not None:
            self._due = now + EVERY_SECONDS
            created = int(self._plane.now().timestamp())
            event = chunk(progress_event(self._shown(self._form), self._text(), created))
        return event, self._due - now

    @property
    def has_failed(self) -> bool:
        """True if the start that is reported has failed."""
        return self.stream is not None and _failed(self._plane.gate.view(self._target.name))

    @property
    def _mode(self) -> Loading:
        route = self._target.route
        return Loading.OFF if route is None else route.loading

    def _shown(self, form: LoadingForm) -> LoadingForm:
        """Return the form; while it only waits for a place there is nothing for people to see."""
        serves = self._plane.gate.standing(self._target.name) is Standing.SERVING
        return LoadingForm(form.dialect) if serves else form

    def _text(self) -> str:
        plane, name = self._plane, self._target.name
        view = plane.gate.view(name)
        if view is None:
            return f"{name} is being looked at"
        if view.started_at is not None:
            elapsed = plane.now() - view.started_at
            return progress_text(name, elapsed, plane.usual_starts.get(name))
        return f"{name}: {view.reason}"


def may_load(request: RequestHead, target: Target) -> bool:
    """Return whether this request's answer may begin before its endpoint serves."""
    route = target.route
    return (
        route is not None
        and route.loading is not Loading.OFF
        and request.method == "POST"
        and request.http11
        and b"content-encoding" not in request.named
    )


def loading_head(meter_headers: bytes, *, keep: bool) -> bytes:
    """Return the head of a stream, sent before the model server's own."""
    return _HEAD + meter_headers + (b"\r\n" if keep else b"connection: close\r\n\r\n")


def without_codings(head: bytes) -> bytes:
    """Return a request's head without what allows a compressed answer: its own head is sent."""
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if line[:16].lower() != _ACCEPTED_CODINGS)


def _failed(view: View | None) -> bool:
    return view is not None and view.status is Status.FAILED
