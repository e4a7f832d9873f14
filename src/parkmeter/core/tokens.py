"""Tokens and their permissions. Pure; keeping them is the store's business.

A token that parkmeter issues is never stored: only `sha256:<hex>` of it is.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from parkmeter.errors import ScopeMissingError

PREFIX = "sha256:"
"""Prefix of every stored form; a presented token that begins with it is refused before any look-up,
or a stolen table would be a list of working tokens."""


class Scope(StrEnum):
    """A permission of a token. Any token may read the status."""

    INVOKE = "invoke"
    TOP_UP = "top-up"
    ADMIN = "admin"


DEFAULT_SCOPES = frozenset({Scope.INVOKE, Scope.TOP_UP})
"""The scopes of a token stored without any, such as the ancestor's pass code."""


@dataclass(frozen=True, slots=True)
class Token:
    """A credential as it is kept.

    `endpoints` None: all. `minutes_per_day` None: no daily limit. `id` may be shown to anyone.
    `speaks_for_others`: its holder, an application, may name the person who asks.
    """

    id: str
    digest: str
    name: str
    created_at: datetime
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    endpoints: frozenset[str] | None = None
    expires_at: datetime | None = None
    minutes_per_day: float | None = None
    speaks_for_others: bool = False

    def may(self, scope: Scope, endpoint: str | None = None) -> bool:
        """Return whether this token has the scope, for this endpoint if one is named."""
        return scope in self.scopes and self.covers(endpoint)

    def covers(self, endpoint: str | None) -> bool:
        """Return whether this token covers the endpoint."""
        return self.endpoints is None or endpoint is None or endpoint in self.endpoints

    def administers(self) -> bool:
        """Return whether it may manage tokens: it is admin of every endpoint.

        Admin of some endpoints is not enough: such a token could issue itself the others.
        """
        return Scope.ADMIN in self.scopes and self.endpoints is None

    def alive(self, now: datetime) -> bool:
        """Return whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


def require(token: Token, scope: Scope, endpoint: str | None = None) -> None:
    """Raise ScopeMissingError, naming what is missing, unless the token has the scope."""
    if not token.may(scope, endpoint):
        raise ScopeMissingError(scope, endpoint if scope in token.scopes else None)


def require_administrator(token: Token) -> None:
    """Raise ScopeMissingError unless the token has `admin` for all endpoints.

    Tokens can be for any endpoint, so managing them takes rights for every one.
    """
    if not token.administers():
        raise ScopeMissingError(Scope.ADMIN, everywhere=Scope.ADMIN in token.scopes)


def digest_of(secret: str) -> str:
    """Return the stored form of a token."""
    return PREFIX + hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def new_secret() -> str:
    """Return a new token: 192 random bits, safe in a header and in a shell."""
    return "pm_" + secrets.token_urlsafe(24)


def new_id() -> str:
    """Return a new public id of a token."""
    return secrets.token_hex(4)
