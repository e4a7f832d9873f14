"""`/endpoints`: status, top-up and eject. Translates only."""

from fastapi import FastAPI, Request, Response

from parkmeter.api.dependencies import (
    ApiContext,
    IdempotencyKey,
    Name,
    actor_of,
    mark_replayed,
    may_see,
    token_of,
)
from parkmeter.api.request_body import idempotency_key, parsed, read_json, takes
from parkmeter.api.schemas import Changed, Eject, Endpoint, Endpoints, TopUp, problems
from parkmeter.core.tokens import Scope, Token, require


def add_endpoint_routes(app: FastAPI, context: ApiContext) -> None:
    """Add the routes to an application."""
    service, known_token, lanes = context.service, token_of(context), context.lanes

    @app.get("/endpoints", tags=["endpoints"], responses=problems(503), response_model=Endpoints)
    async def list_endpoints(token: Token = known_token) -> Response:
        """Return all endpoints: status, time left, price."""

        def listed() -> bytes:
            covered = [one for one in service.reports() if token.covers(one.spec.name)]
            return b'{"endpoints":[%b]}' % b",".join(map(context.endpoints.text, covered))

        found = await lanes.reads.run(token.id, listed)
        return Response(found, media_type="application/json")

    @app.get("/endpoints/{name}", tags=["endpoints"], responses=problems(404, 503))
    async def get_endpoint(name: Name, token: Token = known_token) -> Endpoint:
        """Return one endpoint: status, time left, price."""
        may_see(token, name)
        return await lanes.reads.run(
            token.id, lambda: context.endpoints.shape(service.report(name))
        )

    @app.post(
        "/endpoints/{name}/top-ups",
        tags=["endpoints"],
        status_code=201,
        responses=problems(400, 404, 408, 409, 410, 413, 422, 429, 503),
        openapi_extra=takes(TopUp),
    )
    async def top_up(
        name: Name,
        request: Request,
        response: Response,
        token: Token = known_token,
        key: IdempotencyKey = None,
    ) -> Changed:
        """Add minutes, or as many as the dollars buy.

        They count from now on a closed meter, from its expiry on an open one. The call returns
        before the endpoint starts, which follows within moments.
        """
        require(token, Scope.TOP_UP, name)
        body = parsed(TopUp, await read_json(request))
        key, amount = idempotency_key(key), body.amount()
        context.count_change(token)
        result = await lanes.writes.run(
            token.id, service.top_up, name, amount, actor_of(token), key
        )
        mark_replayed(result, response)
        return Changed.of(result.entry)

    @app.post(
        "/endpoints/{name}/eject",
        tags=["endpoints"],
        responses=problems(400, 404, 408, 409, 413, 429, 503),
        openapi_extra=takes(Eject),
    )
    async def eject(
        name: Name,
        request: Request,
        response: Response,
        token: Token = known_token,
        key: IdempotencyKey = None,
    ) -> Changed:
        """Stop the endpoint now and give up the remaining time.

        Requests in flight still get their drain. With the `expires_at` that you last saw, the eject
        is refused (409) if the expiry has changed since, for example by a top-up.
        """
        require(token, Scope.ADMIN, name)
        document = await read_json(request)
        body = Eject() if document is None else parsed(Eject, document)
        key = idempotency_key(key)
        context.count_change(token, "eject")
        result = await lanes.ejects.run(
            token.id, service.eject, name, actor_of(token), key, body.expires_at
        )
        mark_replayed(result, response)
        return Changed.of(result.entry)
