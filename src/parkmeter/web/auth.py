"""Who asks: from an Authorization header to a token that may do the thing. No I/O.

The book holds every token in memory, so that the data plane never waits for the store; the gateway
is the only writer of its store and keeps the book in step.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from parkmeter.core.tokens import PREFIX, Scope, Token, digest_of
from parkmeter.errors import ScopeMissingError, TokenMissingError, TokenRefusedError

_LONGEST = 4096


class Book(Protocol):
    """Knows whose token a header holds."""

    def check(self, header: str | None, now: datetime) -> Token:
        """The token of an Authorization header, bare or after `Bearer`.

        Raises:
            TokenMissingError: no header, or an empty one.
            TokenRefusedError: unknown, expired, revoked, or the stored form of a token.

        """


class TokenBook:
    """Implements `Book` by all tokens, by their digest.

    Reads are safe from any thread: the map is replaced whole. `edition` is another object after
    each change: what was checked before may not hold any more.
    """

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self.replace(tokens)

    def replace(self, tokens: Iterable[Token]) -> None:
        """Make these the only tokens."""
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
    """Who asks on one connection: nearly always whoever asked before, with the same header.

    It holds as long as its connection, and for one `edition` of the token book.
    """

    __slots__ = ("edition", "header", "invokes", "token")

    def __init__(self) -> None:
        self.header = b""
        self.edition: object = None
        self.token: Token | None = None
        self.invokes: set[str] = set()

    def remember(self, header: bytes, edition: object, token: Token) -> None:
        """Whose header this is; which endpoints it may prompt is found out anew."""
        self.header = header
        self.edition = edition
        self.token = token
        self.invokes = set()


def secret_in(header: str | None) -> str:
    """What follows the optional `Bearer` of an Authorization header; empty if nothing does."""
    value = (header or "").strip()
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else value


def require(token: Token, scope: Scope, endpoint: str | None = None) -> None:
    """Pass, or raise ScopeMissingError naming what is missing."""
    if not token.may(scope, endpoint):
        raise ScopeMissingError(scope, endpoint if scope in token.scopes else None)


def require_administrator(token: Token) -> None:
    """Pass, or raise ScopeMissingError: tokens concern every endpoint, so must the admin's."""
    if not token.administers():
        raise ScopeMissingError(Scope.ADMIN, everywhere=Scope.ADMIN in token.scopes)
