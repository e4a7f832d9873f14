"""Errors of the model server: failed loads, and refusals as ``application/problem+json``."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

_SERVERS_FAULT = 500


class CannotLoadError(Exception):
    """Raised when a model cannot be loaded; the message says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error response (RFC 9457).

    `code` is stable and meant for programs, `detail` for people; `field` is the key of the payload
    at fault; `retry_seconds` goes into Retry-After.
    """

    status: int
    code: str
    detail: str
    field: str | None = None
    retry_seconds: int | None = None
    allow: str | None = None

    def body(self) -> bytes:
        """Return the document."""
        document: dict[str, Any] = {
            # The code identifies the problem; no page describes it further.
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            # What OpenAI's clients read, and boto3.
            "message": self.detail,
            "error": {
                "message": self.detail,
                "type": "invalid_request_error" if self.status < _SERVERS_FAULT else "server_error",
                "param": self.field,
                "code": self.code,
            },
        }
        if self.field is not None:
            document["field"] = self.field
        return json.dumps(document).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the response's headers, without its length."""
        headers = [(b"content-type", b"application/problem+json")]
        if self.retry_seconds is not None:
            headers.append((b"retry-after", str(self.retry_seconds).encode()))
        if self.allow is not None:
            headers.append((b"allow", self.allow.encode()))
        return headers
