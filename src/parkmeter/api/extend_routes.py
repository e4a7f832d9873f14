"""The link in a warning: `GET /extend/{link}` shows the offer, `POST` accepts it, once.

Neither needs a token: the link is signed. Opening it changes nothing, because mail scanners open
every link. The pages are in `extend_page`, the rules of a link in `core.extend_link`.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from parkmeter.api.dependencies import ApiContext
from parkmeter.api.extend_page import HEADERS, done_page, offer_page, refusal_page
from parkmeter.core.extend_link import LinkOutdatedError, LinkUsedError, Offer, offer_in
from parkmeter.core.journal import KEY_LIFETIME, LINK, Entry
from parkmeter.core.report import Report
from parkmeter.errors import ParkmeterError, UnknownEndpointError
from parkmeter.service.changes import Actor
from parkmeter.web.problems import problem_of

BY_LINK = Actor("link", LINK)

FindEntry = Callable[[str, str, datetime], Entry | None]
"""`ports.Store.entry`."""


def add_extend_routes(
    app: FastAPI, context: ApiContext, secret: Callable[[], bytes], entry: FindEntry
) -> None:
    """Add the routes to an application. `secret` signs the links; `entry` finds a link's use."""

    def offered(link: str) -> tuple[Offer, Report]:
        """Return a link's offer and its endpoint; raise ParkmeterError if it cannot be used."""
        now = context.now()
        offer = offer_in(link, secret(), now)
        used = entry(offer.endpoint, f"{BY_LINK.id}:{offer.key}", now - KEY_LIFETIME)
        if used is not None:
            raise _used(used)
        return offer, context.service.offered(offer)

    def refused(error: ParkmeterError) -> HTMLResponse:
        """Return the refusal; with the meter's state if the link was used or is outdated."""
        problem, report = problem_of(error), None
        if isinstance(error, LinkUsedError | LinkOutdatedError):
            with suppress(UnknownEndpointError):  # it was removed from the configuration
                report = context.service.report(error.data["endpoint"])
        headers = HEADERS | {
            name: value for name, value in problem.headers.items() if name != "Content-Type"
        }
        return HTMLResponse(refusal_page(error, report), problem.status, headers)

    def shown(link: str) -> HTMLResponse:
        """Return the page of a link's offer."""
        try:
            offer, report = offered(link)
        except ParkmeterError as error:
            return refused(error)
        return HTMLResponse(offer_page(report, offer), headers=HEADERS)

    def extended(link: str) -> HTMLResponse:
        """Use a link; return the page that says so."""
        try:
            offer, _ = offered(link)
            answer = context.service.extend(offer, BY_LINK)
            if answer.replayed:
                raise _used(answer.entry)
            report = context.service.report(offer.endpoint)
        except ParkmeterError as error:
            return refused(error)
        return HTMLResponse(done_page(report, answer.entry), headers=HEADERS)

    @app.get("/extend/{link}", include_in_schema=False)
    async def show(link: str) -> HTMLResponse:
        return await context.lanes.reads.run(BY_LINK.id, shown, link)

    @app.post("/extend/{link}", include_in_schema=False)
    async def extend(link: str) -> HTMLResponse:
        return await context.lanes.writes.run(BY_LINK.id, extended, link)


def _used(entry: Entry) -> LinkUsedError:
    return LinkUsedError(entry.endpoint, entry.amount.total_seconds() / 60, entry.at)
