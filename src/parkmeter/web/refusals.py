"""What the data plane says when it does not forward: errors and problems with all a client needs.

Pure: from a view and a route to an error; nothing here sends anything.
"""

import math
from datetime import datetime, timedelta
from typing import Any

from parkmeter.core.meter import NEVER, Status
from parkmeter.core.money import about, dollars_from, units_of, written
from parkmeter.core.view import View
from parkmeter.errors import (
    MeterClosedError,
    NotServingError,
    UploadStalledError,
    UpstreamTimeoutError,
)
from parkmeter.web.problems import Problem, problem
from parkmeter.web.routes import Route

RETRY_SECONDS = 5
"""Told to a client whose endpoint is starting: nobody knows better, and a look costs little."""


class Refusal(Exception):  # noqa: N818 (an answer, not a fault)
    """Raised for what is wrong with HTTP itself and so has no place in the tree of errors."""

    def __init__(self, answer: Problem) -> None:
        super().__init__(answer.status)
        self.problem = answer


def meter_closed(route: Route, view: View | None, base: str) -> MeterClosedError:
    """402: the price, and the exact call, at our address `base`, that puts time on this meter."""
    # Quoted for a shell: host and prefix are checked text, the name is the configuration's.
    minutes = route.suggested_minutes
    url = f"{base}/endpoints/{route.name}/top-ups"
    call = {
        "method": "POST",
        "url": url,
        "body": {"minutes": minutes},
        # No double quotes: people copy this out of JSON, where they would be escaped.
        "curl": f"curl '{url}' -H 'Authorization: '$TOKEN -d minutes={minutes:g}",
    }
    price = route.price_per_hour
    cost = ""
    if price is not None:
        sum_ = dollars_from(units_of(timedelta(minutes=minutes), price))
        cost = f" ({about(sum_)} at {written(price)} an hour)"
    return MeterClosedError(
        f"The meter of {route.name!r} holds no time. Put {minutes:g} minutes on it{cost} "
        f"with POST {url}, then send this request again.",
        endpoint=route.name,
        expires_at=None if view is None or view.expires_at == NEVER else view.expires_at,
        price_per_hour=price,
        top_up=call,
    )


def not_serving(
    route: Route, view: View | None, now: datetime, *, held: bool = True
) -> NotServingError:
    """503: why it does not serve yet, and when to ask again if anything will happen by itself.

    `held`: requests that wish so are held until it serves.
    """
    if view is None:
        return NotServingError(
            f"The gateway has just started and does not know {route.name!r} yet.",
            status=Status.STARTING.value,
            retry_after=1,
        )
    retry_after: int | None = RETRY_SECONDS
    if view.retry_at is not None:
        retry_after = max(1, math.ceil((view.retry_at - now).total_seconds()))
    elif view.status is Status.FAILED:
        retry_after = None
    reason = view.reason.rstrip(".") or "no reason is known"
    if view.status is Status.FAILED:
        said = f"{route.name!r} failed: {reason}."
    else:
        said = f"{route.name!r} is {_PLAIN.get(view.status, view.status.value)}: {reason}."
    waits = held and view.status is not Status.FAILED
    advice = " With the header `Prefer: wait=60` the request waits for it." if waits else ""
    return NotServingError(
        said + advice,
        status=view.status.value,
        retry_after=retry_after,
    )


_PLAIN = {Status.RUNNING: "about to serve", Status.STOPPED: "about to start"}


def crowded(route: Route, view: View | None) -> NotServingError:
    """503: too many requests are held for this endpoint already."""
    return NotServingError(
        f"{route.limits.max_waiting} requests wait for {route.name!r} already; no more are held.",
        status=(view.status if view is not None else Status.STARTING).value,
        retry_after=RETRY_SECONDS,
    )


def method_not_allowed() -> Refusal:
    """405: prompts are posted."""
    return _refusal(
        405,
        "method_not_allowed",
        "Method not allowed",
        "Send a prompt with POST.",
        headers={"Allow": "POST"},
    )


def upload_stalled(seconds: float) -> UploadStalledError:
    """408: the client did not go on sending its body."""
    return UploadStalledError(f"Nothing of the request's body came for {seconds:g} seconds.")


def upload_not_taken(seconds: float) -> UpstreamTimeoutError:
    """504: the model server did not go on reading the body."""
    return UpstreamTimeoutError(
        f"The model server read nothing of the body for {seconds:g} seconds."
    )


def no_connection(seconds: float) -> UpstreamTimeoutError:
    """504: nobody at the model server's address took the connection, nor refused it."""
    return UpstreamTimeoutError(f"The model server took no connection within {seconds:g} seconds.")


def no_answer(seconds: float) -> UpstreamTimeoutError:
    """504: the model server has the request and says nothing."""
    return UpstreamTimeoutError(f"The model server began no answer within {seconds:g} seconds.")


def answer_stuck(seconds: float) -> UpstreamTimeoutError:
    """For the log: it did not go on, on either side, and was cut off."""
    return UpstreamTimeoutError(f"The answer stood still for {seconds:g} seconds.")


def head_stalled(seconds: float) -> Refusal:
    """408: the client began a request and did not go on."""
    return _refusal(
        408,
        "head_stalled",
        "The headers did not arrive",
        f"A request's line and headers must arrive within {seconds:g} seconds.",
    )


def malformed() -> Refusal:
    """400: nothing that can be read as a request."""
    return _refusal(
        400,
        "invalid_request",
        "The request is not valid",
        "This is not a well-formed HTTP/1.1 request.",
    )


def head_too_large(limit: int) -> Refusal:
    """431: a request's headers are larger than a model server is made to read."""
    return _refusal(
        431,
        "headers_too_large",
        "Headers too large",
        f"A request's line and headers may have at most {limit:,} bytes together.",
        limit_bytes=limit,
    )


def no_upgrade() -> Refusal:
    """501: neither WebSocket nor HTTP/2 on this port."""
    return _refusal(
        501,
        "upgrade_not_supported",
        "No protocol upgrade here",
        "The gateway speaks HTTP/1.1 to model servers. Send the request without Upgrade; answers "
        "are streamed as they arrive.",
    )


def unknown_coding() -> Refusal:
    """501: a body in a transfer coding nobody here can undo."""
    return _refusal(
        501,
        "transfer_coding_not_supported",
        "Transfer coding not supported",
        "Send the body with Content-Length or with `Transfer-Encoding: chunked`.",
    )


def _refusal(status: int, code: str, title: str, detail: str, **parts: Any) -> Refusal:
    return Refusal(problem(status, code, title, detail, **parts))
