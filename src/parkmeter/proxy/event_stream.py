"""A client's stream of events: passed on as it comes, and ended by an event that says why.

It may not know connections or tokens.
"""

from parkmeter.web.headers import Fields
from parkmeter.web.problems import Problem
from parkmeter.web.stream_events import (
    between_events,
    end_of_cut_event,
    error_event,
    has_last_event,
    is_encoded,
    is_event_stream,
    no_stream,
    refusal_event,
)

_KEPT_BYTES = 64 * 1024
"""Of an answer that is no stream; the refusals of model servers are a few hundred."""

_OK = 200

_UNBUFFERED = b"x-accel-buffering"
_UNBUFFERED_LINE = b"x-accel-buffering: no\r\n"
"""Without it nginx, as it is installed, collects a stream and passes it on in large pieces."""


def opened(fields: Fields, path: bytes) -> tuple["EventStream | None", bytes]:
    """Return the stream that an answer with these header fields is, and the lines they lack.

    None for any other answer, and for a compressed one, to which no event can be added.
    """
    if not is_event_stream(fields):
        return None, b""
    lines = b"" if any(name == _UNBUFFERED for name, _ in fields) else _UNBUFFERED_LINE
    return None if is_encoded(fields) else EventStream(path), lines


class EventStream:
    """One answer of type text/event-stream, to a request for `path` at the model server.

    Its pieces are passed on by the request; the `last` one shows whether an event has ended. Where
    the stream's head was sent before the model server's came, `answered` takes that one: an answer
    that is no stream is `kept`, and becomes the last event.
    """

    __slots__ = ("_path", "_readable", "_status", "_type", "kept", "last")

    def __init__(self, path: bytes) -> None:
        self._path = path
        self.last = b"\n\n"
        self.kept: bytearray | None = None
        self._status = _OK
        self._readable = True
        self._type = ""

    def answered(self, status: int, fields: Fields) -> None:
        """Take the head of the model server's answer, of which nothing can be passed on."""
        self._status = status
        self._readable = not is_encoded(fields)
        if status != _OK or not self._readable or not is_event_stream(fields):
            self.kept = bytearray()
            types = (value for name, value in fields if name == b"content-type")
            self._type = next(types, b"").decode("latin-1")

    @property
    def is_whole(self) -> bool:
        """Return whether its model has said that it ends here, or its answer is no stream."""
        return self.kept is not None or has_last_event(self.last)

    def instead(self, data: bytes, *, done: bool) -> bytes:
        """Return what to send for a piece of a `kept` answer: once it is `done`, the last event."""
        if self.kept is not None and len(self.kept) < _KEPT_BYTES:
            self.kept += data
        return self._instead() if done else b""

    def ending(self, problem: Problem) -> bytes:
        """Return the last event, for a stream that ends before its model is done.

        An event that was cut is ended before it, unless the last piece has ended with a blank line.
        """
        event = error_event(problem, self._path)
        if between_events(self.last):
            return event
        return end_of_cut_event(self.last, event, self._path) + event

    def _instead(self) -> bytes:
        """Return the last event, made of an answer that was no stream."""
        if self._status < 300:  # noqa: PLR2004 (a success, but not one that was asked for)
            return error_event(no_stream(self._type), self._path)
        return refusal_event(
            self._status, bytes(self.kept or b"") if self._readable else None, self._path
        )
