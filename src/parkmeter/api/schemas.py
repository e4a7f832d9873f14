"""JSON schemas of the control routes. Their examples are those of the docs.

This is the one description of each JSON: the OpenAPI document is generated from it. The client
cannot import it (it must run without pydantic and without the service), nor can this be derived
from the client, whose values are other ones: timedelta for seconds, minutes and hours. Its models
therefore state for each field only the JSON name and its reader (`client.models`), and
`tests/client/test_models.py` holds them to these schemas field by field.
"""

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
from parkmeter.service.run_stats import RunSummary

Money = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]

Dollars = Annotated[
    Decimal,
    PlainSerializer(lambda dollars: f"{dollars:f}", return_type=str, when_used="json"),
]
"""As text: JSON numbers are read as binary fractions, whose sum may differ from the total."""


class Shape(BaseModel):
    """A JSON object; immutable, unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Endpoint(Shape):
    """One endpoint now. All times are UTC; an unknown price is null, never zero."""

    name: str = Field(examples=["flan-t5"])
    status: Status = Field(examples=["running"])
    reason: str = Field(description="One plain sentence.", examples=["serving"])
    cause: str = Field(
        description="The reason without its changing parts: duration of a start, time of the next "
        "attempt.",
        examples=["serving"],
    )
    expires_at: datetime | None = Field(
        description="The meter's expiry. Changed by top-ups, credits, ejects, manual edits and new "
        "hours; null before the first top-up."
    )
    closes_at: datetime | None = Field(
        description="When the meter closes: the same, except during a start, when the meter stands "
        "still and this moves on."
    )
    seconds_left: float = Field(description="Until closes_at, never negative.", examples=[598.2])
    price_per_hour: Money | None = Field(
        description="Dollars, of the variant that runs or would be started next.", examples=[7.09]
    )
    cost_so_far: Money | None = Field(
        description="Dollars since the present start.", examples=[0.59]
    )
    api_resource: str = Field(description="Prompts go to POST /{api_resource}.", examples=["flan"])
    invocations_path: str | None = Field(
        description="The server's path for prompts; null: other paths are not reachable.",
        examples=["/v1/chat/completions"],
    )
    since: datetime | None = Field(description="Start of the endpoint that exists now.")
    attempts: int = Field(description="Successive start attempts since the meter was opened.")
    next_try: datetime | None = Field(description="Time of the next start attempt after a failure.")
    hours: str | None = Field(
        description="Its schedule.", examples=["Mon-Fri 09:00-17:00 Europe/London"]
    )
    window_until: datetime | None = Field(
        description="End of the current window of its schedule; null outside of one."
    )
    next_window_at: datetime | None = Field(description="Begin of the next window of its schedule.")
    held: bool = Field(
        description="It was ejected or idle in the current window, and stays closed until the next "
        "one, a top-up, or a prompt that starts it."
    )
    started_at: datetime | None = Field(
        description="First start call for the present run, failed attempts included; null: none."
    )
    starting_since: datetime | None = Field(
        description="The same while it is not ready, then null."
    )
    usual_start_seconds: float | None = Field(
        description="While it starts: median duration of its recent starts; null: unknown.",
        examples=[12.5],
    )
    warn_minutes: list[float] = Field(
        description="Warnings are sent this long before the close.", examples=[[10.0, 2.0]]
    )
    extend_minutes: float = Field(
        description="Added by the link in such a warning.", examples=[30.0]
    )
    price_source: str | None = Field(
        description="Source of the price; null: no price is known.", examples=["configuration"]
    )
    max_top_up_minutes: float = Field(description="Limit of one top-up.", examples=[1440.0])

    @classmethod
    def of(
        cls,
        report: Report,
        summary: RunSummary,
        api_resource: str,
        invocations_path: str | None,
    ) -> Self:
        """Return the shape of a report."""
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
    """The endpoints that this token may see, in the order of the configuration."""

    endpoints: list[Endpoint]


class Changed(Shape):
    """Result of a top-up or an eject. A replayed request gets the first answer, unchanged."""

    endpoint: str = Field(examples=["flan-t5"])
    minutes: float = Field(description="Added; negative: given up.", examples=[10.0])
    dollars: Dollars | None = Field(
        description="Cost of these minutes at the price of that moment; null: unknown.",
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
        """Return the shape of the entry that recorded the change."""
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
    """The gateway is up."""

    status: str = Field(examples=["ok"])
    version: str = Field(examples=["0.1.0"])
    figures: dict[str, Any] | None = Field(
        None, description="With ?verbose, for a token with admin for all endpoints."
    )


class ProblemError(BaseModel):
    """The error as OpenAI's clients read it, with the error's data."""

    model_config = ConfigDict(extra="allow")

    message: str = Field(description="The same as `detail`.")
    type: str = Field(examples=["invalid_request_error"], description="By the status.")
    code: str = Field(examples=["limit_exceeded"])
    param: str | None = Field(description="The same as `field`, if the problem has one.")


class Problem(BaseModel):
    """An RFC 9457 problem. `code` is stable; further members carry the error's data.

    `message` and `error` repeat it for clients of model APIs.
    """

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:parkmeter:problem:limit_exceeded"])
    title: str = Field(examples=["More time than the meter may hold"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["At most 1440 minutes may be added at once; 1440 would fit now."])
    code: str = Field(examples=["limit_exceeded"])
    message: str = Field(description="The same as `detail`.")
    error: ProblemError


_DOLLARS = (
    r"^([1-9][0-9]{0,8}(\.[0-9]{1,4})?"
    r"|0\.([1-9][0-9]{0,3}|0[1-9][0-9]{0,2}|00[1-9][0-9]?|000[1-9]))$"
)


class TopUp(Shape):
    """Minutes to add, or dollars to spend on them: finite, a second or more, fractions allowed."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["minutes"]}, {"required": ["dollars"]}]}
    )

    # Validated in the core, so that every edge refuses the same values.
    minutes: Any = Field(
        None,
        description="At least a second.",
        json_schema_extra={"type": "number", "minimum": 1 / 60},
        examples=[30],
    )
    dollars: Any = Field(
        None,
        description="Adds the minutes that these buy at the present price, rounded down, at least "
        "a second. A number or text; at most 4 decimal places.",
        json_schema_extra={
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 10**9, "multipleOf": 0.0001},
                {"type": "string", "pattern": _DOLLARS},
            ]
        },
        examples=[5],
    )

    def amount(self) -> Minutes | Sum:
        """Return the amount. Raises InvalidRequestError, see `parse_amount`."""
        return parse_amount(self.model_dump(exclude_unset=True))


