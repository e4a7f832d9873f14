"""Tokens as items of the table `auth`: item to token, token to item, secret to token.

Apart from `dynamodb`, because the authorizer needs nothing else of the store and must start fast.
Items are plain values that the caller fetches. Imports nothing of AWS.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from parkmeter.core.tokens import DEFAULT_SCOPES, PREFIX, Scope, Token, digest_of

log = logging.getLogger(__name__)

Find = Callable[[str], dict[str, Any] | None]
"""Returns the item under a key of the table `auth`, or None."""

_LONGEST_KEY = 2048
"""Bytes; DynamoDB's limit."""


def presented_token(find: Find, secret: str) -> Token | None:
    """Return the token for a presented secret, issued by parkmeter or put there by hand, or None.

    A secret that is the stored form of a token is refused: a stolen table must be useless.
    """
    if not secret or secret.startswith(PREFIX) or not _can_be_a_key(secret):
        return None
    for key in (digest_of(secret), secret):
        item = find(key)
        if item is not None:
            return token_in(item)
    return None


def token_in(item: dict[str, Any]) -> Token | None:
    """Return the token of an item; None, with a log line, if the item is not valid."""
    try:
        return token_from(item)
    except (ArithmeticError, TypeError, ValueError) as error:
        # Without the item: its key may be the secret itself.
        log.error(  # noqa: TRY400 (a trace helps no author of items)
            "an item of the table `auth` (%s) is not a valid token: %s", item.get("name"), error
        )
        return None


def _can_be_a_key(secret: str) -> bool:
    try:
        return len(secret.encode()) <= _LONGEST_KEY
    except UnicodeEncodeError:
        return False


def token_from(item: dict[str, Any]) -> Token:
    """Return the token of an item; everything but `token`, the ancestor's only field, is optional.

    Items are also written by hand: an unknown scope is ignored, a time without a zone is UTC.

    Raises:
        ArithmeticError, TypeError, ValueError: a field is not valid.

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
        speaks_for_others=item.get("speaks_for_others") is True,
    )


def id_of(item: dict[str, Any]) -> str:
    """Return the public id of an item's token; without one, the start of its digest."""
    key = item["token"]
    digest = key if key.startswith(PREFIX) else digest_of(key)
    return item.get("id") or digest.removeprefix(PREFIX)[:8]


def _names(given: Any) -> frozenset[str] | None:
    """Return the names of a list, a set or a single name; None if absent."""
    if given is None:
        return None
    return frozenset({given} if isinstance(given, str) else given)


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def item_of(token: Token) -> dict[str, Any]:
    """Return the item of a token, without its absent fields."""
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
        "speaks_for_others": token.speaks_for_others or None,
    }
    return {name: value for name, value in item.items() if value is not None}
