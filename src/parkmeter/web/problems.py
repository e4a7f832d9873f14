"""RFC 9457 problems: the one mapping from a ParkmeterError to an HTTP answer."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from parkmeter import errors
from parkmeter.core.time_text import iso
from parkmeter.web.headers import STATUS_LINES

CONTENT_TYPE = "application/problem+json"
TYPE_BASE = "https://parkmeter.dev/problems/"
"""Prefix of a problem type: a stable identifier, not a page."""

_STATUS: dict[type[errors.ParkmeterError], int] = {
    errors.InvalidRequestError: 400,
    errors.TokenMissingError: 401,
    errors.MeterClosedError: 402,
    errors.TokenRefusedError: 403,
    errors.ScopeMissingError: 403,
    errors.UnknownEndpointError: 404,
    errors.PathNotServedError: 404,
    errors.AsyncNotDeployedError: 404,
    errors.UnknownPromptError: 404,
    errors.UnknownTokenError: 404,
    errors.LinkUnknownError: 404,
    errors.LogsElsewhereError: 404,
    errors.UploadStalledError: 408,
    errors.KeyReusedError: 409,
    errors.LinkUsedError: 409,
    errors.LinkOutdatedError: 409,
    errors.ExpiryMovedError: 409,
    errors.NameTakenError: 409,
    errors.LastAdminError: 409,
    errors.DeviceBusyError: 409,
    errors.EndpointRemovedError: 410,
    errors.LinkLateError: 410,
    errors.TooLargeError: 413,
    errors.LimitExceededError: 422,
    errors.PriceUnknownError: 422,
    errors.OverBudgetError: 429,
    errors.UpstreamError: 502,
    errors.ModelFailedError: 502,
    errors.DriverError: 502,
    errors.NotServingError: 503,
    errors.StoreBusyError: 503,
    errors.KeyBusyError: 503,
    errors.ClockStoppedError: 503,
    errors.TooManyListenersError: 503,
    errors.UpstreamTimeoutError: 504,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem, ready to send."""

    status: int
    body: bytes
    headers: dict[str, str]


def problem_of(error: errors.ParkmeterError) -> Problem:
    """Return the answer for an error. One missing in the table is our bug: 500, without detail."""
    status = _STATUS.get(type(error), 500)
    headers: dict[str, str] = {}
    match error:
        case errors.TokenMissingError():
            headers["WWW-Authenticate"] = "Bearer"
        case (
            errors.NotServingError(retry_after=int(seconds))
            | errors.KeyBusyError(retry_after=seconds)
        ):
            headers["Retry-After"] = str(seconds)
        case errors.StoreBusyError():
            headers["Retry-After"] = "1"
        case errors.TooManyListenersError():
            headers["Retry-After"] = "15"
        case errors.UploadStalledError() | errors.TooLargeError():
            headers["Connection"] = "close"  # or we would have to wait for the rest of the body
        case _:
            pass
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
