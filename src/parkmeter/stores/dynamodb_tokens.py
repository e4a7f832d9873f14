"""Tokens as items of the table `auth`: from an item to a Token and back, and who presents which.

Beside `dynamodb`, because the authorizer needs nothing else of the store and must start in no time.
Items are plain values; whoever calls knows how to get them. Imports nothing of AWS.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from parkmeter.core.tokens import DEFAULT_SCOPES, PREFIX, Scope, Token, digest_of

log = logging.getLogger(__name__)

Find = Callable[[str], dict[str, Any] | None]
"""Gives the item under a key of the table `auth`, None if there is none."""

_LONGEST_KEY = 2048
"""Bytes; DynamoDB refuses to look for a longer one."""


def presented_token(find: Find, secret: str) -> Token | None:
    """The token for a presented secret, issued by us or put there by hand; None if there is none.

    A secret that is itself the stored form of a token is none: a stolen table opens nothing.
    """
    if not secret or secret.startswith(PREFIX) or not _can_be_a_key(secret):
        return None
    for key in (digest_of(secret), secret):
        item = find(key)
        if item is not None:
            return token_in(item)
    return None


def token_in(item: dict[str, Any]) -> Token | None:
    """`token_from`; None, and a line in the log, where somebody wrote what is none."""
    try:
        return token_from(item)
    except (ArithmeticError, TypeError, ValueError) as error:
        # Not the item: its key may be the secret itself.
        log.error(  # noqa: TRY400 (a trace would help nobody who writes items)
            "an item of the table `auth` (%s) is no token: %s", item.get("name"), error
        )
        return None


def _can_be_a_key(secret: str) -> bool:
    try:
        return len(secret.encode()) <= _LONGEST_KEY
    except UnicodeEncodeError:
        return False


def token_from(item: dict[str, Any]) -> Token:
    """A token from its item; everything but `token` is optional, as the ancestor's was alone.

    People write items by hand: a scope that is none gives nothing, a time without a zone is UTC.

    Raises:
        ArithmeticError, TypeError, ValueError: it has a field that makes no sense.

    """
    key = item["token"]
    digest = key if key.startswith(PREFIX) else digest_of(key)
    scopes, endpoints = _names(item.get("scopes")), _names(item.get("endpoints"))
    expires_at, minutes = item.get("expires_at"), item.get("minutes_per_day")
    return Token(
        id=id_of(item),
        digest=digest,
        name=item.get("name") or "pass code",
        created_at=_utc(item.get("created_at") or "1970-01-01"),
        scopes=DEFAULT_SCOPES if scopes is None else frozenset(s for s in Scope if s in scopes),
        endpoints=endpoints,
        expires_at=None if expires_at is None else _utc(expires_at),
        minutes_per_day=None if minutes is None else float(minutes),
    )


def id_of(item: dict[str, Any]) -> str:
    """The public id of the token in an item; one that has none is called by its digest."""
    key = item["token"]
    digest = key if key.startswith(PREFIX) else digest_of(key)
    return item.get("id") or digest.removeprefix(PREFIX)[:8]


def _names(given: Any) -> frozenset[str] | None:
    """A list or a set of names, or a single one; None if nothing is said."""
    if given is None:
        return None
    return frozenset({given} if isinstance(given, str) else given)


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def item_of(token: Token) -> dict[str, Any]:
    """The item of a token; what it does not say is left out."""
    item = {
        "token": token.digest,
        "id": token.id,
        "name": token.name,
        "created_at": token.created_at.isoformat(),
        "scopes": sorted(token.scopes),
        "endpoints": None if token.endpoints is None else sorted(token.endpoints),
        "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
        "minutes_per_day": None
        if token.minutes_per_day is None
        else Decimal(repr(token.minutes_per_day)),
    }
    return {name: value for name, value in item.items() if value is not None}
