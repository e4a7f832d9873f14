"""`/endpoint-expiry`: the contract of the AWS sample that parkmeter began as. Translates only."""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from pydantic.json_schema import SkipJsonSchema

from parkmeter.api.dependencies import (
    ApiContext,
    IdempotencyKey,
    actor_of,
    mark_replayed,
    may_see,
    token_of,
)
from parkmeter.api.request_body import idempotency_key, parsed, read_json, takes
from parkmeter.api.schemas import LegacyTopUp, problems
from parkmeter.core.tokens import Scope, Token, require
from parkmeter.errors import InvalidRequestError
from parkmeter.web.legacy_expiry import legacy_change, legacy_expiry

_EXAMPLE = {
    "EndpointName": "flan-t5",
    "EndpointExpiry ": "22-06-2023-08-24-12",
    "EndpointExpiry": "22-06-2023-08-24-12",
    "TimeLeft": "0:00:10.211300",
    "Status": "running",
}
_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An object with one endpoint, a list with several.",
        "content": {"application/json": {"example": _EXAMPLE}},
    },
    **problems(404),
}


def add_legacy_routes(app: FastAPI, context: ApiContext) -> None:
    """Add the routes to an application."""
    service, known_token, lanes = context.service, token_of(context), context.lanes

    @app.get("/endpoint-expiry", tags=["endpoint-expiry"], responses=_DOCUMENTED)
    async def get_endpoint_expiry(
        token: Token = known_token,
        name: Annotated[
            str | SkipJsonSchema[None],
            Query(alias="EndpointName", description="Selects one of several."),
        ] = None,
    ) -> Any:
        """Return the expiry of each endpoint in the format of the AWS sample."""
        if name is not None:
            may_see(token, name)
        elif len(service.names) == 1 and token.covers(service.names[0]):
            name = service.names[0]
        if name is not None:
            return legacy_expiry(await lanes.reads.run(token.id, service.report, name))
        reports = await lanes.reads.run(token.id, service.reports)
        return [legacy_expiry(report) for report in reports if token.covers(report.spec.name)]

    @app.post(
        "/endpoint-expiry",
        tags=["endpoint-expiry"],
        responses={**_DOCUMENTED, **problems(400, 408, 409, 410, 413, 422, 429, 503)},
        openapi_extra=takes(LegacyTopUp),
    )
    async def top_up_endpoint_expiry(
        request: Request,
        response: Response,
        token: Token = known_token,
        key: IdempotencyKey = None,
    ) -> Any:
        """Add minutes, as in the AWS sample; with several endpoints `EndpointName` is needed."""
        require(token, Scope.TOP_UP)
        body = parsed(LegacyTopUp, await read_json(request))
        name = body.endpoint_name
        if name is None:
            known = [name for name in service.names if token.covers(name)]
            if len(service.names) != 1:
                raise InvalidRequestError(
                    f"Several endpoints: set EndpointName to one of {', '.join(known)}.",
                    field="EndpointName",
                )
            name = service.names[0]
        require(token, Scope.TOP_UP, name)
        key, amount = idempotency_key(key), body.amount()
        context.count_change(token)
        result = await lanes.writes.run(
            token.id, service.top_up, name, amount, actor_of(token), key
        )
        mark_replayed(result, response)
        return legacy_change(result.entry)
