"""What control routes take and give, as JSON shapes. The examples are what the docs show."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from parkmeter.core.extend_link import amount_of
from parkmeter.core.journal import Entry
from parkmeter.core.meter import NEVER, Phase, Status
from parkmeter.core.money import Dollars as Sum
from parkmeter.core.money import Minutes, cost_of, parse_amount
from parkmeter.core.report import Report
from parkmeter.core.tokens import DEFAULT_SCOPES, Scope, Token
from parkmeter.service.run_stats import RunSummary

Money = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]

Dollars = Annotated[
    Decimal,
    PlainSerializer(lambda dollars: f"{dollars:f}", return_type=str, when_used="json"),
]
"""As text, because a sum of JSON numbers need not be what its parts add up to."""


class Shape(BaseModel):
    """What a route takes or gives: nothing unknown, and not to be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Endpoint(Shape):
    """One endpoint as it is now. All times are UTC; an unknown price is null, never zero."""

    name: str = Field(examples=["flan-t5"])
    status: Status = Field(examples=["running"])
    reason: str = Field(description="One plain sentence.", examples=["serving"])
    cause: str = Field(
        description="The reason without what changes by itself: how long a start takes so far, "
        "when the next one is tried.",
        examples=["serving"],
    )
    expires_at: datetime | None = Field(
        description="What the meter says. Moves by top-up, credit, eject, an edit by hand and "
        "changed hours; null before the first top-up."
    )
    closes_at: datetime | None = Field(
        description="When it closes. The same, but while a start is under way the meter stands "
        "still and this moves on."
    )
    seconds_left: float = Field(description="Until closes_at, never negative.", examples=[598.2])
    price_per_hour: Money | None = Field(
        description="Dollars, of what runs or would be started next.", examples=[7.09]
    )
    cost_so_far: Money | None = Field(
        description="Dollars since the present start.", examples=[0.59]
    )
    api_resource: str = Field(description="Prompts go to POST /{api_resource}.", examples=["flan"])
    invocations_path: str | None = Field(
        description="Where its server takes them; null: no other path of the server is reached.",
        examples=["/v1/chat/completions"],
    )
    since: datetime | None = Field(description="When the endpoint that exists now was started.")
    attempts: int = Field(description="Starts in succession for this time on the meter.")
    next_try: datetime | None = Field(description="When the next start is tried, if it failed.")
    hours: str | None = Field(
        description="When it runs by itself.", examples=["Mon-Fri 09:00-17:00 Europe/London"]
    )
    window_until: datetime | None = Field(
        description="When the window of its hours that is on ends; null outside of them."
    )
    next_window_at: datetime | None = Field(description="When the next window of its hours begins.")
    held: bool = Field(
        description="It was ended in the window that is on, by hand or by its idleness, and stays "
        "closed until the next one, a top-up, or a prompt that wakes it."
    )
    started_at: datetime | None = Field(
        description="Since when it is being brought up, failed attempts included; null: it is not."
    )
    starting_since: datetime | None = Field(description="The same until it is ready, then null.")
    usual_start_seconds: float | None = Field(
        description="While it starts: how long its last starts took, the median; null: unknown.",
        examples=[12.5],
    )
    warn_minutes: list[float] = Field(
        description="So long before the close people are warned.", examples=[[10.0, 2.0]]
    )
    extend_minutes: float = Field(
        description="What the link in such a warning adds.", examples=[30.0]
    )
    price_source: str | None = Field(
        description="Who told the price; null: nobody.", examples=["configuration"]
    )
    max_top_up_minutes: float = Field(description="Most minutes of one top-up.", examples=[1440.0])

    @classmethod
    def of(
        cls,
        report: Report,
        summary: RunSummary,
        api_resource: str,
        invocations_path: str | None,
    ) -> Self:
        """The shape of a report."""
        spec, run, usual = report.spec, report.meter.run, summary.usual_start
        used = report.meter.expires_at != NEVER
        starting = report.shown.status is not Status.STOPPED and run.ready_at is None
        return cls(
            name=spec.name,
            status=report.shown.status,
            reason=report.shown.reason,
            cause=report.shown.cause,
            expires_at=report.meter.expires_at if used else None,
            closes_at=report.closes_at if used else None,
            seconds_left=report.left.total_seconds(),
            price_per_hour=report.price.per_hour,
            cost_so_far=summary.cost_so_far,
            api_resource=api_resource,
            invocations_path=invocations_path,
            since=run.created_at,
            attempts=run.attempts,
            next_try=run.next_try if run.phase is Phase.FAILED else None,
            hours=None if report.spec.hours is None else report.spec.hours.text,
            window_until=None if report.window is None else report.window.end,
            next_window_at=None if report.next_window is None else report.next_window.begin,
            held=report.held,
            started_at=run.started_at,
            starting_since=run.started_at if starting else None,
            usual_start_seconds=None if usual is None else usual.total_seconds(),
            warn_minutes=[before.total_seconds() / 60 for before in spec.warn_before],
            extend_minutes=amount_of(spec).total_seconds() / 60,
            price_source=report.price.source,
            max_top_up_minutes=spec.max_top_up.total_seconds() / 60,
        )


class Endpoints(Shape):
    """All endpoints this token may see, in the order of the configuration."""

    endpoints: list[Endpoint]


