"""Tokens as the authorizer passes them to the other functions: text in the request's context.

API Gateway passes strings, numbers and booleans only. Knows tokens and this form of them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from parkmeter.core.tokens import Scope, Token
from parkmeter.errors import TokenRefusedError

_ALL = "*"
"""All endpoints, written explicitly: a lost field grants nothing."""


def context_of(token: Token) -> dict[str, str]:
    """Return the context of a token, without its secret."""
    context = {
        "id": token.id,
        "name": token.name,
        "scopes": ",".join(sorted(token.scopes)),
        "endpoints": _ALL if token.endpoints is None else ",".join(sorted(token.endpoints)),
    }
    if token.expires_at is not None:
        context["expires_at"] = token.expires_at.isoformat()
    if token.minutes_per_day is not None:
        context["minutes_per_day"] = repr(token.minutes_per_day)
    if token.speaks_for_others:
        context["speaks_for_others"] = "yes"
    return context


def token_in(context: Mapping[str, str] | None, now: datetime) -> Token | None:
    """Return the token of a request's authorizer context; None where there was no authorizer.

    Raises:
        TokenRefusedError: it has expired since it was authorized.

    """
    if not context or "id" not in context:
        return None
    endpoints, expires_at = context.get("endpoints", ""), context.get("expires_at")
    minutes = context.get("minutes_per_day")
    token = Token(
        id=context["id"],
        digest="",
        name=context.get("name", ""),
        created_at=datetime.fromtimestamp(0, UTC),
        scopes=frozenset(map(Scope, _items(context.get("scopes", "")))),
        endpoints=None if endpoints == _ALL else frozenset(_items(endpoints)),
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        minutes_per_day=None if minutes is None else float(minutes),
        speaks_for_others=context.get("speaks_for_others") == "yes",
    )
    if not token.alive(now):
        raise TokenRefusedError
    return token


def _items(text: str) -> list[str]:
    return [item for item in text.split(",") if item]
