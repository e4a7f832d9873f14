"""`GET|POST /tokens`, `DELETE /tokens/{token_id}`. Translates only; see `service.tokens`.

On the local gateway a change takes effect with the next request. On AWS the authorizer's answer is
cached, so a revoked token may work for up to 60 seconds more.
"""

from typing import Annotated

from fastapi import FastAPI, Path, Request, Response

from parkmeter.api.dependencies import ApiContext, token_of
from parkmeter.api.request_body import parsed, read_json, takes
from parkmeter.api.schemas import problems
from parkmeter.api.token_schemas import IssuedToken, NewToken, SeenToken, SeenTokens
from parkmeter.core.tokens import Token, require_administrator
from parkmeter.service.tokens import TokenRequest, TokenService

TokenId = Annotated[str, Path(description="As listed.", examples=["5f0c1b2a"])]


def add_token_routes(app: FastAPI, context: ApiContext, service: TokenService) -> None:
    """Add the routes to an application; all need the scope `admin` for all endpoints."""
    known_token, lanes = token_of(context), context.lanes

    @app.get("/tokens", tags=["tokens"])
    async def tokens(token: Token = known_token) -> SeenTokens:
        """Return all tokens and their rights. Secrets are not stored, so they are not shown."""
        require_administrator(token)
        found = await lanes.reads.run(token.id, service.tokens)
        return SeenTokens(tokens=[SeenToken.of(one) for one in found])

    @app.post(
        "/tokens",
        tags=["tokens"],
        status_code=201,
        responses=problems(400, 408, 409, 413, 503),
        openapi_extra=takes(NewToken),
    )
    async def issue(
        request: Request, response: Response, token: Token = known_token
    ) -> IssuedToken:
        """Issue a token. Only this answer has its secret.

        Takes no `Idempotency-Key`: a retry gets 409, as the name is taken. If the first answer was
        lost, revoke that token and issue another.
        """
        require_administrator(token)
        body = parsed(NewToken, await read_json(request))
        new = TokenRequest(
            name=body.name,
            scopes=frozenset(body.scopes),
            endpoints=None if body.endpoints is None else frozenset(body.endpoints),
            expires_at=body.expires_at,
            minutes_per_day=body.minutes_per_day,
        )
        issued, secret = await lanes.writes.run(token.id, service.issue, new)
        response.headers["Cache-Control"] = "no-store"
        return IssuedToken.of(issued, token=secret)

    @app.delete(
        "/tokens/{token_id}", tags=["tokens"], status_code=204, responses=problems(404, 409, 503)
    )
    async def revoke(token_id: TokenId, token: Token = known_token) -> None:
        """Revoke a token, also the caller's own; the last `admin` for all endpoints is kept.

        Requests in progress continue. On AWS a revoked token works for up to 60 seconds more.
        """
        require_administrator(token)
        await lanes.writes.run(token.id, service.revoke, token_id)
