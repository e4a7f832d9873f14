"""RFC 9457 problems: the one mapping from a ParkmeterError to an HTTP answer."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from parkmeter.core.time_text import iso
from parkmeter.errors import ParkmeterError, TokenMissingError, TooLargeError, UploadStalledError
from parkmeter.web.headers import STATUS_LINES

CONTENT_TYPE = "application/problem+json"
TYPE_BASE = "https://parkmeter.dev/problems/"
"""Prefix of a problem type: a stable identifier, not a page."""

_STATUS = {
    "invalid_request": 400,
    "token_missing": 401,
    "meter_closed": 402,
    "token_refused": 403,
    "scope_missing": 403,
    "unknown_endpoint": 404,
    "model_not_found": 404,
    "model_not_named": 404,
    "path_not_served": 404,
    "async_not_deployed": 404,
    "unknown_prompt": 404,
    "unknown_token": 404,
    "link_unknown": 404,
    "not_available_here": 404,
    "upload_stalled": 408,
    "key_reused": 409,
    "link_used": 409,
    "link_outdated": 409,
    "expiry_moved": 409,
    "name_taken": 409,
    "last_admin": 409,
    "token_fixed": 409,
    "device_busy": 409,
    "model_ambiguous": 409,
    "endpoint_removed": 410,
    "link_late": 410,
    "too_large": 413,
    "limit_exceeded": 422,
    "price_unknown": 422,
    "over_budget": 429,
    "too_many_changes": 429,
    "too_many_in_flight": 429,
    "too_many_bodies": 429,
    "upstream_unreachable": 502,
    "model_failed": 502,
    "driver_failed": 502,
    "not_serving": 503,
    "state_lost": 503,
    "store_busy": 503,
    "endpoint_unreachable": 503,
    "store_damaged": 503,
    "key_busy": 503,
    "clock_stopped": 503,
    "unhealthy": 503,
    "too_many_listeners": 503,
    "gateway_busy": 503,
    "upstream_timeout": 504,
}
"""By the code of each error."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem, ready to send."""

    status: int
    body: bytes
    headers: dict[str, str]


def problem_of(error: ParkmeterError) -> Problem:
    """Return the answer for an error. One missing in the table is our bug: 500, without detail."""
    status = _STATUS.get(error.code, 500)
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, TokenMissingError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, UploadStalledError | TooLargeError):
        headers["Connection"] = "close"  # the rest of the body would have to be waited for
    if status == 500:  # noqa: PLR2004
        return problem(
            status, "internal", "Internal error", "Unexpected error; see the gateway's log."
        )
    return problem(status, error.code, error.title, error.detail, headers=headers, **error.data)


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **data: Any,
) -> Problem:
    """Return a problem made of these parts."""
    members = {
        "type": type_of(code),
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **data,
    }
    body = (
        json.dumps(members, default=_plain, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    )
    return Problem(status, body, {"Content-Type": CONTENT_TYPE, **(headers or {})})


def problem_answer(
    problem: Problem, lines: bytes = b"", *, keep: bool, headless: bool = False
) -> bytes:
    """Return a problem as a complete HTTP/1.1 answer, with further header `lines`.

    Without `keep` it closes the connection. `headless`: without the body, for HEAD.
    """
    fields = {**problem.headers, "Content-Length": str(len(problem.body))}
    if not keep:
        fields["Connection"] = "close"
    head = "".join(f"{name.lower()}: {value}\r\n" for name, value in fields.items())
    return b"".join(
        (
            STATUS_LINES[problem.status],
            head.encode(),
            lines,
            b"\r\n",
            b"" if headless else problem.body,
        )
    )


def type_of(code: str) -> str:
    """Return the problem type of a code: a stable identifier."""
    return TYPE_BASE + code.replace("_", "-")


def _plain(value: object) -> object:
    match value:
        case datetime():
            return iso(value)
        case Decimal():
            return float(value)
        case _:
            raise TypeError(type(value).__name__)
