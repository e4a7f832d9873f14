"""The body of one request on its way to a model server: how it is framed, how much of it came.

Pure: bytes in, bytes out. It may not know connections, meters or model servers.
"""

import math
from collections.abc import Mapping

from parkmeter.errors import InvalidRequestError, TooLargeError
from parkmeter.web.refusals import unknown_coding


class Body:
    """Takes pieces as the client sends them and frames them anew for the model server.

    `length` is the value of the request's Content-Length, None if it has none. `unmeasured`: it
    comes without a length. `whole`: its last piece came. `waiting`: bytes that came and were not
    taken yet. `awaited`: the client sends nothing of it before it is told to (`Expect:
    100-continue`).
    """

    __slots__ = (
        "_chunked",
        "_declared",
        "_length",
        "_limit",
        "_pieces",
        "_received",
        "awaited",
        "unmeasured",
        "waiting",
        "whole",
    )

    def __init__(self, length: bytes | None, *, awaited: bool) -> None:
        self._length = length
        self._declared: int | None = None
        self._chunked = False
        self._limit: float = math.inf
        self._pieces: list[bytes] = []
        self._received = self.waiting = 0
        self.unmeasured = self.whole = False
        self.awaited = awaited

    def frame(self, named: Mapping[bytes, bytes], limit: int) -> None:
        """Take the framing from the request's other headers; more than `limit` bytes are too many.

        Raises:
            InvalidRequestError: framing that two readers could understand differently.
            Refusal: a transfer coding that nobody here can undo.
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
            self._chunked = self.unmeasured = True
        elif length is not None:
            self._declared = _number(length)
            if self._declared > limit:
                raise TooLargeError(limit)

    def add(self, piece: bytes) -> None:
        """Take a piece from the client; `within_limit` is asked before it goes on."""
        self._pieces.append(piece)
        self._received += len(piece)
        self.waiting += len(piece)
        self.awaited = False

    def within_limit(self) -> None:
        """Pass, or raise TooLargeError: a body without a length passed the limit."""
        if self._received > self._limit:
            raise TooLargeError(int(self._limit))

    def first(self, head: bytes) -> bytes:
        """The request's head, closed by the body's framing, and what came so far.

        A chunked body that is whole already goes on with its length.
        """
        declared = self._declared
        if declared is None and self._chunked:
            if not self.whole:
                return b"%bTransfer-Encoding: chunked\r\n\r\n%b" % (head, self.next())
            declared, self._chunked = self.waiting, False
        if declared is None:
            return head + b"\r\n"
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, declared, self.next())

    def next(self) -> bytes:
        """What came since; with the end of a chunked body if it is `whole`. Empty if nothing is."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self.waiting = 0
        if not self._chunked:
            return data
        framed = chunk(data) if data else b""  # an empty chunk would end it
        return framed + LAST_CHUNK if self.whole else framed

    def drop(self) -> None:
        """Forget what came and was not taken."""
        self._pieces = []
        self.waiting = 0


def chunk(data: bytes) -> bytes:
    """Data in chunked framing; must not be empty, for that is the last chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def _number(length: bytes) -> int:
    digits = length.strip()
    if not digits.isdigit() or len(digits) > 18:  # noqa: PLR2004 (fits 64 bits)
        raise InvalidRequestError("Content-Length is not a number.", field="Content-Length")
    return int(digits)
