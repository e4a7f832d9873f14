"""RFC 9457 problems: the one mapping from a ParkmeterError to an HTTP answer.

A problem also has the members that clients of model APIs show: `message` (AWS's SDKs), `error`
(OpenAI's), and for Anthropic's the form that theirs reads.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_never

from parkmeter.core.time_text import iso
from parkmeter.errors import ParkmeterError, TokenMissingError, TooLargeError, UploadStalledError
from parkmeter.web.dialect import Dialect
from parkmeter.web.headers import STATUS_LINES, Fields

CONTENT_TYPE = "application/problem+json"
TYPE_BASE = "urn:parkmeter:problem:"
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

_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Anthropic's names, whose clients compare them; those of OpenAI's clients only show them."""

_OTHERS_FORM = frozenset({"type", "message", "error"})
"""Members that Anthropic's clients read in another form, or not at all."""

_CLIENT_ERRORS, _LATE, _SERVER_ERRORS, _NOT_IMPLEMENTED = 400, 408, 500, 501

DO_NOT_RETRY = "X-Should-Retry"
"""Header by which OpenAI's and Anthropic's clients leave out their retries; else they send 409, 429
and every 5xx again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem: status, members of its JSON body, and headers, its Content-Type among them."""

    status: int
    members: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def body(self) -> bytes:
        """The JSON to send."""
        text = json.dumps(self.members, default=_plain, ensure_ascii=False)
        return text.encode("utf-8", "replace") + b"\n"

    def with_fields(self, fields: Fields) -> "Problem":
        """Return this problem with further header fields."""
        more = {name.decode(): value.decode("latin-1") for name, value in fields}
        return replace(self, headers={**self.headers, **more})

    def in_dialect(self, dialect: Dialect) -> "Problem":
        """Return the problem in the form that clients of this dialect read.

        Anthropic's client shows the whole body, so the sentence comes first and is not repeated
        as for others; with the request id.
        """
        match dialect:
            case Dialect.PLAIN | Dialect.OPENAI:
                return self
            case Dialect.ANTHROPIC:
                request_id = f"req_{os.urandom(12).hex()}"
                error = {name: self.members["error"][name] for name in ("type", "message")}
                others = {k: v for k, v in self.members.items() if k not in _OTHERS_FORM}
                return Problem(
                    self.status,
                    {"type": "error", "error": error, **others, "request_id": request_id},
                    {**self.headers, "Content-Type": "application/json", "request-id": request_id},
                )
            case _:
                assert_never(dialect)


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
        **messages(status, code, detail, data),
    }
    fields = {"Content-Type": CONTENT_TYPE, **(headers or {})}
    if "Retry-After" not in fields and (_is_final(status) or code == "not_serving"):
        fields[DO_NOT_RETRY] = "false"
    return Problem(status, members, fields)


def _is_final(status: int) -> bool:
    """Return whether a retry gets the same answer, until a person does something about it."""
    is_clients = _CLIENT_ERRORS <= status < _SERVER_ERRORS
    return (is_clients and status != _LATE) or status == _NOT_IMPLEMENTED


def messages(
    status: int, code: str, detail: str, data: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the members of a problem that repeat it for clients of model APIs.

    OpenAI's clients hand on `error` alone, so the error's `data` stands in it too.
    """
    data = data or {}
    error = {
        "message": detail,
        "type": _error_type(status),
        "code": code,
        "param": data.get("field"),
        **data,
    }
    return {"message": detail, "error": error}


def _error_type(status: int) -> str:
    other = "api_error" if status >= _SERVER_ERRORS else "invalid_request_error"
    return _ERROR_TYPES.get(status, other)


def problem_answer(
    problem: Problem, lines: bytes = b"", *, keep: bool, headless: bool = False
) -> bytes:
    """Return a problem as a complete HTTP/1.1 answer, with further header `lines`.

    Without `keep` it closes the connection. `headless`: without the body, for HEAD.
    """
    body = problem.body
    fields = {**problem.headers, "Content-Length": str(len(body))}
    if not keep:
        fields["Connection"] = "close"
    head = "".join(f"{name.lower()}: {value}\r\n" for name, value in fields.items())
    return b"".join(
        (
            STATUS_LINES[problem.status],
            head.encode(),
            lines,
            b"\r\n",
            b"" if headless else body,
        )
    )


def type_of(code: str) -> str:
    """Return the problem type of a code: a stable identifier."""
    return TYPE_BASE + code


def _plain(value: object) -> object:
    match value:
        case datetime():
            return iso(value)
        case Decimal():
            return float(value)
        case _:
            raise TypeError(type(value).__name__)
