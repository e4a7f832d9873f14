"""Authentication: from an Authorization header to a token. No I/O.

The token book holds every token in memory, so that the data plane never waits for the store; the
gateway is the only writer of its store and updates the book with each change.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

from parkmeter.core.tokens import PREFIX, Token, digest_of
from parkmeter.errors import TokenMissingError, TokenRefusedError

_LONGEST = 4096


class Book(Protocol):
    """Look-up of tokens by Authorization header."""

    def check(self, header: str | None, now: datetime) -> Token:
        """Return the token of an Authorization header, bare or after `Bearer`.

        Raises:
            TokenMissingError: the header is missing or empty.
            TokenRefusedError: it is unknown, expired, revoked, or the stored form of a token.

        """


class TokenBook:
    """`Book` over all tokens, by their digest.

    Reads are safe from any thread: the map is replaced whole. `edition` is another object after
    each change, and makes earlier checks invalid.
    """

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self.replace(tokens)

    def replace(self, tokens: Iterable[Token]) -> None:
        """Replace all tokens by these."""
        self._by_digest = {token.digest: token for token in tokens}
        self.edition: object = self._by_digest

    def check(self, header: str | None, now: datetime) -> Token:
        """See `Book`."""
        secret = secret_in(header)
        if not secret:
            raise TokenMissingError
        if secret.startswith(PREFIX) or len(secret) > _LONGEST:
            raise TokenRefusedError
        token = self._by_digest.get(digest_of(secret))
        if token is None or not token.alive(now):
            raise TokenRefusedError
        return token


class CachedToken:
    """The token cached for one connection; requests on it usually repeat the header.

    Valid for one `edition` of the token book. `on_first` is called when the first valid one
    comes.
    """

    __slots__ = ("_on_first", "edition", "header", "invokes", "token")

    def __init__(self, on_first: Callable[[], None] = lambda: None) -> None:
        self._on_first = on_first
        self.header = b""
        self.edition: object = None
        self.token: Token | None = None
        self.invokes: set[str] = set()

    def remember(self, header: bytes, edition: object, token: Token) -> None:
        """Cache the token of a header; the endpoints it may prompt are checked again."""
        if self.token is None:
            self._on_first()
        self.header = header
        self.edition = edition
        self.token = token
        self.invokes = set()


def secret_in(header: str | None) -> str:
    """Return the secret in an Authorization header, bare or after `Bearer`; empty if none."""
    value = (header or "").strip()
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else value
