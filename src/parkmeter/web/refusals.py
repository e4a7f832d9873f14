"""Errors and problems of the data plane for requests that it does not forward. Pure."""

import math
from datetime import datetime, timedelta
from typing import Any

from parkmeter.core.meter import NEVER, Status
from parkmeter.core.money import about, dollars_from, units_of, written
from parkmeter.core.status import View
from parkmeter.core.tokens import Scope
from parkmeter.errors import (
    MeterClosedError,
    NotServingError,
    ParkmeterError,
    ScopeMissingError,
    UploadStalledError,
    UpstreamTimeoutError,
)
from parkmeter.web.problems import Problem, problem
from parkmeter.web.routes import Route

RETRY_SECONDS = 5
"""Retry-After while an endpoint starts and the end is not known: a retry costs little."""

LONGEST_RETRY_SECONDS = 60
"""Clients of OpenAI, Anthropic and Vercel ignore a longer Retry-After, and then retry at once."""


class Refusal(Exception):  # noqa: N818 (an answer, not a fault)
    """Raised for errors of HTTP itself, which have no place in the tree of errors."""

    def __init__(self, answer: Problem) -> None:
        super().__init__(answer.status)
        self.problem = answer


class TooManyInFlightError(ParkmeterError):
    """Raised when an endpoint, or a token's share of it, has no place for one more request."""

    code = "too_many_in_flight"
    title = "Too many requests at once"
    retry_after = 1


class PathClosedError(ScopeMissingError):
    """Raised when a path of a model server takes `admin`, and the token has not got it."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(Scope.ADMIN, endpoint)
        self.detail = (
            f"This path of the server of {endpoint!r} takes the scope 'admin': it controls the "
            "engine, or is not among the `paths` of the endpoint's configuration."
        )


def meter_closed(
    route: Route,
    view: View | None,
    base: str,
    holder: View | None = None,
    *,
    may_top_up: bool = True,
) -> MeterClosedError:
    """Return a 402 with the price and the exact call that tops up this meter.

    `base`: the gateway's address, as the client called it. `holder`: the endpoint that holds the
    device, so that a top-up would be refused now and is not advised. `may_top_up`: so may the token
    of the request.
    """
    # Safe inside shell quotes: host and stage are validated, the name is from the configuration.
    minutes = route.suggested_minutes
    url = f"{base}/endpoints/{route.name}/top-ups"
    call = {
        "method": "POST",
        "url": url,
        "body": {"minutes": minutes},
        # No double quotes and no backslash: clients show this inside JSON and inside quotes.
        "curl": f"curl '{url}' -H 'Authorization: '$TOKEN -d minutes={minutes:g}",
    }
    price = route.price_per_hour
    cost = ""
    if price is not None:
        sum_ = dollars_from(units_of(timedelta(minutes=minutes), price))
        cost = f" ({about(sum_)} at {written(price)} an hour)"
    press = f"{minutes:g} minutes{cost}"
    facts: dict[str, Any] = {
        "endpoint": route.name,
        "expires_at": None if view is None or view.expires_at == NEVER else view.expires_at,
        "price_per_hour": price,
    }
    if holder is None:
        by = "" if may_top_up else ", with a token that has the scope 'top-up' (yours has not)"
        return MeterClosedError(
            # The call at the end: nothing behind it is copied with it.
            f"The meter of {route.name!r} holds no time. Add {press}{by}, then send this request "
            f"again: {call['curl']}",
            **facts,
            top_up=call,
        )
    return MeterClosedError(
        f"The meter of {route.name!r} holds no time, and {route.device} is held by "
        f"{holder.name!r} until {holder.expires_at:%Y-%m-%d %H:%M:%S} UTC: a top-up would be "
        f"refused now. Wait until then, or eject {holder.name!r}. After that add "
        f"{press}, and send this request again.",
        **facts,
        top_up=None,
        device=route.device,
        held_by=holder.name,
        held_until=holder.expires_at,
    )


def not_serving(
    route: Route,
    view: View | None,
    now: datetime,
    *,
    held: bool = True,
    usual_start: timedelta | None = None,
) -> NotServingError:
    """Return a 503 with the reason, and with `Retry-After` if a retry can succeed.

    `held`: this deployment holds requests that ask for it. `usual_start`: the usual duration of a
    start, if it is known.
    """
    if view is None:
        return NotServingError(
            f"The gateway has just started and has not checked {route.name!r} yet.",
            status=Status.STARTING.value,
            retry_after=1,
        )
    reason = view.reason.rstrip(".") or "no reason is known"
    if view.status is Status.FAILED:
        detail = f"{route.name!r} failed: {reason}."
    else:
        detail = f"{route.name!r} is {_PLAIN.get(view.status, view.status.value)}: {reason}."
    waits = held and view.status is not Status.FAILED
    longest = route.limits.max_wait_seconds
    advice = f" With `Prefer: wait={longest}` a request waits for it that long." if waits else ""
    return NotServingError(
        detail + advice,
        status=view.status.value,
        retry_after=_retry_after(view, now, usual_start),
    )


def _retry_after(view: View, now: datetime, usual_start: timedelta | None) -> int | None:
    """Return the seconds after which a retry may succeed; None if it cannot."""
    left = 0.0
    if view.retry_at is not None:
        left = max(1.0, (view.retry_at - now).total_seconds())
    elif view.status is Status.FAILED:
        return None
    elif usual_start is not None and view.status is not Status.RUNNING:
        left = (usual_start - (now - (view.started_at or now))).total_seconds()
    return min(math.ceil(left) if left > 0 else RETRY_SECONDS, LONGEST_RETRY_SECONDS)


_PLAIN = {Status.RUNNING: "about to serve", Status.STOPPED: "about to start"}


def too_many_waiting(route: Route, view: View | None) -> NotServingError:
    """Return a 503: as many requests as allowed are held for this endpoint."""
    return NotServingError(
        f"{route.limits.max_waiting} requests are waiting for {route.name!r}, which is the limit.",
        status=(view.status if view is not None else Status.STARTING).value,
        retry_after=RETRY_SECONDS,
    )


def too_many_in_flight(route: Route) -> TooManyInFlightError:
    """Return a 429: the endpoint answers as many requests as it may, or this token its share."""
    return TooManyInFlightError(
        f"{route.name!r} answers at most {route.limits.max_in_flight} requests at once, shared "
        "fairly among the tokens that use it; now there is no place for this one. Send it again, "
        "or with `Prefer: wait=60` to have it wait for a place.",
        limit=route.limits.max_in_flight,
    )


def place_taken(route: Route) -> TooManyInFlightError:
    """Return a 429: a held request of the token with most of them made room for another token's."""
    return TooManyInFlightError(
        f"{route.limits.max_waiting} requests may wait for {route.name!r}, and another token needs "
        "one of the places: this token has more of them than its share. Send the request again.",
        limit=route.limits.max_waiting,
    )


