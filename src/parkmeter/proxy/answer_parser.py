"""An answer of a model server as it is read: its head, pieces of its body, its end.

Every byte goes to httptools' parser, but for what is known already. It may not know the connection
that the bytes come from, nor who asked.
"""

from enum import Enum, auto
from functools import lru_cache

import httptools

from parkmeter.proxy.answer_heads import LONGEST_HEAD, AnswerHead, AnswerHeads
from parkmeter.web.headers import HEAD_LIMIT, is_document


class State(Enum):
    """State of a connection; see `UpstreamConnection`."""

    IDLE = auto()
    REQUESTED = auto()
    ANSWERING = auto()
    DONE = auto()
    CLOSED = auto()


_IDLE, _REQUESTED, _ANSWERING, _DONE, _CLOSED = State
"""Bound once: Python 3.11 takes 130 ns to find a member in its enum, twenty times a request."""

_NO_DOCUMENTS = frozenset(
    {
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/octet-stream",
        b"text/event-stream",
        b"text/event-stream; charset=utf-8",
        b"text/plain",
        b"text/plain; charset=utf-8",
    }
)
"""The types of nearly all answers, which need no closer look."""


class AnswerParser:
    """Reads one answer after the other; `state` says where it is, as `UpstreamConnection` draws it.

    `status` is 0 before the answer's head. From then on `headers` are those of the head (names in
    lower case) without Content-Length, which is `length` as it was sent; `content_type` is among
    them; `document`: a browser could run it. `known`: the head, if it was known and not parsed.

    What is known goes past the parser, which then stands between two answers or between two chunks
    and is left there. Without `heads` the parser gets every byte.
    """

    __slots__ = (
        "_between_chunks",
        "_chunk_over",
        "_close_delimited",
        "_first_read",
        "_head_bytes",
        "_headless",
        "_heads",
        "_interim",
        "_keep_alive",
        "_last_head",
        "_left",
        "_parser",
        "_pieces",
        "content_type",
        "document",
        "headers",
        "known",
        "length",
        "state",
        "status",
    )

    def __init__(self, heads: AnswerHeads | None = None) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._heads = heads
        self._last_head: AnswerHead | None = None
        self._pieces: list[bytes] = []
        self._left = 0
        """Bytes still to come of the body behind a known head."""
        self._keep_alive = False
        self._interim = False
        self._headless = False
        """The answer is to a HEAD, and so has no body."""
        self._head_bytes = 0
        """Of the present answer, as far as it was parsed."""
        self._between_chunks = False
        self.state = _IDLE
        self.status = 0
        self._reset()

    def _reset(self) -> None:
        """Forget the answer before; not called where the head of the next one is known."""
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: bytes | None = None
        self.content_type: bytes | None = None
        self.document = False
        self.known: AnswerHead | None = None
        self._close_delimited = True
        self._chunk_over = False
        self._first_read = b""
        """What may begin with a head to learn."""

    def take(self) -> bytes:
        """Return what came of the body since; with `state` DONE it is the end."""
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    # ── What is known ───────────────────────────────────────────────────────────────────────────

    def _known_head(self, heads: AnswerHeads, data: bytes) -> bool:
        """Begin the answer if its head is known and nothing comes behind its body.

        `data`: the first that came in answer to the request.
        """
        head = self._last_head
        found = None if head is None else head.split(data)
        if found is None:
            head = heads.find(data)
            found = None if head is None else head.split(data)
        if head is None or found is None or self._headless:
            return False
        heads.misses = 0
        self._last_head = self.known = head
        self.length, body, self._left = found
        self.status, self.headers = head.status, head.headers
        self.content_type, self.document = head.content_type, head.document
        self._close_delimited = False
        self._keep_alive = True
        if body:
            self._pieces.append(body)
        self.state = _ANSWERING if self._left else _DONE
        return True

    def _known_body(self, data: bytes) -> None:
        """Take more of the body behind a known head; what is behind that is the parser's."""
        body, behind = data[: self._left], data[self._left :]
        self._pieces.append(body)
        self._left -= len(body)
        if not self._left:
            self.state = _DONE
            if behind:
                self._feed(behind)

    # ── What is not ─────────────────────────────────────────────────────────────────────────────

    def _parse(self, data: bytes) -> str:
        """Parse what came; return what is wrong with it, for people."""
        first = not self._head_bytes
        if first:
            self._reset()
        if self.state is _REQUESTED:
            self._head_bytes += len(data)
        problem = "" if self._feed(data) else "The model server's answer is not valid HTTP."
        if self.state is _REQUESTED:
            # Interim answers count too; and not only header by header: one without an end is never
            # complete.
            if self._head_bytes > HEAD_LIMIT and not problem:
                problem = "The model server's answer has too large a head."
        elif (heads := self._heads) is not None:
            self._between_chunks = self._chunk_over and data[-2:] == b"\r\n"
            if first and self.length is not None:
                self._first_read = data[:LONGEST_HEAD]
            if self.state is _DONE:
                self._between_chunks = False
                if self._first_read and self._keep_alive:
                    self._last_head = heads.learn(self._first_read, self)
        return problem

    def _feed(self, data: bytes) -> bool:
        """Feed the parser; return False, and keep the connection no longer, if it is no HTTP."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keep_alive = False
            return False
        return True

    # ── httptools' callbacks: an exception raised in one makes the answer malformed ─────────────

    def on_message_begin(self) -> None:
        """Begin an answer; one that was not requested spoils the connection."""
        if self.state is _DONE:
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; drop those of a trailer."""
        if self.state is not _REQUESTED:
            return
        name = name.lower()
        if name == b"content-length":
            self.length = value
            self._close_delimited = False
            return
        if name == b"transfer-encoding":
            # Only framing may be taken off an answer; a coding of the content may not be.
            if value.strip().lower() != b"chunked":
                raise ValueError("transfer coding")
            self._close_delimited = False
        elif name == b"content-type":
            self.content_type = value
            if value not in _NO_DOCUMENTS:
                self.document = self.document or is_document(value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the head; skip that of an interim answer."""
        if self.state is not _REQUESTED:
            self._keep_alive = False
            return
        if self._head_bytes > HEAD_LIMIT and _size(self.headers) > HEAD_LIMIT:
            raise ValueError("head too large")
        status = self._parser.get_status_code()
        if 100 <= status < 200:  # noqa: PLR2004
            self._interim = True
            self._reset()
            return
        if not 200 <= status < 600:  # noqa: PLR2004
            raise ValueError("status")
        self.status = status
        self.state = _ANSWERING
        if self.content_type is None:
            self.document = True  # a browser would guess its type
        if self._headless:
            # No setting of the parser says that the length in a HEAD's answer announces nothing; so
            # the connection ends here, or it would read the next answer as this one's body.
            self._end(keep_alive=False)

    def on_chunk_header(self) -> None:
        """Take note that a chunk has begun."""
        self._chunk_over = False

    def on_chunk_complete(self) -> None:
        """Take note that a chunk has ended."""
        self._chunk_over = True

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self.state is _ANSWERING:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """End the answer. Keep-alive is read here: after `feed_data` the parser denies it."""
        if self._interim:
            self._interim = False
        elif self.state is _ANSWERING:
            self._end(keep_alive=self._parser.should_keep_alive())

    def _end(self, *, keep_alive: bool) -> None:
        self.state = _DONE
        self._keep_alive = keep_alive


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def chunk_line(data: bytes) -> bytes:
    """Return the line before what is in a chunk, if this is one whole chunk as `chunk` frames it.

    Otherwise nothing. Never for the last one.
    """
    line = _line_for(len(data))
    return line if data.startswith(line) and data[-2:] == b"\r\n" else b""


@lru_cache(maxsize=4096)
def _line_for(whole: int) -> bytes:
    """Return the first line of a chunk whose bytes are that many in all, or nothing."""
    for digits in range(1, 9):
        size = whole - digits - 4
        if size > 0 and len(line := b"%x\r\n" % size) == digits + 2:
            return line
    return b""
