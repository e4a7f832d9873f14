"""Heads of answers that were read before, by their exact bytes: those are not parsed again. Pure.

A model server repeats its head, but for the length of the body and at most the date. What follows
from such a head is kept; the digits of the length are cut out of the bytes and read strictly. All
that is odd is declined, and the parser reads it.
"""

import re
from typing import Protocol

from parkmeter.web.headers import BODILESS, Fields, answer_head

MOST_HEADS = 64
LONGEST_HEAD = 4096
"""Bytes."""

MOST_MISSES = 64
"""Heads in a row that were not known: after them heads seem never to repeat, and of as many only
the first few are looked at, in case they repeat now."""

_FEW = 4
_LONGEST_LENGTH = 18
"""Digits; fits 64 bits."""

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: ?(0|[1-9][0-9]{0,17})\r\n", re.IGNORECASE)
_FIRST = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_LENGTH_NAME = b"content-length"
_TWO_READINGS = re.compile(rb"[\r\n\0]|^[ \t]|[ \t]:")
_ZERO = ord("0")
_SECRET = frozenset({b"set-cookie", b"set-cookie2", b"www-authenticate"})
"""Names of headers that may hold what only one client may know."""


class Parsed(Protocol):
    """An answer's head as the parser has read it; see `UpstreamConnection`."""

    status: int
    headers: Fields
    length: bytes | None
    content_type: bytes | None
    document: bool


class AnswerHead:
    """What follows from one head, whatever its length. An answer with it has a body of that length.

    `before` and `after`: its bytes on both sides of the digits of the length. `lines`: those for
    the client; see `answer_head`.
    """

    __slots__ = (
        "after",
        "before",
        "content_type",
        "document",
        "headers",
        "lines",
        "lines_with_cookies",
        "status",
    )

    def __init__(self, before: bytes, after: bytes, parsed: Parsed) -> None:
        self.before = before
        self.after = after
        self.status = parsed.status
        self.headers = parsed.headers
        self.content_type = parsed.content_type
        self.document = parsed.document
        self.lines = self._lines(cookies=False)
        self.lines_with_cookies = self._lines(cookies=True)

    def split(self, data: bytes) -> tuple[bytes, bytes, int] | None:
        """Return the length that data which begin with this head give their body, and the body.

        The third is the number of bytes still to come. None: they begin with another head, or go on
        behind the body.
        """
        if not data.startswith(self.before):
            return None
        begin = len(self.before)
        end = data.find(b"\r", begin, begin + _LONGEST_LENGTH + 1)
        if not data.startswith(self.after, end):
            return None
        length = data[begin:end]
        body = data[end + len(self.after) :]
        if length == b"%d" % len(body):  # nearly always
            return length, body, 0
        if end <= begin or not length.isdigit() or (length[0] == _ZERO and length != b"0"):
            return None
        left = int(length) - len(body)
        return (length, body, left) if left > 0 else None

    def _lines(self, *, cookies: bool) -> bytes:
        return answer_head(self.status, self.headers, cookies=cookies, document=self.document)


class AnswerHeads:
    """The heads that are known, of all model servers: what follows from one does not depend on it.

    At most `MOST_HEADS`; the one that was learned first gives way. `misses`: heads in a row that
    were not known.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], AnswerHead] = {}
        self.misses = 0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, data: bytes) -> AnswerHead | None:
        """Return the head that `data` begin with, if it is known."""
        if not self._looks:
            return None
        cut = _cut(data)
        return None if cut is None else self._known.get(cut)

    def learn(self, data: bytes, parsed: Parsed) -> AnswerHead | None:
        """Keep the head that `data` began with, which was not known; None if it is an odd one.

        `parsed`: what the parser read in it; the answer has ended as its length said, and its
        connection can be kept.
        """
        looks = self._looks
        self.misses += 1
        cut = _cut(data) if looks else None
        if cut is None or not _is_plain(*cut, parsed):
            return None
        if len(self._known) >= MOST_HEADS:
            del self._known[next(iter(self._known))]
        head = self._known[cut] = AnswerHead(*cut, parsed)
        return head

    @property
    def _looks(self) -> bool:
        return self.misses < MOST_MISSES or self.misses % MOST_MISSES < _FEW


def _cut(data: bytes) -> tuple[bytes, bytes] | None:
    """Return what stands before and behind the digits of the length, in the head of `data`."""
    end = data.find(_END, 0, LONGEST_HEAD)
    length = _LENGTH.search(data, 0, end + 2) if end > 0 else None
    if length is None:
        return None
    return data[: length.start(1)], data[length.end(1) : end + 4]


def _is_plain(before: bytes, after: bytes, parsed: Parsed) -> bool:
    """Return whether these are the bytes in which the parser found this, and all readers would."""
    first = _FIRST.match(before)
    lines = (before + after)[:-4].split(b"\r\n")
    fields = [_field(line) for line in lines[1:]]
    return (
        first is not None
        and int(first[1]) == parsed.status  # else it had read an interim answer before
        and parsed.status not in BODILESS
        and not any(_TWO_READINGS.search(line) for line in lines)
        and [name for name, _ in fields].count(_LENGTH_NAME) == 1
        and [field for field in fields if field[0] != _LENGTH_NAME] == parsed.headers
        and _SECRET.isdisjoint(name for name, _ in fields)
    )


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" ")
