"""The use cases of tokens: list, issue, revoke.

The lock covers one process, the only writer of its store. Several processes, as on AWS, could issue
one name twice or revoke the last two admins at once; there an operator can repair the table `auth`.
"""

import math
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from parkmeter.core.journal import OPERATOR, SYSTEM
from parkmeter.core.tokens import DEFAULT_SCOPES, Scope, Token, digest_of, new_id, new_secret
from parkmeter.errors import (
    InvalidRequestError,
    LastAdminError,
    NameTakenError,
    UnknownTokenError,
)
from parkmeter.ports import Store

LONGEST_NAME = 64
MOST_MINUTES = 1_000_000.0
"""Per day. More is no limit, and DynamoDB's numbers are bounded."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The properties of a new token. `endpoints` None: all; `expires_at` is aware."""

    name: str
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    endpoints: frozenset[str] | None = None
    expires_at: datetime | None = None
    minutes_per_day: float | None = None


class TokenService:
    """Everything that can be done with tokens; safe from any thread.

    `endpoints` returns the configured names. `changed` gets all tokens after each change, in the
    order of the changes, so that a cache of them is never behind.
    """

    def __init__(
        self,
        store: Store,
        endpoints: Callable[[], Collection[str]],
        now: Callable[[], datetime],
        changed: Callable[[list[Token]], None] = lambda _tokens: None,
    ) -> None:
        self._store = store
        self._endpoints = endpoints
        self._now = now
        self._changed = changed
        self._lock = threading.Lock()

    def tokens(self) -> list[Token]:
        """Return every token, oldest first; expired ones too, until they are revoked."""
        return self._store.tokens()

    def issue(self, wanted: TokenRequest) -> tuple[Token, str]:
        """Make a token; return it and its secret, of which only the digest is stored.

        Raises:
            InvalidRequestError: names the invalid field; nothing changed.
            NameTakenError: another token has the name, expired or not.

        """
        now, secret = self._now(), new_secret()
        endpoints = None if wanted.endpoints is None else self._known(wanted.endpoints)
        token = Token(
            id=new_id(),
            digest=digest_of(secret),
            name=_name(wanted.name),
            created_at=now,
            scopes=wanted.scopes,
            endpoints=endpoints,
            expires_at=None if wanted.expires_at is None else _expiry(wanted.expires_at, now),
            minutes_per_day=_minutes(wanted.minutes_per_day),
        )
        with self._lock:
            for known in self._store.tokens():
                if known.name == token.name:
                    raise NameTakenError(known.name, known.id)
            self._store.put_token(token)
            self._changed(self._store.tokens())
        return token, secret

    def revoke(self, token_id: str) -> None:
        """Remove a token for good.

        Raises:
            UnknownTokenError: no token has this id.
            LastAdminError: no other token could issue tokens.

        """
        now = self._now()
        with self._lock:
            tokens = {token.id: token for token in self._store.tokens()}
            revoked = tokens.pop(token_id, None)
            if revoked is None:
                raise UnknownTokenError
            if _is_valid_admin(revoked, now) and not any(
                _is_valid_admin(token, now) for token in tokens.values()
            ):
                raise LastAdminError
            self._store.remove_token(token_id)
            self._changed(self._store.tokens())

    def _known(self, wanted: frozenset[str]) -> frozenset[str]:
        known = self._endpoints()
        if not wanted:
            raise InvalidRequestError(
                "A token needs at least one endpoint; leave endpoints out for all of them.",
                field="endpoints",
            )
        if unknown := sorted(wanted.difference(known)):
            raise InvalidRequestError(
                f"There is no endpoint {unknown[0][:LONGEST_NAME]!r}. "
                f"Configured: {', '.join(sorted(known)) or 'none'}.",
                field="endpoints",
            )
        return wanted


def _is_valid_admin(token: Token, now: datetime) -> bool:
    return token.administers() and token.alive(now)


def _name(wanted: str) -> str:
    name = wanted.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidRequestError(
            f"A token's name has 1 to {LONGEST_NAME} printable characters.", field="name"
        )
    if name.casefold() in (SYSTEM, OPERATOR):
        raise InvalidRequestError(
            f"{SYSTEM!r} and {OPERATOR!r} are reserved for the gateway and for changes made "
            "outside it. Choose another name.",
            field="name",
        )
    return name


def _expiry(wanted: datetime, now: datetime) -> datetime:
    try:
        expiry = wanted.astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError("expires_at is out of range.", field="expires_at") from None
    if expiry <= now:
        raise InvalidRequestError("expires_at is in the past.", field="expires_at")
    return expiry


def _minutes(wanted: float | None) -> float | None:
    if wanted is not None and not (math.isfinite(wanted) and 0 < wanted <= MOST_MINUTES):
        raise InvalidRequestError(
            f"minutes_per_day must be greater than 0 and at most {MOST_MINUTES:,.0f}; leave it "
            "out for no limit.",
            field="minutes_per_day",
        )
    return wanted
