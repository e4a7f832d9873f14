"""Readers of answers on their way: what the model used, and the id it gave.

A reader gets the pieces after they were passed on, and changes none. It never raises, keeps a
bounded number of bytes, and what goes beyond them is unknown.
"""

from collections.abc import Sequence
from time import perf_counter

from parkmeter.web.answer_usage import (
    KEY,
    UNKNOWN,
    Usage,
    id_of_answer,
    id_of_event,
    usage_at_end,
    usage_in_event,
)

_TAIL = 64 * 1024
"""Bytes kept of the end of a JSON answer: servers write `usage` after all that is long."""

_HEAD = 4 * 1024
"""Bytes kept of its beginning, for its id."""

_LONGEST_LINE = 2**20
"""Bytes of one event: the last one of a response repeats all of its text."""

_LONGEST_FIRST = 64 * 1024
"""Bytes kept of the first event, for its id."""


class AnswerReader:
    """Reader of an answer that cannot be read, because it is compressed.

    `first_at`: time of the first event (`perf_counter`); None before it, and where there are none.
    """

    __slots__ = ("first_at",)

    def __init__(self) -> None:
        self.first_at: float | None = None

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""

    def usage(self) -> Usage:
        """Return what the answer has said so far that it used."""
        return UNKNOWN

    def answer_id(self) -> str | None:
        """Return the id of the answer, or None."""
        return None


class JsonReader(AnswerReader):
    """Reader of a JSON answer: keeps its end."""

    __slots__ = ("_head", "_tail")

    def __init__(self) -> None:
        self.first_at = None
        self._head: bytes | None = None
        """The beginning, once the end alone is kept."""
        self._tail: bytes | bytearray = b""

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        if not self._tail and len(data) <= _TAIL:
            self._tail = data  # nearly always the only one
            return
        tail = bytearray(self._tail) if isinstance(self._tail, bytes) else self._tail
        tail += data
        self._tail = tail
        if len(tail) > 2 * _TAIL:  # not with each piece: it moves all that stays
            if self._head is None:
                self._head = bytes(tail[:_HEAD])
            del tail[:-_TAIL]

    def usage(self) -> Usage:
        """Return what the answer has said so far that it used."""
        return usage_at_end(bytes(self._tail))

    def answer_id(self) -> str | None:
        """Return the id of the answer, or None."""
        if self._head is not None:
            return id_of_answer(self._head, whole=False)
        return id_of_answer(bytes(self._tail), whole=True)


class EventReader(AnswerReader):
    """Reader of server-sent events: keeps the line that is not complete."""

    __slots__ = ("_first", "_rest", "_skipping", "_usage")

    def __init__(self) -> None:
        self.first_at = None
        self._first: bytes | None = None
        """The first line with data."""
        self._rest = bytearray()
        self._skipping = False
        """The present line is longer than is kept."""
        self._usage = UNKNOWN

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        if self.first_at is None:
            self.first_at = perf_counter()
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not end:
            self._keep(data)
            return
        lines = data if end == len(data) else data[:end]
        if self._rest or self._skipping:
            lines = self._completed(lines)
        if end != len(data):
            self._keep(data[end:])
        if self._first is None:
            self._first = _first_event(lines.splitlines())
        if KEY in lines:
            for line in lines.splitlines():
                if KEY in line:
                    self._usage = usage_in_event(line, self._usage)

    def usage(self) -> Usage:
        """Return what the answer has said so far that it used."""
        if self._rest and KEY in self._rest:  # a last line without its end
            return usage_in_event(bytes(self._rest), self._usage)
        return self._usage

    def answer_id(self) -> str | None:
        """Return the id of the answer, or None."""
        return None if self._first is None else id_of_event(self._first)

    def _keep(self, data: bytes) -> None:
        """Keep the beginning of a line, or more of it."""
        if self._skipping:
            return
        self._rest += data
        if len(self._rest) > _LONGEST_LINE:
            self._rest.clear()
            self._skipping = True

    def _completed(self, lines: bytes) -> bytes:
        """Return lines, the first of which began earlier."""
        if self._skipping:
            self._skipping = False
            ends = [at for at in (lines.find(b"\n"), lines.find(b"\r")) if at >= 0]
            return lines[min(ends) + 1 :]
        lines = bytes(self._rest) + lines
        self._rest.clear()
        return lines


def _first_event(lines: Sequence[bytes]) -> bytes | None:
    return next((line[:_LONGEST_FIRST] for line in lines if line[:5] == b"data:"), None)


_READERS: dict[bytes, type[AnswerReader]] = {
    b"application/json": JsonReader,
    b"application/json; charset=utf-8": JsonReader,
    b"text/event-stream": EventReader,
    b"text/event-stream; charset=utf-8": EventReader,
}
"""By the types of nearly all answers, as they are written."""


def reader_of(
    content_type: bytes | None, headers: Sequence[tuple[bytes, bytes]]
) -> AnswerReader | None:
    """Return a reader of an answer with this type and head; None for neither JSON nor events."""
    if content_type is None:
        return None
    reader = _READERS.get(content_type)
    if reader is None:
        plain = content_type.partition(b";")[0].strip().lower()
        reader = _READERS.get(plain)
        if reader is None:
            return None
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            return AnswerReader()
    return reader()
