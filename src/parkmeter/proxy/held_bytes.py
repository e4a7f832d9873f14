"""The memory for bodies that are held whole until their `model` is read and their endpoint serves.

A count of bytes, in all and by token; knows no HTTP. One event loop.
"""

from parkmeter.errors import ParkmeterError

IN_ALL = 64 * 2**20
PER_TOKEN = 32 * 2**20
"""Bytes. A token alone may not use up all: another one's request finds a place. It is also the
longest body, for one above it could never be held."""


class TooManyBodiesError(ParkmeterError):
    """Raised when the bodies being held leave no room for one more."""

    code = "too_many_bodies"
    title = "Too many large requests at once"
    retry_after = 1


class HeldBytes:
    """The bytes held at present. `hold` and `let_go` come in pairs, for the same token."""

    def __init__(self, in_all: int = IN_ALL, per_token: int = PER_TOKEN) -> None:
        self.in_all = in_all
        self.per_token = per_token
        self.held = 0
        self._by_token: dict[str, int] = {}

    def hold(self, token_id: str, size: int) -> None:
        """Take room for `size` more bytes.

        Raises:
            TooManyBodiesError: there is none, in all or for this token.

        """
        own = self._by_token.get(token_id, 0) + size
        if own > self.per_token:
            raise TooManyBodiesError(
                f"At most {self.per_token:,} bytes of one token's requests below /v1 are held at "
                "once until their endpoint serves. Send fewer at a time, or this one again soon.",
                limit_bytes=self.per_token,
            )
        if self.held + size > self.in_all:
            raise TooManyBodiesError(
                f"At most {self.in_all:,} bytes of requests below /v1 are held at once until their "
                "endpoint serves. Send the request again in a moment.",
                limit_bytes=self.in_all,
            )
        self.held += size
        self._by_token[token_id] = own

    def let_go(self, token_id: str, size: int) -> None:
        """Give back room."""
        self.held -= size
        left = self._by_token[token_id] - size
        if left:
            self._by_token[token_id] = left
        else:
            del self._by_token[token_id]
