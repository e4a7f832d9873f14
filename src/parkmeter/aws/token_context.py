"""A token on its way from the authorizer to the other functions: as text, in the request's context.

API Gateway passes text, numbers and truth values only. Knows tokens and this form of them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from parkmeter.core.tokens import Scope, Token
from parkmeter.errors import TokenRefusedError

_ALL = "*"
"""All endpoints, said aloud: a lost field opens nothing."""


def context_of(token: Token) -> dict[str, str]:
    """What the authorizer says of a token; nothing of its secret."""
    said = {
        "id": token.id,
        "name": token.name,
        "scopes": ",".join(sorted(token.scopes)),
        "endpoints": _ALL if token.endpoints is None else ",".join(sorted(token.endpoints)),
    }
    if token.expires_at is not None:
        said["expires_at"] = token.expires_at.isoformat()
    if token.minutes_per_day is not None:
        said["minutes_per_day"] = repr(token.minutes_per_day)
    return said


def token_in(context: Mapping[str, str] | None, now: datetime) -> Token | None:
    """The token of a request's authorizer context; None where no authorizer was asked.

    Raises:
        TokenRefusedError: it has expired since the authorizer was asked.

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
        scopes=frozenset(map(Scope, _listed(context.get("scopes", "")))),
        endpoints=None if endpoints == _ALL else frozenset(_listed(endpoints)),
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        minutes_per_day=None if minutes is None else float(minutes),
    )
    if not token.alive(now):
        raise TokenRefusedError
    return token


def _listed(text: str) -> list[str]:
    return [item for item in text.split(",") if item]
