"""What the answers of an endpoint used. Translates only."""

from typing import Annotated

from fastapi import FastAPI, Response

from parkmeter.api.dependencies import ApiContext, Name, may_see, token_of
from parkmeter.api.periods import Moment, To, json_answer, moment_of, moment_query
from parkmeter.api.schemas import problems
from parkmeter.api.usage_schemas import EndpointUsage, ReceiptUsage
from parkmeter.core.receipt import Receipt
from parkmeter.core.tokens import Scope, Token
from parkmeter.core.usage import NOTHING, per_million
from parkmeter.errors import InvalidRequestError


def add_usage_routes(app: FastAPI, context: ApiContext) -> None:
    """Add the route to an application."""
    service, lanes = context.service, context.lanes
    known_token = token_of(context, as_person=False)  # usage is counted by the token's own name

    @app.get(
        "/endpoints/{name}/usage",
        tags=["endpoints"],
        response_model=EndpointUsage,
        responses=problems(400, 404, 503),
    )
    async def get_usage(
        name: Name,
        token: Token = known_token,
        begin: Annotated[Moment, moment_query("from", "Default, and at least: `since`.")] = None,
        end: To = None,
    ) -> Response:
        """Return the model's tokens that answers used, by the token that asked.

        Without the scope `admin` only your own. Counted by the minute in which an answer ended;
        what is older than 31 days by the day (UTC).
        """
        may_see(token, name)
        now = context.now()
        until = min(moment_of(end, "to") or now, now)
        asked = moment_of(begin, "from")
        if asked is not None and asked > until:
            raise InvalidRequestError("The usage must begin before it ends.", field="from")
        is_admin = token.may(Scope.ADMIN, name)

        def document() -> Response:
            service.report(name)  # raises for an unknown endpoint
            since = context.usage.since()
            first = until if since is None else min(max(asked or since, since), until)
            parts = context.usage.used_by(name, first, until) or {}
            own = parts if is_admin else {who: parts[who] for who in parts if who == token.name}
            return json_answer(EndpointUsage.of(name, (first, until), since, own))

        return await lanes.heavy.run(token.id, document)


def usage_on(receipt: Receipt, context: ApiContext) -> ReceiptUsage | None:
    """Return what the answers in a receipt's period used, as far as it was counted."""
    since = context.usage.since()
    if since is None or since >= receipt.end:
        return None
    begin = max(since, receipt.begin)
    parts = context.usage.used_by(receipt.endpoint, begin, receipt.end) or {}
    used = sum(parts.values(), NOTHING)
    if used.tokens and begin > receipt.begin:
        receipt = context.service.receipt(receipt.endpoint, begin, receipt.end)
    return ReceiptUsage.of(begin, used, per_million(receipt.cost, used))
