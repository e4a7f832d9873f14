"""Errors as ``application/problem+json`` (RFC 9457). Knows nothing of how they came about."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that is not a text.

    `code` is stable and meant for programs, `detail` for people; `field` names the payload's key
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
            # The code says which problem it is; no page describes one further.
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.field is not None:
            document["field"] = self.field
        return json.dumps(document).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that belong to it, without its length."""
        headers = [(b"content-type", b"application/problem+json")]
        if self.retry_seconds is not None:
            headers.append((b"retry-after", str(self.retry_seconds).encode()))
        if self.allow is not None:
            headers.append((b"allow", self.allow.encode()))
        return headers
