"""The audit: who changed what people may do, and who ended an endpoint. Pure.

Records are append-only and hold no secret. The journal has the changes of meters; the audit has
what no meter sees, and the ejects once more, so that one list answers "who did that?".
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from parkmeter.core.time_text import utc
from parkmeter.core.tokens import Scope, Token


class Action(StrEnum):
    """The kind of act that a record is about."""

    TOKEN_ISSUED = "token.issued"  # noqa: S105 (no password)
    TOKEN_ROTATED = "token.rotated"  # noqa: S105
    TOKEN_REVOKED = "token.revoked"  # noqa: S105
    EJECTED = "endpoint.ejected"
    RELOADED = "config.reloaded"
    RELOAD_REFUSED = "config.refused"
    LINKS_ROTATED = "links.rotated"
    RESTORED = "store.restored"


@dataclass(frozen=True, slots=True)
class Record:
    """One act.

    `who`: the name of the token, or of what acted without one; `who_id`: the token's id, if any.
    `subject`: the id of the token or the name of the endpoint it was done to; empty where it
    concerns the gateway. `number` is given by the store: it grows with every record.
    """

    at: datetime
    action: Action
    who: str
    what: str
    who_id: str = ""
    subject: str = ""
    number: int = 0


def rights_text(token: Token) -> str:
    """Return a token's name and rights in one line, without its secret or digest."""
    scopes = ", ".join(scope for scope in Scope if scope in token.scopes) or "none"
    endpoints = "all" if token.endpoints is None else ", ".join(sorted(token.endpoints))
    expiry = "never" if token.expires_at is None else utc(token.expires_at)
    limit = "" if token.minutes_per_day is None else f"; {token.minutes_per_day:g} minutes a day"
    others = "; speaks for others" if token.speaks_for_others else ""
    return f"{token.name}: scopes {scopes}; endpoints {endpoints}; expires {expiry}{limit}{others}"