def method_not_allowed() -> Refusal:
    """Return a 405: prompts are sent with POST."""
    return _refusal(
        405,
        "method_not_allowed",
        "Method not allowed",
        "Send a prompt with POST.",
        headers={"Allow": "POST"},
    )


def method_not_forwarded() -> Refusal:
    """Return a 405: a method that is never sent on to a model server."""
    return _refusal(
        405,
        "method_not_allowed",
        "Method not allowed",
        "TRACE and CONNECT are not forwarded to a model server.",
        headers={"Allow": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"},
    )


def upload_stalled(seconds: float) -> UploadStalledError:
    """Return a 408: the client stopped sending its body."""
    return UploadStalledError(f"No more of the request's body arrived for {seconds:g} seconds.")


def upload_not_taken(seconds: float) -> UpstreamTimeoutError:
    """Return a 504: the model server stopped reading the body."""
    return UpstreamTimeoutError(
        f"The model server stopped reading the body for {seconds:g} seconds."
    )


def upload_too_slow(_seconds: float) -> UploadStalledError:
    """Return a 408: the body comes, but too slowly."""
    return UploadStalledError(
        "The request's body arrived too slowly. Send at least 1,000 bytes a second."
    )


def no_connection(seconds: float) -> UpstreamTimeoutError:
    """Return a 504: the connection to the model server was neither accepted nor refused."""
    return UpstreamTimeoutError(
        f"The model server accepted no connection within {seconds:g} seconds."
    )


def no_answer(seconds: float) -> UpstreamTimeoutError:
    """Return a 504: the model server has the request and does not answer."""
    return UpstreamTimeoutError(
        f"The model server did not begin to answer within {seconds:g} seconds."
    )


def answer_stalled(seconds: float) -> UpstreamTimeoutError:
    """Return the error to log when an answer that stalled on either side was cut off."""
    return UpstreamTimeoutError(f"The answer stalled for {seconds:g} seconds.")


def head_stalled(seconds: float) -> Refusal:
    """Return a 408: the client did not finish a request's head."""
    return _refusal(
        408,
        "head_stalled",
        "The headers did not arrive",
        f"A request's line and headers must arrive within {seconds:g} seconds.",
    )


def malformed() -> Refusal:
    """Return a 400: this cannot be parsed as a request."""
    return _refusal(
        400,
        "invalid_request",
        "The request is not valid",
        "This is not a well-formed HTTP/1.1 request.",
    )


def head_too_large(limit: int) -> Refusal:
    """Return a 431: the head is larger than common model servers accept."""
    return _refusal(
        431,
        "headers_too_large",
        "Headers too large",
        f"A request's line and headers may have at most {limit:,} bytes together.",
        limit_bytes=limit,
    )


def misdirected() -> Refusal:
    """Return a 421: without a valid token, under a name that is not the gateway's."""
    return _refusal(
        421,
        "unknown_host",
        "Not the host that was called",
        "Without a valid token the gateway answers to its own names only. Send a token, or add "
        "this request's Host to allowed_hosts in the [gateway] section of the configuration.",
    )


def origin_not_allowed() -> Refusal:
    """Return a 403: a browser asks for a page of another origin, which is not allowed."""
    return _refusal(
        403,
        "origin_not_allowed",
        "The page's origin is not allowed",
        "Pages of this origin may not use the gateway. Add the origin, as it stands in this "
        "request, to allow_origins in the [gateway] section of the configuration.",
    )


def too_many_connections() -> Refusal:
    """Return a 503: every connection that may be open is, and each is being answered."""
    return _refusal(
        503,
        "too_many_connections",
        "Too many connections",
        "As many connections as allowed are open, and each has a request. Try again in a moment.",
        headers={"Retry-After": "1"},
    )


def no_upgrade() -> Refusal:
    """Return a 501: no WebSocket and no HTTP/2 upgrade on this port."""
    return _refusal(
        501,
        "upgrade_not_supported",
        "No protocol upgrade here",
        "The gateway speaks HTTP/1.1 to model servers. Send the request without Upgrade; answers "
        "are streamed as they arrive.",
    )


def unknown_coding() -> Refusal:
    """Return a 501: the body has an unsupported transfer coding."""
    return _refusal(
        501,
        "transfer_coding_not_supported",
        "Transfer coding not supported",
        "Send the body with Content-Length or with `Transfer-Encoding: chunked`.",
    )


def _refusal(status: int, code: str, title: str, detail: str, **parts: Any) -> Refusal:
    return Refusal(problem(status, code, title, detail, **parts))