class LegacyTopUp(BaseModel):
    """The body of the AWS sample; other keys are ignored, as there."""

    minutes: Any = Field(json_schema_extra={"type": "number", "minimum": 1 / 60}, examples=[10])
    endpoint_name: str | None = Field(
        None, alias="EndpointName", description="Needed when there are several endpoints."
    )

    def amount(self) -> Minutes:
        """Return the amount. Raises InvalidRequestError."""
        return Minutes.of(self.minutes)


class Eject(Shape):
    """Optionally the expiry as last seen: if it has changed, the eject is refused."""

    expires_at: AwareDatetime | None = None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return these statuses as problems, for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": _MEANING[status],
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }


_MEANING: Mapping[int, str] = {
    400: "Invalid request; `field` names the invalid part.",
    401: "No token.",
    402: "The meter is closed; with the price of an hour and the call that tops it up.",
    403: "Token refused, or a scope is missing.",
    404: "No such endpoint, or no such token.",
    408: "The body did not arrive in time.",
    409: "Conflict with the present state; see `code`.",
    410: "The endpoint is being removed with its deployment.",
    413: "Body too large.",
    422: "Over a limit; with the limit and what would still fit.",
    429: "The token has used up its minutes for today, its rate of changes, or its share of the "
    "places; see `code`.",
    502: "The model server did not answer.",
    503: "Not now; `Retry-After` has the seconds to wait, if known.",
    504: "The model server took too long.",
}
