"""The body of one request on its way to a model server: its framing and its bounds.

Pure: bytes in, bytes out. It may not know connections, meters or model servers.
"""

import math
from collections.abc import Mapping

from parkmeter.errors import InvalidRequestError, TooLargeError
from parkmeter.web.refusals import unknown_coding

GRACE_SECONDS = 120.0
LEAST_RATE = 1000.0
"""Bytes a second, after the grace; the slowest line still in use has several times as many. A body
that drips would hold a permit, and keep an endpoint from being idle, for as long as it likes."""

_SHORT = 1024
"""Bytes of a piece that is joined with the one before it. As an object of its own a piece of two
bytes takes fifty, and of a body in such pieces a client could have us keep 25 times its size."""

_MOST_DIGITS = 18
"""Of a length, so that it fits 64 bits."""

Piece = bytes | bytearray | memoryview


class RequestBody:
    """Takes pieces as the client sends them and frames them for the model server.

    `length` is the value of the request's Content-Length, None if it has none. `unsized`: it comes
    without a length. `complete`: its last piece came. `waiting`: bytes that came and were not taken
    yet. `awaits_continue`: the client sends nothing of it before a 100 (`Expect: 100-continue`).
    """

    __slots__ = (
        "_chunked",
        "_declared",
        "_length",
        "_limit",
        "_pieces",
        "_received",
        "awaits_continue",
        "complete",
        "unsized",
        "waiting",
    )

    def __init__(self, length: bytes | None, awaits_continue: bool = False) -> None:  # noqa: FBT001, FBT002 (a keyword doubles the time)
        self._length = length
        self._declared: int | None = None
        self._chunked = False
        self._limit: float = math.inf
        self._pieces: list[Piece] = []
        self._received = self.waiting = 0
        self.unsized = self.complete = False
        self.awaits_continue = awaits_continue

    def frame(self, named: Mapping[bytes, bytes], limit: int) -> None:
        """Read the framing from the request's other headers; `limit` is in bytes.

        Raises:
            InvalidRequestError: the framing is ambiguous.
            Refusal: a transfer coding that the gateway cannot undo.
            TooLargeError: the declared length is over the limit.

        """
        self._limit = limit
        length = self._length
        coding = named.get(b"transfer-encoding")
        if coding is not None:
            if length is not None:
                raise InvalidRequestError("A body has either Content-Length or Transfer-Encoding.")
            if coding.strip().lower() != b"chunked":
                raise unknown_coding()
            self._chunked = self.unsized = True
        elif length is not None:
            plain = length.isdigit() and len(length) <= _MOST_DIGITS
            self._declared = declared = int(length) if plain else _number(length)
            if declared > limit:
                raise TooLargeError(limit)

    def add(self, piece: bytes) -> None:
        """Take a piece from the client; call `check_size` before it is sent on."""
        pieces = self._pieces
        if pieces and len(piece) < _SHORT:
            last = pieces[-1]
            if not isinstance(last, bytearray):
                pieces.append(last := bytearray())
            last += piece
        else:
            pieces.append(piece)
        self._received += len(piece)
        self.waiting += len(piece)
        self.awaits_continue = False

    def fill(self, whole: bytes) -> None:
        """Take all of it at once; nothing came before."""
        if whole:
            self._pieces.append(whole)
            self._received = self.waiting = len(whole)
            self.awaits_continue = False
        self.complete = True

    def check_size(self) -> None:
        """Raise TooLargeError if a body without a length passed the limit."""
        if self._received > self._limit:
            raise TooLargeError(int(self._limit))

    def first(self, head: bytes) -> bytes:
        """Return the request's head with the body's framing, and what came of the body so far.

        A chunked body that is complete already is sent with its length.
        """
        declared = self._declared
        if declared is None and self._chunked:
            if not self.complete:
                return b"%bTransfer-Encoding: chunked\r\n\r\n%b" % (head, self.take())
            declared, self._chunked = self.waiting, False
        if declared is None:
            return head + b"\r\n"
        pieces = self._pieces
        if len(pieces) == 1 and isinstance(data := pieces[0], bytes):  # as `take` does: a call less
            pieces.clear()
            self.waiting = 0
        else:
            data = self.take()
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, declared, data)

    def ahead(self) -> bytes:
        """Return what came and was not taken yet, and leave it there."""
        pieces = self._pieces
        if len(pieces) == 1 and isinstance(piece := pieces[0], bytes):
            return piece
        whole = b"".join(pieces)
        self._pieces = [whole]
        return whole

    def take(self) -> bytes:
        """Return what came since, framed; the end of a chunked body once it is `complete`."""
        pieces = self._pieces
        if len(pieces) != 1 or not isinstance(data := pieces[0], bytes):
            data = self.ahead()
        self._pieces = []
        self.waiting = 0
        if not self._chunked:
            return data
        framed = chunk(data) if data else b""  # an empty chunk would end it
        return framed + LAST_CHUNK if self.complete else framed

    def time_left(self, elapsed: float) -> float:
        """Return the seconds in which more of an incomplete body has to come, after `elapsed`.

        It is bought by what came, at `LEAST_RATE`, beyond the grace that every body has.
        """
        return GRACE_SECONDS + self._received / LEAST_RATE - elapsed

    def discard(self) -> None:
        """Drop what came and was not taken."""
        self._pieces = []
        self.waiting = 0


def chunk(data: bytes) -> bytes:
    """Return data as one chunk; it must not be empty, for that is the last chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def _number(length: bytes) -> int:
    digits = length.strip()
    if not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise InvalidRequestError("Content-Length is not a number.", field="Content-Length")
    return int(digits)
