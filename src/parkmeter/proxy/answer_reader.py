"""Readers of answers on their way: what the model used, and the id it gave.

A reader gets the pieces after they were passed on, and changes none. It never raises, keeps a
bounded number of bytes, and what goes beyond them is unknown.
"""

import re
from collections.abc import Callable, Sequence
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


COUNTING = (b"/count_tokens", b"/tokenize", b"/detokenize")
"""Ends of paths whose answers use nothing: they would be unknown for good."""

_LINE_FEED = ord("\n")
_END_OF_LINE = re.compile(rb"[\r\n]")


class AnswerReader:
    """Reader of one answer. A compressed one has no `usage` that could be seen: it is unknown.

    `first_at`: time of the first event (`perf_counter`); None before it, and where there are none.
    """

    # Attributes of the class as long as nothing differs: most readers live for one piece.
    first_at: float | None = None

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        raise NotImplementedError

    def usage(self) -> Usage:
        """Return what the answer has said so far that it used."""
        raise NotImplementedError

    def answer_id(self) -> str | None:
        """Return the id of the answer, or None."""
        raise NotImplementedError


class JsonReader(AnswerReader):
    """Reader of a JSON answer: keeps its end."""

    _head: bytes | None = None
    """The beginning, once the end alone is kept."""
    _tail: bytes | bytearray = b""

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
        at = self._tail.rfind(KEY)
        return UNKNOWN if at < 0 else usage_at_end(self._tail, at)

    def answer_id(self) -> str | None:
        """Return the id of the answer, or None."""
        if self._head is not None:
            return id_of_answer(self._head, whole=False)
        return id_of_answer(bytes(self._tail), whole=True)


class EventReader(AnswerReader):
    """Reader of server-sent events: keeps the line that is not complete."""

    _first: bytes | None = None
    """The first line with data."""
    _open = False
    """The last line is not complete."""
    _usage = UNKNOWN

    def __init__(self) -> None:
        self._rest = bytearray()
        """What there is of the last line; nothing if it is longer than is kept."""

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        if self.first_at is None:
            self.first_at = perf_counter()
        if self._open or data[-1] != _LINE_FEED:
            data = self._complete_lines(data)
        if self._first is None:
            self._first = _first_event(data.splitlines())
        if data.rfind(KEY) >= 0:  # faster than from the front
            for line in data.splitlines():
                if KEY in line:
                    self._usage = usage_in_event(line, self._usage)

    def usage(self) -> Usage:
        """Return what the answer has said so far that it used."""
        if KEY in self._rest:  # a last line without its end
            return usage_in_event(bytes(self._rest), self._usage)
        return self._usage

    def answer_id(self) -> str | None:
        """Return the id of the answer, or None."""
        return None if self._first is None else id_of_event(self._first)

    def _complete_lines(self, data: bytes) -> bytes:
        """Return the lines that are complete now; keep the rest."""
        rest, end = self._rest, max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        lines = b""
        if end:
            lines = data[:end]
            if rest:
                lines = bytes(rest) + lines
                rest.clear()
            elif self._open:  # the first one was too long
                lines = _END_OF_LINE.split(lines, 1)[1]
            self._open = False
        if end < len(data):
            if rest or not self._open:
                rest += data[end:]
            self._open = True
            if len(rest) > _LONGEST_LINE:
                rest.clear()
        return lines


def _first_event(lines: Sequence[bytes]) -> bytes | None:
    return next((line[:_LONGEST_FIRST] for line in lines if line[:5] == b"data:"), None)


Maker = Callable[[], AnswerReader | None]


class Readers(dict[bytes | None, Maker]):
    """What makes the reader of an answer, by the type of its content; None for most types.

    A dictionary, because every answer asks: one look-up, and no call for what needs no reader.
    """

    def __missing__(self, content_type: bytes | None) -> Maker:
        """Return the maker for a type that is written in another way, and keep it for a few."""
        plain = (content_type or b"").partition(b";")[0].strip().lower()
        maker = self.get(plain, _NONE)
        if len(self) < _TYPES_KEPT:
            self[content_type] = maker
        return maker


_NONE: Maker = type(None)
_TYPES_KEPT = 64

READERS = Readers({b"application/json": JsonReader, b"text/event-stream": EventReader})
