"""uvicorn's HTTP protocol, where it speaks for itself: our words, and bounds on heads and waiting.

What is no HTTP never reaches an application, so its refusal is written here, as a problem. Nor does
a request whose head is not complete: nobody else could end the wait for it.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from parkmeter.web.fields import HEAD_LIMIT
from parkmeter.web.problems import Problem
from parkmeter.web.refusals import head_stalled, head_too_large, malformed

_HEAD_WITHIN = 30.0
"""Seconds for a whole head: from the connection to its first byte, and from that to its last. Ample
on the slowest line, and nobody needs a token to make us wait so long."""


class GatewayProtocol(HttpToolsProtocol):
    """Refuses malformed requests with a problem, heads over `HEAD_LIMIT`, and heads without end.

    Between two requests uvicorn's keep-alive counts, also for what a client sends that nobody
    waits for any more.
    """

    _head = _unparsed = 0
    _in_head = _new_head = False
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See uvicorn."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See uvicorn."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See uvicorn."""
        self._new_head = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            if self._new_head:
                self._expect_head()
                return
            # Not only header by header: one without an end is never complete.
            self._unparsed += len(data)
            if self._unparsed > HEAD_LIMIT:
                self._refuse(head_too_large(HEAD_LIMIT).problem)
        elif self._answered():
            # The rest of a body that was answered already, or empty lines: uvicorn has stopped its
            # timer at the first byte and would never start it again.
            self._rest_again()

    def on_message_begin(self) -> None:
        """See uvicorn."""
        self._head = self._unparsed = 0
        self._in_head = self._new_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """See uvicorn."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See uvicorn."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """See uvicorn."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """See uvicorn; `msg` says nothing a client could use."""
        del msg
        too_large = self._head > HEAD_LIMIT
        self._refuse((head_too_large(HEAD_LIMIT) if too_large else malformed()).problem)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_LIMIT:
            raise _HeadTooLargeError

    def _expect_head(self) -> None:
        self._stop_waiting()
        self._late = self.loop.call_later(_HEAD_WITHIN, self._head_is_late)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _head_is_late(self) -> None:
        self._late = None
        if self.transport.is_closing():
            return
        if self._answered() is False:
            # It came while the answer before it is still on its way, and nothing is read from the
            # client meanwhile: its time begins anew.
            self._expect_head()
        elif self._in_head:
            self._refuse(head_stalled(_HEAD_WITHIN).problem)
        else:
            self.transport.close()

    def _answered(self) -> bool | None:
        """Whether the last request's answer is complete; None if there was no request yet."""
        return getattr(self.cycle, "response_complete", None)

    def _rest_again(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _refuse(self, found: Problem) -> None:
        if not self.transport.is_closing():
            self.transport.write(_answer(found))
            self.transport.close()


class _HeadTooLargeError(Exception):
    """Ends the parsing; the parser reports it as an error of its own."""


def _answer(found: Problem) -> bytes:
    lines = [f"HTTP/1.1 {found.status} {HTTPStatus(found.status).phrase}"]
    fields: dict[str, Any] = {**found.headers, "Content-Length": len(found.body)}
    fields["Connection"] = "close"
    lines += [f"{name.lower()}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + found.body
