"""Dependencies shared by all control routes: the use cases, the token, an endpoint's schema."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Response, Security
from fastapi.security import APIKeyHeader

from parkmeter.api.schemas import Endpoint
from parkmeter.core.report import Report
from parkmeter.core.tokens import Token
from parkmeter.errors import ParkmeterError, ScopeMissingError
from parkmeter.ports import RequestCounts
from parkmeter.service.changes import Actor, ChangeResult
from parkmeter.service.meters import MeterService
from parkmeter.service.run_stats import RunStats
from parkmeter.web.auth import Book

_header = APIKeyHeader(name="Authorization", scheme_name="token", auto_error=False)

Name = Annotated[str, Path(description="Name of the endpoint.", examples=["flan-t5"])]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Makes a retry safe: 1 to 255 visible ASCII characters, kept 7 days.",
        examples=["4f0a5a8e-monday"],
    ),
]


class _Uncounted:
    """`ports.RequestCounts` where requests are not counted."""

    def of(self, _name: str, _begin: datetime, _end: datetime, _slot: timedelta) -> None:
        """See `ports.RequestCounts`."""


@dataclass(frozen=True, slots=True)
class ApiContext:
    """Dependencies of the control routes.

    `resources`: api_resource by endpoint name. `invocations`: the path for prompts at an endpoint's
    server, None where no other path is reached. `alive`: whether the clock runs. `fault`: why the
    store takes no change any more, None while it is sound. `whole_servers`:
    prompts are streamed, wait as long as they ask, and reach every path of a model server; on AWS
    they wait for some seconds at most and reach one path. `requests`: counts of the requests that
    endpoints let in, where known.
    """

    service: MeterService
    book: Book
    resources: Callable[[str], str]
    now: Callable[[], datetime]
    alive: Callable[[], bool] = lambda: True
    fault: Callable[[], ParkmeterError | None] = lambda: None
    whole_servers: bool = True
    requests: RequestCounts = field(default_factory=_Uncounted)
    invocations: Callable[[str], str | None] = lambda _name: None
    run_stats: RunStats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "run_stats", RunStats(self.service))

    def shape(self, report: Report) -> Endpoint:
        """Return the JSON shape of an endpoint."""
        summary, name = self.run_stats.of(report), report.spec.name
        return Endpoint.of(report, summary, self.resources(name), self.invocations(name))


def token_of(context: ApiContext) -> Any:
    """Return the dependency that gives a route the caller's Token, or refuses the request."""

    async def check(authorization: Annotated[str | None, Security(_header)]) -> Token:
        return context.book.check(authorization, context.now())

    return Depends(check)


def may_see(token: Token, name: str) -> None:
    """Raise ScopeMissingError unless the token covers the endpoint: then it may see its status."""
    if not token.covers(name):
        raise ScopeMissingError("status", name)


def actor_of(token: Token) -> Actor:
    """Return the holder of a token as the use cases know it."""
    return Actor(token.id, token.name, token.minutes_per_day)


def mark_replayed(result: ChangeResult, response: Response) -> None:
    """Mark the response if this is the stored answer of an earlier request."""
    if result.replayed:
        response.headers["Idempotency-Replayed"] = "true"
