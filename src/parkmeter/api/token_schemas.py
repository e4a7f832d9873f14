"""JSON schemas of `/tokens`, `/whoami` and `/audit`."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, Field

from parkmeter.api.schemas import Shape
from parkmeter.core.audit import Record
from parkmeter.core.reserved import ENDPOINT_NAME
from parkmeter.core.tokens import DEFAULT_SCOPES, Scope, Token
from parkmeter.service.tokens import MOST_MINUTES


class SeenToken(Shape):
    """A token as it may be shown, without its secret."""

    id: str = Field(examples=["5f0c1b2a"])
    name: str = Field(examples=["ada"])
    scopes: list[Scope] = Field(examples=[["invoke", "top-up"]])
    endpoints: list[str] | None = Field(description="null: all.", examples=[["flan-t5"]])
    created_at: datetime
    expires_at: datetime | None = Field(description="Refused from then on; null: never.")
    minutes_per_day: float | None = Field(
        description="Most it may add in a day (UTC); null: no limit.", examples=[120.0]
    )
    speaks_for_others: bool = Field(description="It may name the person who asks.")

    @classmethod
    def of(cls, token: Token, /, **more: Any) -> Self:
        """Return the shape of a token."""
        return cls(
            id=token.id,
            name=token.name,
            scopes=[scope for scope in Scope if scope in token.scopes],
            endpoints=None if token.endpoints is None else sorted(token.endpoints),
            created_at=token.created_at,
            expires_at=token.expires_at,
            minutes_per_day=token.minutes_per_day,
            speaks_for_others=token.speaks_for_others,
            **more,
        )


class WhoAmI(Shape):
    """The token of this request, its rights, and where it can follow changes."""

    id: str = Field(examples=["5f0c1b2a"])
    name: str = Field(examples=["ada"])
    scopes: list[Scope] = Field(examples=[["invoke", "top-up"]])
    endpoints: list[str] | None = Field(description="null: all.", examples=[["flan-t5"]])
    expires_at: datetime | None = Field(description="Refused from then on; null: never.")
    events: bool = Field(
        description="True: GET /events streams changes. False: poll GET /endpoints."
    )

    @classmethod
    def of(cls, token: Token, *, events: bool) -> Self:
        """Return the shape of a token."""
        return cls(
            id=token.id,
            name=token.name,
            scopes=[scope for scope in Scope if scope in token.scopes],
            endpoints=None if token.endpoints is None else sorted(token.endpoints),
            expires_at=token.expires_at,
            events=events,
        )


class SeenTokens(Shape):
    """All tokens, oldest first."""

    tokens: list[SeenToken]


class IssuedToken(SeenToken):
    """A new token with its secret, which is shown only now; the gateway keeps its digest."""

    token: str = Field(examples=["pm_…"])


_VISIBLE = r"^[^\x00-\x1f\x7f-\x9f]{1,64}$"
"""The form of a name, without the list of all characters that cannot be seen."""


_EndpointName = Annotated[str, Field(json_schema_extra={"pattern": f"^{ENDPOINT_NAME}$"})]


class NewToken(Shape):
    """The token to create; only the name is required."""

    name: str = Field(
        description="Its holder: the journal's `by`. 1 to 64 visible characters.",
        examples=["ada"],
        json_schema_extra={"pattern": _VISIBLE},
    )
    scopes: list[Scope] = Field(
        sorted(DEFAULT_SCOPES), description="Empty: status only.", max_length=16
    )
    endpoints: list[_EndpointName] | None = Field(
        None, description="null: all.", max_length=1000, json_schema_extra={"minItems": 1}
    )
    expires_at: AwareDatetime | None = Field(
        None, description="In the future; null: never.", examples=["2030-01-01T00:00:00Z"]
    )
    minutes_per_day: Annotated[float, Field(strict=True)] | None = Field(
        None,
        description="Most it may add in a day (UTC): greater than 0; null: no limit.",
        json_schema_extra={"exclusiveMinimum": 0, "maximum": MOST_MINUTES},
    )
    speaks_for_others: bool = Field(
        default=False,
        description="For an application that names the person who asks in "
        "`X-OpenWebUI-User-Email`; the journal then says `PERSON by TOKEN`.",
    )


class AuditLine(Shape):
    """One act of a person or of the gateway itself."""

    number: int
    at: datetime
    action: str = Field(examples=["token.issued"])
    by: str = Field(
        description="Name of the token, `operator` for what was done on the machine itself, "
        "`parkmeter` for what the gateway did of its own.",
        examples=["owner"],
    )
    by_id: str | None = Field(description="Id of that token; null if unknown.")
    subject: str | None = Field(
        description="Id of the token or name of the endpoint it was done to.", examples=["5f0c1b2a"]
    )
    what: str = Field(examples=["ada: scopes invoke, top-up; endpoints all; expires never"])

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return the shape of a record."""
        return cls(
            number=record.number,
            at=record.at,
            action=record.action,
            by=record.who,
            by_id=record.who_id or None,
            subject=record.subject or None,
            what=record.what,
        )


class AuditLines(Shape):
    """A page of the audit, newest first; `before` leads to the next page, null: the last."""

    lines: list[AuditLine]
    before: int | None
