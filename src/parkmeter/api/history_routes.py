"""What was: journal, receipt and timeline of an endpoint. Translates only."""

from datetime import timedelta
from typing import Annotated

from fastapi import FastAPI, Query, Response

from parkmeter.api.dependencies import ApiContext, Name, may_see, token_of
from parkmeter.api.history_schemas import EndpointReceipt, Journal, JournalLine, Timeline
from parkmeter.api.receipt_csv import receipt_csv
from parkmeter.api.schemas import problems
from parkmeter.api.timestamps import moment
from parkmeter.core.journal import OPERATOR, SYSTEM
from parkmeter.core.journal_reader import lines_of
from parkmeter.core.request_counts import slot_of
from parkmeter.core.status_history import status_intervals, top_ups
from parkmeter.core.tokens import Scope, Token
from parkmeter.errors import InvalidRequestError

_NEWEST = 50
_MOMENT = "ISO 8601; UTC unless it says otherwise; a date is its first moment."
_LARGEST_NUMBER = 2**53
_A_DAY = timedelta(days=1)

From = Annotated[
    str | None,
    Query(alias="from", description=f"{_MOMENT} Default: the journal's first line."),
]
To = Annotated[str | None, Query(alias="to", description=f"{_MOMENT} Default, and at most: now.")]


def add_history_routes(app: FastAPI, control: ApiContext) -> None:
    """Make an application answer them."""
    service, known_token = control.service, token_of(control)

    @app.get("/endpoints/{name}/journal", tags=["endpoints"], responses=problems(400, 404))
    def journal(
        name: Name,
        token: Token = known_token,
        limit: Annotated[int, Query(ge=1, le=500, description="How many lines.")] = _NEWEST,
        before: Annotated[
            int | None,
            Query(ge=1, le=_LARGEST_NUMBER, description="Only lines of a lower number."),
        ] = None,
    ) -> Journal:
        """Who did what, when and why, newest first.

        Without the scope `admin` only your own lines and parkmeter's; a page may then be short.
        """
        may_see(token, name)
        entries = service.journal(name, limit, before)
        everybodys, open_names = token.may(Scope.ADMIN, name), _open_names(token)
        lines = [
            JournalLine.of(entry) for entry in entries if everybodys or entry.who in open_names
        ]
        more = len(entries) == limit and entries[-1].number > 1
        return Journal(lines=lines, before=entries[-1].number if more else None)

    @app.get("/endpoints/{name}/receipt", tags=["endpoints"], responses=problems(400, 404))
    def receipt(
        name: Name,
        token: Token = known_token,
        begin: From = None,
        end: To = None,
    ) -> EndpointReceipt:
        """Hours on, what they cost and for whom, and what always-on would have cost."""
        may_see(token, name)
        period = moment(begin, "from"), moment(end, "to")
        return EndpointReceipt.of(service.receipt(name, *period))

    @app.get(
        "/endpoints/{name}/receipt.csv",
        tags=["endpoints"],
        responses={200: _CSV, **problems(400, 404)},
        response_class=Response,
    )
    def receipt_as_csv(
        name: Name, token: Token = known_token, begin: From = None, end: To = None
    ) -> Response:
        """The receipt for spreadsheets: a row for each buyer, then the total."""
        may_see(token, name)
        found = service.receipt(name, moment(begin, "from"), moment(end, "to"))
        file = f"{name}_{found.begin:%Y-%m-%d}_{found.end:%Y-%m-%d}.csv"
        return Response(
            receipt_csv(found),
            media_type="text/csv; charset=utf-8; header=present",
            headers={"Content-Disposition": f'attachment; filename="{file}"'},
        )

    @app.get("/endpoints/{name}/timeline", tags=["endpoints"], responses=problems(400, 404))
    def timeline(
        name: Name,
        token: Token = known_token,
        begin: Annotated[
            str | None, Query(alias="from", description=f"{_MOMENT} Default: a day before the end.")
        ] = None,
        end: To = None,
    ) -> Timeline:
        """What it was shown as, who put time on it, and how many requests were let in.

        Requests are known for 31 days; up to a day by the minute, up to a week by five minutes,
        else by the hour. Without the scope `admin` others are not named.
        """
        may_see(token, name)
        now = control.now()
        until = min(moment(end, "to") or now, now)
        since = moment(begin, "from") or until - _A_DAY
        if since > until:
            raise InvalidRequestError("The timeline must begin before it ends.", field="from")
        lines, slot = lines_of(service, name, since, until), slot_of(since, until, now)
        return Timeline.of(
            (since, until),
            status_intervals(lines, since, until),
            top_ups(lines, since, until),
            (slot, control.requests.of(name, since, until, slot)),
            names=None if token.may(Scope.ADMIN, name) else _open_names(token),
        )


def _open_names(token: Token) -> frozenset[str]:
    """Whose lines are for everybody, and the token's own."""
    return frozenset({SYSTEM, OPERATOR, token.name})


_CSV = {
    "description": "RFC 4180; what is unknown is empty.",
    "content": {"text/csv": {"schema": {"type": "string"}}},
}
