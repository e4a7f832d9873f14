"""Tokens by HTTP: `GET|POST /tokens`, `DELETE /tokens/{token_id}`. Translates only; see `issuing`.

In the local gateway a change counts from the next request on. On AWS the authorizer's answer is
kept for a while, so a revoked token may live for up to 60 seconds more.
"""

from typing import Annotated

from fastapi import FastAPI, Path, Request, Response
from starlette.concurrency import run_in_threadpool as in_thread

from parkmeter.api.dependencies import ApiContext, token_of
from parkmeter.api.request_body import parsed, read_json, takes
from parkmeter.api.schemas import IssuedToken, NewToken, SeenToken, SeenTokens, problems
from parkmeter.core.tokens import Token
from parkmeter.service.tokens import TokenRequest, TokenService
from parkmeter.web.auth import require_administrator

TokenId = Annotated[str, Path(description="As listed.", examples=["5f0c1b2a"])]


def add_token_routes(app: FastAPI, control: ApiContext, issuing: TokenService) -> None:
    """Make an application answer them; all need the scope `admin`, for all endpoints."""
    known_token = token_of(control)

    @app.get("/tokens", tags=["tokens"])
    def tokens(token: Token = known_token) -> SeenTokens:
        """Who has a token, and what it may do. Secrets are not kept, so none are shown."""
        require_administrator(token)
        return SeenTokens(tokens=[SeenToken.of(one) for one in issuing.tokens()])

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
        """Issue a token. Its secret is in this answer and nowhere else.

        Takes no `Idempotency-Key`: sent again, the name is taken (409). If the first answer was
        lost, revoke that token and issue another.
        """
        require_administrator(token)
        wanted = parsed(NewToken, await read_json(request))
        order = TokenRequest(
            name=wanted.name,
            scopes=frozenset(wanted.scopes),
            endpoints=None if wanted.endpoints is None else frozenset(wanted.endpoints),
            expires_at=wanted.expires_at,
            minutes_per_day=wanted.minutes_per_day,
        )
        issued, secret = await in_thread(issuing.issue, order)
        response.headers["Cache-Control"] = "no-store"
        return IssuedToken.of(issued, token=secret)

    @app.delete(
        "/tokens/{token_id}", tags=["tokens"], status_code=204, responses=problems(404, 409, 503)
    )
    def revoke(token_id: TokenId, token: Token = known_token) -> None:
        """Revoke a token, the one that asks included; the last `admin` for all endpoints stays.

        What is being answered already goes on. On AWS a revoked token lives up to 60 seconds more.
        """
        require_administrator(token)
        issuing.revoke(token_id)