class Changed(Shape):
    """What came of a top-up or an eject. A replayed request gets its first answer, unchanged."""

    endpoint: str = Field(examples=["flan-t5"])
    minutes: float = Field(description="Added; negative: given up.", examples=[10.0])
    dollars: Dollars | None = Field(
        description="What these minutes cost at the price of that moment; null: it is unknown.",
        examples=["1.1817"],
    )
    expires_at: datetime
    closes_at: datetime
    seconds_left: float = Field(examples=[1198.2])
    status: str = Field(examples=["running"])
    at: datetime
    by: str = Field(description="Name of the token.", examples=["ada"])

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """The shape of the entry that recorded the change."""
        return cls(
            endpoint=entry.endpoint,
            minutes=entry.amount.total_seconds() / 60,
            dollars=cost_of(entry.amount, entry.price_per_hour),
            expires_at=entry.expires_at,
            closes_at=entry.at + entry.left,
            seconds_left=entry.left.total_seconds(),
            status=entry.status,
            at=entry.at,
            by=entry.who,
        )


class Health(Shape):
    """The gateway answers."""

    status: str = Field(examples=["ok"])
    version: str = Field(examples=["0.1.0"])


class Problem(BaseModel):
    """An RFC 9457 problem. `code` is stable; further members carry the error's data."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["https://parkmeter.dev/problems/limit-exceeded"])
    title: str = Field(examples=["More time than the meter takes"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["At most 1440 minutes may be added at once; 1440 would fit now."])
    code: str = Field(examples=["limit_exceeded"])


class TopUp(Shape):
    """Minutes to add, or dollars to spend on them: finite, greater than 0, fractions allowed."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["minutes"]}, {"required": ["dollars"]}]}
    )

    # The rules judge the values, so that every edge refuses alike (`money.parse_amount`).
    minutes: Any = Field(
        None, json_schema_extra={"type": "number", "exclusiveMinimum": 0}, examples=[30]
    )
    dollars: Any = Field(
        None,
        description="As many minutes as these buy at the present price, never for more. As a "
        "number or as text; at most 4 decimal places.",
        json_schema_extra={"type": ["number", "string"], "exclusiveMinimum": 0},
        examples=[5],
    )

    def amount(self) -> Minutes | Sum:
        """Return the amount. Raises InvalidRequestError, see `parse_amount`."""
        return parse_amount(self.model_dump(exclude_unset=True))


class SeedTopUp(BaseModel):
    """The ancestor's body; further keys are ignored, as it did."""

    minutes: Any = Field(json_schema_extra={"type": "number", "exclusiveMinimum": 0}, examples=[10])
    endpoint_name: str | None = Field(
        None, alias="EndpointName", description="Needed when there are several endpoints."
    )

    def amount(self) -> Minutes:
        """Return the amount. Raises InvalidRequestError."""
        return Minutes.of(self.minutes)


class Eject(Shape):
    """Optionally the expiry as it was seen: if it moved since, nothing is ejected."""

    expires_at: AwareDatetime | None = None


class SeenToken(Shape):
    """A token as it may be shown; its secret is known to nobody but its holder."""

    id: str = Field(examples=["5f0c1b2a"])
    name: str = Field(examples=["ada"])
    scopes: list[Scope] = Field(examples=[["invoke", "top-up"]])
    endpoints: list[str] | None = Field(description="null: all.", examples=[["flan-t5"]])
    created_at: datetime
    expires_at: datetime | None = Field(description="From then on refused; null: never.")
    minutes_per_day: float | None = Field(
        description="Most it may add in a day (UTC); null: no limit.", examples=[120.0]
    )

    @classmethod
    def of(cls, token: Token, /, **more: Any) -> Self:
        """The shape of a token."""
        return cls(
            id=token.id,
            name=token.name,
            scopes=[scope for scope in Scope if scope in token.scopes],
            endpoints=None if token.endpoints is None else sorted(token.endpoints),
            created_at=token.created_at,
            expires_at=token.expires_at,
            minutes_per_day=token.minutes_per_day,
            **more,
        )


class WhoAmI(Shape):
    """The token that asks: what it is called, what it may do, and how it hears of changes."""

    id: str = Field(examples=["5f0c1b2a"])
    name: str = Field(examples=["ada"])
    scopes: list[Scope] = Field(examples=[["invoke", "top-up"]])
    endpoints: list[str] | None = Field(description="null: all.", examples=[["flan-t5"]])
    expires_at: datetime | None = Field(description="From then on refused; null: never.")
    events: bool = Field(description="Whether GET /events is here; else ask GET /endpoints again.")

    @classmethod
    def of(cls, token: Token, *, events: bool) -> Self:
        """The shape of a token."""
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
    """A new token with its secret, which is shown this once and kept as a digest only."""

    token: str = Field(examples=["pm_…"])


class NewToken(Shape):
    """What a new token is to be; only the name is needed."""

    name: str = Field(description="Whose it is: the journal's `by`.", examples=["ada"])
    scopes: list[Scope] = Field(
        sorted(DEFAULT_SCOPES), description="None of them: sees status only.", max_length=16
    )
    endpoints: list[str] | None = Field(None, description="null: all.", max_length=1000)
    expires_at: AwareDatetime | None = Field(None, description="null: never.")
    minutes_per_day: Annotated[float, Field(strict=True)] | None = Field(
        None,
        description="Most it may add in a day (UTC): greater than 0; null: no limit.",
    )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses as problems, for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": _MEANING[status],
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }


_MEANING: Mapping[int, str] = {
    400: "Malformed; `field` names the culprit.",
    401: "No token.",
    402: "The meter is closed; says what an hour costs and how to top up.",
    403: "Token refused, or its scope is missing.",
    404: "No such endpoint, or no such token.",
    408: "The body did not arrive in time.",
    409: "Not as things stand: see `code`.",
    410: "The endpoint is being removed with its deployment.",
    413: "Body too large.",
    422: "Over a limit; says the limit and what would still fit.",
    429: "The token's minutes of the day are used up.",
    502: "The model server did not answer.",
    503: "Not now; `Retry-After` says when, if it is known.",
    504: "The model server took too long.",
}
