"""The link in a warning: `GET /extend/{link}` shows what it would do, `POST` does it, once.

Neither needs a token: the link is signed. Opening it changes nothing, because mail scanners open
every link; what a page says is in `extend_page`, what a link may do in `extending`.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from parkmeter.api.dependencies import ApiContext
from parkmeter.api.extend_page import HEADERS, done_page, offer_page, refusal_page
from parkmeter.core.extend_link import LinkOutdatedError, LinkUsedError, Offer, offer_in
from parkmeter.core.journal import KEY_LIFETIME, Entry
from parkmeter.core.report import Report
from parkmeter.errors import ParkmeterError, UnknownEndpointError
from parkmeter.service.changes import Actor
from parkmeter.web.problems import problem_of

BY_LINK = Actor("link", "link in a warning")

FindEntry = Callable[[str, str, datetime], Entry | None]
"""`ports.Store.entry`."""


def add_extend_routes(
    app: FastAPI, control: ApiContext, secret: Callable[[], bytes], entry: FindEntry
) -> None:
    """Make an application answer them. `secret` signed the links; `entry` finds a link's use."""

    def offered(link: str) -> tuple[Offer, Report]:
        """What a link offers, for an endpoint that is as it was warned of. Raises what refuses."""
        now = control.now()
        offer = offer_in(link, secret(), now)
        used = entry(offer.endpoint, f"{BY_LINK.id}:{offer.key}", now - KEY_LIFETIME)
        if used is not None:
            raise _used(used)
        return offer, control.service.offered(offer)

    def refused(error: ParkmeterError) -> HTMLResponse:
        """Who comes second is told how it stands: that is all they wanted to be sure of."""
        said, report = problem_of(error), None
        if isinstance(error, LinkUsedError | LinkOutdatedError):
            with suppress(UnknownEndpointError):  # it is not configured any more
                report = control.service.report(error.data["endpoint"])
        headers = HEADERS | {
            name: value for name, value in said.headers.items() if name != "Content-Type"
        }
        return HTMLResponse(refusal_page(error, report), said.status, headers)

    @app.get("/extend/{link}", include_in_schema=False)
    def show(link: str) -> HTMLResponse:
        try:
            offer, report = offered(link)
        except ParkmeterError as error:
            return refused(error)
        return HTMLResponse(offer_page(report, offer), headers=HEADERS)

    @app.post("/extend/{link}", include_in_schema=False)
    def extend(link: str) -> HTMLResponse:
        try:
            offer, _ = offered(link)
            answer = control.service.extend(offer, BY_LINK)
            if answer.replayed:
                raise _used(answer.entry)
            report = control.service.report(offer.endpoint)
        except ParkmeterError as error:
            return refused(error)
        return HTMLResponse(done_page(report, answer.entry), headers=HEADERS)


def _used(entry: Entry) -> LinkUsedError:
    return LinkUsedError(entry.endpoint, entry.amount.total_seconds() / 60, entry.at)
