"""uvicorn's HTTP protocol, where it speaks for itself: our words and a bound on the head.

What is no HTTP never reaches an application, so its refusal is written here, as a problem.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from parkmeter.web.problems import Problem, problem

_LARGEST_HEAD = 64 * 1024
"""Bytes. Without a bound a client could make us keep headers without end."""


class GatewayProtocol(HttpToolsProtocol):
    """Refuses malformed requests with a problem, and heads over `_LARGEST_HEAD`."""

    _head = 0

    def on_message_begin(self) -> None:
        """See uvicorn."""
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """See uvicorn."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See uvicorn."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        """See uvicorn; `msg` says nothing a client could use."""
        del msg
        if self._head > _LARGEST_HEAD:
            detail = f"A request's line and headers may have {_LARGEST_HEAD:,} bytes together."
            found = problem(431, "head_too_large", "Headers too large", detail)
        else:
            detail = "This is not a well-formed HTTP/1.1 request."
            found = problem(400, "invalid_request", "The request is not valid", detail)
        if not self.transport.is_closing():
            self.transport.write(_answer(found))
            self.transport.close()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > _LARGEST_HEAD:
            raise _HeadTooLargeError


class _HeadTooLargeError(Exception):
    """Ends the parsing; the parser reports it as an error of its own."""


def _answer(found: Problem) -> bytes:
    lines = [f"HTTP/1.1 {found.status} {_REASON[found.status]}"]
    fields: dict[str, Any] = {**found.headers, "Content-Length": len(found.body)}
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + found.body


_REASON = {400: "Bad Request", 431: "Request Header Fields Too Large"}
