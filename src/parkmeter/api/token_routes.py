"""`GET|POST /tokens`, `POST /tokens/{token_id}/rotate`, `DELETE /tokens/{token_id}`, `GET /audit`.

Translates only; see `service.tokens` and `service.audit`.
On the local gateway a change takes effect with the next request. On AWS the authorizer's answer is
cached, so a revoked token may work for up to 60 seconds more.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import FastAPI, Path, Query, Request, Response

from parkmeter.api.dependencies import ApiContext, Before, Limit, actor_of, token_of
from parkmeter.api.request_body import parsed, read_json, takes
from parkmeter.api.schemas import problems
from parkmeter.api.token_schemas import (
    AuditLine,
    AuditLines,
    IssuedToken,
    NewToken,
    SeenToken,
    SeenTokens,
)
from parkmeter.core.tokens import Token, require_administrator
from parkmeter.service.audit import Audit
from parkmeter.service.tokens import TokenRequest, TokenService

TokenId = Annotated[str, Path(description="As listed.", examples=["5f0c1b2a"])]
_CUT = Query(
    alias="cut",
    description="Also break off what this token is being answered; else those requests continue. "
    "On AWS none is cut.",
)


def add_token_routes(
    app: FastAPI,
    context: ApiContext,
    service: TokenService,
    cut: Callable[[str], None] = lambda _token_id: None,
) -> None:
    """Add the routes to an application; all need the scope `admin` for all endpoints.

    `cut` breaks off the requests of the token with this id, from any thread.
    """
    known_token, lanes = token_of(context), context.lanes

    @app.get("/tokens", tags=["tokens"])
    async def list_tokens(token: Token = known_token) -> SeenTokens:
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
    async def issue_token(
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
            speaks_for_others=body.speaks_for_others,
        )
        issued, secret = await lanes.writes.run(token.id, service.issue, new, actor_of(token))
        response.headers["Cache-Control"] = "no-store"
        return IssuedToken.of(issued, token=secret)

    @app.post("/tokens/{token_id}/rotate", tags=["tokens"], responses=problems(404, 409, 503))
    async def rotate_token(
        token_id: TokenId,
        response: Response,
        *,
        token: Token = known_token,
        cut_off: Annotated[bool, _CUT] = False,
    ) -> IssuedToken:
        """Give a token a new secret, also the caller's own; the old one is refused from now on.

        Its id, name and rights stay. Only this answer has the secret. If it was lost, rotate again
        with another token. On AWS the old secret works for up to 60 seconds more.
        """
        require_administrator(token)
        actor = actor_of(token)
        rotated, secret = await lanes.writes.run(token.id, service.rotate, token_id, actor)
        if cut_off:
            cut(token_id)
        response.headers["Cache-Control"] = "no-store"
        return IssuedToken.of(rotated, token=secret)

    @app.delete(
        "/tokens/{token_id}", tags=["tokens"], status_code=204, responses=problems(404, 409, 503)
    )
    async def revoke_token(
        token_id: TokenId, *, token: Token = known_token, cut_off: Annotated[bool, _CUT] = False
    ) -> None:
        """Revoke a token, also the caller's own; the last `admin` for all endpoints is kept.

        Requests that wait for an endpoint are refused, those in progress continue without `cut`.
        On AWS a revoked token works for up to 60 seconds more.
        """
        require_administrator(token)
        await lanes.writes.run(token.id, service.revoke, token_id, actor_of(token))
        if cut_off:
            cut(token_id)


def add_audit_route(app: FastAPI, context: ApiContext, audit: Audit) -> None:
    """Add the route to an application; it needs the scope `admin` for all endpoints."""
    known_token, lanes = token_of(context), context.lanes

    @app.get("/audit", tags=["tokens"], responses=problems(400, 503))
    async def list_audit(
        token: Token = known_token,
        limit: Limit = 50,
        before: Before = None,
    ) -> AuditLines:
        """Return who issued, rotated and revoked tokens, ejected and reloaded; newest first."""
        require_administrator(token)
        records = await lanes.reads.run(token.id, audit.records, limit, before)
        more = len(records) == limit and records[-1].number > 1
        return AuditLines(
            lines=[AuditLine.of(record) for record in records],
            before=records[-1].number if more else None,
        )
