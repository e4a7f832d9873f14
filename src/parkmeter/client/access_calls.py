"""The client's calls about tokens and the audit."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from parkmeter.client.calls import Calls, iso, made, quoted
from parkmeter.client.models import AuditLine, NewToken, Token
from parkmeter.client.transport import if_unsent


class AccessCalls(Calls):
    """The part of `Client` that is about tokens and the audit; all needs the scope admin."""

    def tokens(self) -> tuple[Token, ...]:
        """Return all tokens, without their secrets."""
        return self._get("/tokens", lambda raw: tuple(map(Token.of, raw["tokens"])))

    def create_token(  # noqa: PLR0913 (a token has these properties)
        self,
        name: str,
        *,
        scopes: Iterable[str] | None = None,
        endpoints: Iterable[str] | None = None,
        expires_at: datetime | None = None,
        minutes_per_day: float | None = None,
        speaks_for_others: bool = False,
    ) -> NewToken:
        """Create a token; only this answer has its `secret`. The defaults are the gateway's.

        Not retried: if the first answer were lost, its token would exist without a holder.
        """
        members = {
            "name": name,
            "scopes": None if scopes is None else list(scopes),
            "endpoints": None if endpoints is None else list(endpoints),
            "expires_at": None if expires_at is None else iso(expires_at),
            "minutes_per_day": minutes_per_day,
            "speaks_for_others": speaks_for_others or None,
        }
        body = {key: value for key, value in members.items() if value is not None}
        response = self._transport.send("POST", "/tokens", retry=if_unsent, json=body)
        return made(NewToken.of, response)

    def rotate_token(self, token_id: str, *, cut: bool = False) -> NewToken:
        """Give a token a new `secret`, which only this answer has; the old one is refused at once.

        Not retried. If the answer is lost, rotate it again with another token. `cut`: see
        `revoke_token`.
        """
        path, query = f"/tokens/{quoted(token_id)}/rotate", _cut(cut)
        response = self._transport.send("POST", path, retry=if_unsent, query=query)
        return made(NewToken.of, response)

    def revoke_token(self, token_id: str, *, cut: bool = False) -> None:
        """Revoke a token, at once; with `cut` also break off what it is being answered."""
        # Not retried: the second answer would be that there is no such token.
        path, query = f"/tokens/{quoted(token_id)}", _cut(cut)
        self._transport.send("DELETE", path, retry=if_unsent, query=query)

    def audit(self, limit: int = 50) -> tuple[AuditLine, ...]:
        """Return the newest acts, newest first: tokens, ejects, reloads; at most 500."""

        def lines(raw: Any) -> tuple[AuditLine, ...]:
            return tuple(map(AuditLine.of, raw["lines"]))

        return self._get("/audit", lines, {"limit": limit})


def _cut(cut: bool) -> dict[str, str | int] | None:  # noqa: FBT001 (as the query has it)
    return {"cut": "true"} if cut else None
