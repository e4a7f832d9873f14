"""Dependencies shared by all control routes: the use cases, the token, an endpoint's schema."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol

from fastapi import Depends, Header, Path, Query, Request, Response, Security
from fastapi.security import APIKeyHeader
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from parkmeter.api.endpoint_json import EndpointJson
from parkmeter.api.lanes import Lanes
from parkmeter.api.request_body import KEY
from parkmeter.core.receipt import QueueUse
from parkmeter.core.reserved import ENDPOINT_NAME
from parkmeter.core.tokens import Token
from parkmeter.errors import ParkmeterError, ScopeMissingError, TokenRefusedError
from parkmeter.ports import RequestCounts, UsageCounts
from parkmeter.service.changes import Actor, ChangeResult
from parkmeter.service.meters import MeterService
from parkmeter.service.run_stats import RunStats
from parkmeter.web.asgi import Scope
from parkmeter.web.auth import Book
from parkmeter.web.credentials import credential_in
from parkmeter.web.headers import Fields, base_of
from parkmeter.web.persons import Persons

_header = APIKeyHeader(name="Authorization", scheme_name="token", auto_error=False)

# Patterns are for the document only: an unknown name is a 404, whatever it looks like. An optional
# parameter is left out, never null.
Name = Annotated[
    str,
    Path(
        description="Name of the endpoint.",
        examples=["flan-t5"],
        json_schema_extra={"pattern": f"^{ENDPOINT_NAME}$"},
    ),
]
IdempotencyKey = Annotated[
    str | SkipJsonSchema[None],
    Header(
        alias="Idempotency-Key",
        description="Makes a retry safe: 1 to 255 visible ASCII characters, kept 7 days.",
        examples=["4f0a5a8e-monday"],
        json_schema_extra={"pattern": f"^{KEY}$"},
    ),
]


Limit = Annotated[int, Query(ge=1, le=500, description="Most lines.")]
Before = Annotated[
    Annotated[int, Field(ge=1, le=2**53)] | SkipJsonSchema[None],
    Query(description="Only lines with a lower number."),
]


class _Uncounted:
    """`ports.RequestCounts` where requests are not counted."""

    def of(self, _name: str, _begin: datetime, _end: datetime, _slot: timedelta) -> None:
        """See `ports.RequestCounts`."""


class Rate(Protocol):
    """The rate of changes that one token may make."""

    def take(self, token_id: str, kind: str = "change") -> None:
        """Count a change of this kind. Raises TooManyChangesError if there were too many."""


class _UnknownUsage:
    """`ports.UsageCounts` where usage is not counted."""

    def used_by(self, _name: str, _begin: datetime, _end: datetime) -> None:
        """See `ports.UsageCounts`."""

    def used_at(self, _name: str, _begin: datetime, _end: datetime, _slot: timedelta) -> None:
        """See `ports.UsageCounts`."""

    def since(self) -> None:
        """See `ports.UsageCounts`."""


@dataclass(frozen=True, slots=True)
class ApiContext:
    """Dependencies of the control routes.

    `resources`: api_resource by endpoint name. `invocations`: the path for prompts at an endpoint's
    server, None where no other path is reached. `alive`: whether the clock runs. `fault`: why the
    store no longer takes changes, None while it is sound. `whole_servers`:
    prompts are streamed, wait as long as they ask, and reach every path of a model server; on AWS
    they wait for some seconds at most and reach one path. `requests`: counts of the requests that
    endpoints let in, `usage`: of what their answers used; where known. `queue_use`: that of an
    endpoint's queue, on AWS. `faults`: what is wrong with the gateway, by code; `figures`: the
    numbers behind it; both return at once.
    `token_refused` takes note of a refused token, with the TCP peer and the header fields, and
    returns the seconds its answer has to wait. `rate`: that of one token's changes; None: not
    limited here. `base` returns the gateway's address for the client of an ASGI request, `speaking`
    the token under the name of the person who asks; see `Persons`.
    """

    service: MeterService
    book: Book
    resources: Callable[[str], str]
    now: Callable[[], datetime]
    alive: Callable[[], bool] = lambda: True
    fault: Callable[[], ParkmeterError | None] = lambda: None
    whole_servers: bool = True
    requests: RequestCounts = field(default_factory=_Uncounted)
    usage: UsageCounts = field(default_factory=_UnknownUsage)
    queue_use: Callable[[str, datetime, datetime], QueueUse | None] = lambda *_: None
    lanes: Lanes = field(default_factory=Lanes)
    rate: Rate | None = None
    invocations: Callable[[str], str | None] = lambda _name: None
    faults: Callable[[], Mapping[str, str]] = dict
    figures: Callable[[], Mapping[str, object]] = dict
    token_refused: Callable[[str, Fields], float] = lambda _address, _fields: 0.0
    base: Callable[[Scope], str] = base_of
    speaking: Callable[[str, Fields, Token], Token] = Persons().speaking
    run_stats: RunStats = field(init=False)
    endpoints: EndpointJson = field(init=False)

    def __post_init__(self) -> None:
        run_stats = RunStats(self.service)
        endpoints = EndpointJson(run_stats, self.resources, self.invocations)
        object.__setattr__(self, "run_stats", run_stats)
        object.__setattr__(self, "endpoints", endpoints)

    def credential(self, request: Request) -> str | None:
        """Return the credential of a request as the value of an Authorization header.

        On AWS the authorizer reads that header only, and other keys may be API Gateway's own.
        """
        if not self.whole_servers:
            return request.headers.get("authorization")
        return credential_in(request.scope["headers"]).decode("latin-1")

    def count_change(self, token: Token, kind: str = "change") -> None:
        """Count a change that a token is about to make; raise TooManyChangesError if it may not."""
        if self.rate is not None:
            self.rate.take(token.id, kind)


def token_of(context: ApiContext, *, as_person: bool = True) -> Any:
    """Return the dependency that gives a route the caller's Token, or refuses the request.

    `as_person`: under the name of the person who asks, if one is named.
    """

    async def check(request: Request, _: Annotated[str | None, Security(_header)] = None) -> Token:
        fields = request.scope["headers"]
        address = request.client.host if request.client is not None else ""
        credential = context.credential(request)
        try:
            token = context.book.check(credential, context.now())
        except TokenRefusedError:
            if delay := context.token_refused(address, fields):
                await asyncio.sleep(delay)
            raise
        return context.speaking(address, fields, token) if as_person else token

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
