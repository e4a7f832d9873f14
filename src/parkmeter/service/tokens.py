"""The use cases of tokens: list, issue, rotate, revoke. Each change is in the audit.

The lock covers one process, the only writer of its store. Several processes, as on AWS, could issue
one name twice or revoke the last two admins at once; there an operator can repair the table `auth`.
"""

import math
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from parkmeter.core.audit import Action, rights_text
from parkmeter.core.journal import LINK, OPERATOR, SYSTEM
from parkmeter.core.token_names import LONGEST_NAME, is_readable, likeness
from parkmeter.core.tokens import DEFAULT_SCOPES, Scope, Token, digest_of, new_id, new_secret
from parkmeter.errors import (
    InvalidRequestError,
    LastAdminError,
    NameTakenError,
    ParkmeterError,
    UnknownTokenError,
)
from parkmeter.ports import Store
from parkmeter.service.audit import BY_HAND, Audit, announce
from parkmeter.service.changes import Actor

MOST_MINUTES = 1_000_000.0
"""Per day. More is no limit, and DynamoDB's numbers are bounded."""


class FixedTokenError(ParkmeterError):
    """Raised when a token is to get a new secret that the next start would take back."""

    code = "token_fixed"
    title = "This token is set where the gateway is started"
    text = (
        "Its secret is the value of PARKMETER_BOOTSTRAP_TOKEN, which every start puts in force. "
        "Nothing was changed. Change the value there and restart the gateway."
    )


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The properties of a new token. `endpoints` None: all; `expires_at` is aware."""

    name: str
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    endpoints: frozenset[str] | None = None
    expires_at: datetime | None = None
    minutes_per_day: float | None = None
    speaks_for_others: bool = False


class TokenService:
    """Everything that can be done with tokens; safe from any thread.

    `endpoints` returns the configured names. `changed` gets all tokens after each change, in the
    order of the changes, so that a cache of them is never behind. `rotated` gets a token as it was
    and its new secret, `fixed` returns whether a token's secret is set from outside.
    """

    def __init__(  # noqa: PLR0913 (what a deployment connects to it)
        self,
        store: Store,
        endpoints: Callable[[], Collection[str]],
        now: Callable[[], datetime],
        changed: Callable[[list[Token]], None] = lambda _tokens: None,
        *,
        rotated: Callable[[Token, str], None] = lambda _token, _secret: None,
        fixed: Callable[[Token], bool] = lambda _token: False,
    ) -> None:
        self._store = store
        self._endpoints = endpoints
        self._now = now
        self._changed = changed
        self._rotated = rotated
        self._fixed = fixed
        self._audit = Audit(store, now)
        self._lock = threading.Lock()

    def tokens(self) -> list[Token]:
        """Return every token, oldest first; expired ones too, until they are revoked."""
        return self._store.tokens()

    def issue(self, wanted: TokenRequest, by: Actor = BY_HAND) -> tuple[Token, str]:
        """Make a token; return it and its secret, of which only the digest is stored.

        Raises:
            InvalidRequestError: names the invalid field; nothing changed.
            NameTakenError: another token has the name or one that looks like it, expired or not.

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
            speaks_for_others=wanted.speaks_for_others,
        )
        with self._lock:
            for known in self._store.tokens():
                if likeness(known.name) == likeness(token.name):
                    raise NameTakenError(known.name, known.id)
            self._put(token, Action.TOKEN_ISSUED, by)
        return token, secret

    def rotate(self, token_id: str, by: Actor = BY_HAND) -> tuple[Token, str]:
        """Give a token a new secret; return both. Id, name, rights and spent minutes stay.

        Raises:
            UnknownTokenError: no token has this id.
            FixedTokenError: its secret is set where the gateway is started.

        """
        secret = new_secret()
        with self._lock:
            before = self._one(token_id)
            if self._fixed(before):
                raise FixedTokenError
            token = replace(before, digest=digest_of(secret))
            self._put(token, Action.TOKEN_ROTATED, by)
            self._rotated(before, secret)
        return token, secret

    def revoke(self, token_id: str, by: Actor = BY_HAND) -> None:
        """Remove a token for good.

        Raises:
            UnknownTokenError: no token has this id.
            LastAdminError: no other token could issue tokens.

        """
        now = self._now()
        with self._lock:
            revoked = self._one(token_id)
            if _is_valid_admin(revoked, now) and not any(
                _is_valid_admin(token, now)
                for token in self._store.tokens()
                if token.id != token_id
            ):
                raise LastAdminError
            record = self._audit.record(
                Action.TOKEN_REVOKED, by, rights_text(revoked), subject=token_id
            )
            self._store.remove_token(token_id, record)
            self._changed(self._store.tokens())
        announce(record)

    def _one(self, token_id: str) -> Token:
        for token in self._store.tokens():
            if token.id == token_id:
                return token
        raise UnknownTokenError

    def _put(self, token: Token, action: Action, by: Actor) -> None:
        record = self._audit.record(action, by, rights_text(token), subject=token.id)
        self._store.put_token(token, record)
        announce(record)
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
    if not is_readable(name):
        raise InvalidRequestError(
            f"A token's name has 1 to {LONGEST_NAME} visible characters.", field="name"
        )
    if likeness(name) in (SYSTEM, OPERATOR, LINK):
        raise InvalidRequestError(
            f"{SYSTEM!r}, {OPERATOR!r} and {LINK!r} are reserved: the journal has them for changes "
            "without a token. Choose another name.",
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
