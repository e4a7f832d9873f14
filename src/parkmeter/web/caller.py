"""The client's side of one request: how its body is framed, its pieces, and whether it went away.

It may not know meters, gates or model servers.
"""

import asyncio
from collections.abc import Mapping

from parkmeter.errors import InvalidRequestError, TooLargeError
from parkmeter.web.asgi_types import Message, Receive
from parkmeter.web.refusals import unknown_coding

AHEAD_LIMIT = 64 * 1024
"""Bytes of a held request's body that are read while looking whether its client is still there."""


class ClientGoneError(Exception):
    """Raised when the client closed its connection: there is nobody left to answer."""


class Caller:
    """Reads one request's body, never more than `limit` bytes of it; `named` are its headers.

    `declared`: its Content-Length, None if it has none; `chunked`: framed without one; `whole`: its
    last byte was read. Before the first read the client has not been told to go on
    (`Expect: 100-continue`), and a refusal spares it the body.

    Raises at construction:
        InvalidRequestError: framing that two readers could understand differently.
        Refusal: a transfer coding that nobody here can undo.
        TooLargeError: the declared length is over the limit.
    """

    __slots__ = (
        "_ahead",
        "_limit",
        "_pending",
        "_receive",
        "_received",
        "_uninvited",
        "chunked",
        "declared",
        "whole",
    )

    def __init__(self, named: Mapping[bytes, bytes], receive: Receive, limit: int) -> None:
        length = named.get(b"content-length")
        coding = named.get(b"transfer-encoding")
        self._receive = receive
        self._limit = limit
        self._received = 0
        self._ahead = b""
        self._pending: asyncio.Task[Message] | None = None
        self._uninvited = False
        self.declared = _length(length)
        self.chunked = coding is not None
        if coding is not None:
            if length is not None:
                raise InvalidRequestError("A body has either Content-Length or Transfer-Encoding.")
            if coding.strip().lower() != b"chunked":
                raise unknown_coding()
        elif (self.declared or 0) > limit:
            raise TooLargeError(limit)
        self.whole = not self.chunked and not self.declared
        if not self.whole:
            self._uninvited = named.get(b"expect", b"").lower() == b"100-continue"

    async def read(self) -> bytes:
        """The next piece of the body; `whole` says afterwards whether it was the last.

        Raises:
            ClientGoneError: the connection is closed.
            TooLargeError: a chunked body passed the limit.
            InvalidRequestError: the body ended before its declared length.

        """
        if self._ahead or self.whole:
            piece, self._ahead = self._ahead, b""
            return piece
        pending, self._pending = self._pending, None
        return self._taken(await (pending or self._receive()))

    async def leaves(self) -> None:
        """Return when the client goes away. Only after the whole body was read."""
        while True:
            pending, self._pending = self._pending, None
            message = await (pending or self._receive())
            if message["type"] == "http.disconnect":
                return

    def stirring(self) -> "asyncio.Task[Message] | None":
        """While the request is held: done when its client did something; then call `heed`.

        None when nothing may be read: the client waits to be invited, or enough was read ahead. It
        is found gone when the hold ends.
        """
        if self._pending is None:
            if self._uninvited or len(self._ahead) > AHEAD_LIMIT:
                return None
            self._pending = asyncio.ensure_future(_awaited(self._receive))
        return self._pending

    def heed(self) -> None:
        """Take what a held client did, if it did something. Raises as `read`."""
        if self._pending is not None and self._pending.done():
            pending, self._pending = self._pending, None
            self._ahead += self._taken(pending.result())

    def close(self) -> None:
        """Stop listening to the client."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _taken(self, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece: bytes = message.get("body", b"")
        self._received += len(piece)
        if self._received > self._limit:
            raise TooLargeError(self._limit)
        if not message.get("more_body", False):
            self.whole = True
            if self.declared is not None and self._received != self.declared:
                raise InvalidRequestError(
                    f"The body has {self._received} bytes instead of the {self.declared} that "
                    "Content-Length announced.",
                    field="Content-Length",
                )
        return piece


def _length(value: bytes | None) -> int | None:
    if value is None:
        return None
    digits = value.strip()
    if not digits.isdigit() or len(digits) > 18:  # noqa: PLR2004 (fits 64 bits)
        raise InvalidRequestError("Content-Length is not a number.", field="Content-Length")
    return int(digits)


async def _awaited(receive: Receive) -> Message:
    return await receive()
