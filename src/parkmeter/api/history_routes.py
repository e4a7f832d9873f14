"""Journal, receipt and timeline of an endpoint. Translates only."""

from typing import Annotated

from fastapi import FastAPI, Response

from parkmeter.api.dependencies import ApiContext, Before, Limit, Name, may_see, token_of
from parkmeter.api.history_schemas import (
    EndpointReceipt,
    Journal,
    JournalLine,
    Timeline,
    receipt_csv,
)
from parkmeter.api.periods import (
    From,
    Moment,
    To,
    day_before,
    json_answer,
    moment_of,
    moment_query,
)
from parkmeter.api.schemas import problems
from parkmeter.api.usage_routes import usage_on
from parkmeter.core.journal import OPERATOR, SYSTEM
from parkmeter.core.request_counts import slot_of
from parkmeter.core.status_history import status_intervals, top_ups
from parkmeter.core.tokens import Scope, Token
from parkmeter.errors import InvalidRequestError


def add_history_routes(app: FastAPI, context: ApiContext) -> None:
    """Add the routes to an application."""
    service, known_token, lanes = context.service, token_of(context), context.lanes

    @app.get(
        "/endpoints/{name}/journal",
        tags=["endpoints"],
        response_model=Journal,
        responses=problems(400, 404, 503),
    )
    async def get_journal(
        name: Name,
        token: Token = known_token,
        limit: Limit = 50,
        before: Before = None,
    ) -> Response:
        """Return what happened, when, by whom and why, newest first.

        Without the scope `admin` only your own lines and parkmeter's; a page may then be short.
        """
        may_see(token, name)
        is_admin, visible = token.may(Scope.ADMIN, name), _visible_names(token)

        def page() -> Response:
            entries = service.journal(name, limit, before)
            lines = [JournalLine.of(entry) for entry in entries if is_admin or entry.who in visible]
            more = len(entries) == limit and entries[-1].number > 1
            return json_answer(Journal(lines=lines, before=entries[-1].number if more else None))

        return await lanes.heavy.run(token.id, page)

    @app.get(
        "/endpoints/{name}/receipt",
        tags=["endpoints"],
        response_model=EndpointReceipt,
        responses=problems(400, 404, 503),
    )
    async def get_receipt(
        name: Name,
        token: Token = known_token,
        begin: From = None,
        end: To = None,
    ) -> Response:
        """Return the hours on, their cost by buyer, and the cost of always-on."""
        may_see(token, name)
        period = moment_of(begin, "from"), moment_of(end, "to")

        def document() -> Response:
            found = service.receipt(name, *period)
            used = context.queue_use(name, found.begin, found.end)
            return json_answer(EndpointReceipt.of(found, used, usage_on(found, context)))

        return await lanes.heavy.run(token.id, document)

    @app.get(
        "/endpoints/{name}/receipt.csv",
        tags=["endpoints"],
        responses={200: _CSV, **problems(400, 404, 503)},
        response_class=Response,
    )
    async def get_receipt_as_csv(
        name: Name, token: Token = known_token, begin: From = None, end: To = None
    ) -> Response:
        """Return the receipt for spreadsheets: a row for each buyer, the total, the queue's use."""
        may_see(token, name)
        period = moment_of(begin, "from"), moment_of(end, "to")

        def table() -> Response:
            found = service.receipt(name, *period)
            used = context.queue_use(name, found.begin, found.end)
            file = f"{name}_{found.begin:%Y-%m-%d}_{found.end:%Y-%m-%d}.csv"
            return Response(
                receipt_csv(found, used),
                media_type="text/csv; charset=utf-8; header=present",
                headers={"Content-Disposition": f'attachment; filename="{file}"'},
            )

        return await lanes.heavy.run(token.id, table)

    @app.get(
        "/endpoints/{name}/timeline",
        tags=["endpoints"],
        response_model=Timeline,
        responses=problems(400, 404, 503),
    )
    async def get_timeline(
        name: Name,
        token: Token = known_token,
        begin: Annotated[Moment, moment_query("from", "Default: a day before the end.")] = None,
        end: To = None,
    ) -> Response:
        """Return the statuses, the top-ups, the number of requests let in, and what they used.

        Requests are kept for 31 days: counted by the minute for periods up to a day, by five
        minutes up to a week, else by the hour. Without the scope `admin` others are not named. A
        period of more than 20,000 journal lines begins later than asked; `from` has when.
        """
        may_see(token, name)
        now = context.now()
        until = min(moment_of(end, "to") or now, now)
        since = moment_of(begin, "from") or day_before(until)
        if since > until:
            raise InvalidRequestError("The timeline must begin before it ends.", field="from")
        names = None if token.may(Scope.ADMIN, name) else _visible_names(token)

        def made() -> Response:
            lines = service.lines(name, since, until)
            period = (lines.begin, until)
            slot = slot_of(*period, now)
            statuses = status_intervals(lines.entries, *period, lines.showing)
            counts = context.requests.of(name, *period, slot)
            used = context.usage.used_at(name, *period, slot)
            ticks = top_ups(lines.entries, *period)
            return json_answer(
                Timeline.of(period, statuses, ticks, (slot, counts, used), names=names)
            )

        return await lanes.heavy.run(token.id, made)


def _visible_names(token: Token) -> frozenset[str]:
    """Return the names whose lines a token may see without `admin`."""
    return frozenset({SYSTEM, OPERATOR, token.name})


_CSV = {
    "description": "RFC 4180; an unknown value is empty.",
    "content": {"text/csv": {"schema": {"type": "string"}}},
}
