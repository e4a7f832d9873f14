"""What every control route stands on: the use cases, who asks, and how an endpoint is shown."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Security
from fastapi.security import APIKeyHeader

from parkmeter.api.schemas import Endpoint
from parkmeter.core.report import Report
from parkmeter.core.tokens import Token
from parkmeter.errors import ScopeMissingError
from parkmeter.ports import RequestCounts
from parkmeter.service.meters import MeterService
from parkmeter.service.run_stats import RunStats
from parkmeter.web.auth import Book

_header = APIKeyHeader(name="Authorization", scheme_name="token", auto_error=False)

Name = Annotated[str, Path(description="Name of the endpoint.", examples=["flan-t5"])]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Makes a repetition harmless: 1 to 255 visible ASCII characters, kept 7 days.",
        examples=["4f0a5a8e-monday"],
    ),
]


class _Uncounted:
    """Implements `ports.RequestCounts` where nobody counts."""

    def of(self, _name: str, _begin: datetime, _end: datetime, _slot: timedelta) -> None:
        """See `ports.RequestCounts`."""


@dataclass(frozen=True, slots=True)
class ApiContext:
    """What the routes stand on.

    `resources`: api_resource by endpoint name. `invocations`: the path of its server that takes
    prompts, None where others are not reached. `alive`: whether the clock goes round.
    `whole_servers`: prompts are streamed, wait as long as they ask, and every path of a model
    server is reached; on AWS they wait some seconds at most, and none of the rest. `requests`:
    how many endpoints let in, as far as that is known.
    """

    service: MeterService
    book: Book
    resources: Callable[[str], str]
    now: Callable[[], datetime]
    alive: Callable[[], bool] = lambda: True
    whole_servers: bool = True
    requests: RequestCounts = field(default_factory=_Uncounted)
    invocations: Callable[[str], str | None] = lambda _name: None
    run_stats: RunStats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "run_stats", RunStats(self.service))

    def shape(self, report: Report) -> Endpoint:
        """An endpoint as clients are shown it."""
        summary = self.run_stats.of(report)
        name = report.spec.name
        return Endpoint.of(report, summary, self.resources(name), self.invocations(name))


def token_of(control: ApiContext) -> Any:
    """What a route depends on to know who asks: a Token, or the request is refused."""

    async def check(authorization: Annotated[str | None, Security(_header)]) -> Token:
        return control.book.check(authorization, control.now())

    return Depends(check)


def may_see(token: Token, name: str) -> None:
    """Any token sees status, of the endpoints it is for."""
    if not token.covers(name):
        raise ScopeMissingError("status", name)
