"""One request that the application answers: ASGI between it and its client's connection.

It may not know routes, tokens, meters or model servers.
"""

import asyncio
import logging
import re
from typing import ClassVar
from urllib.parse import unquote

import httptools

from parkmeter.errors import ParkmeterError
from parkmeter.proxy.client_server import ClientServer
from parkmeter.proxy.client_side import ClientSide
from parkmeter.proxy.request_body import LAST_CHUNK, chunk
from parkmeter.proxy.request_head import RequestHead
from parkmeter.web.asgi import ABORT, Message
from parkmeter.web.dialect import dialect_at
from parkmeter.web.headers import BODILESS, STATUS_LINES
from parkmeter.web.problems import Problem, problem_answer, problem_of

_log = logging.getLogger(__name__)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_AHEAD = 65_536
"""Bytes of a body that are kept for an application that does not read them; then the client's
connection is read no further."""

_NO_NAME = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_NO_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class ApplicationCycle:
    """Implements `ClientRequest`: calls the application in a task, writes its messages as HTTP.

    The head of an answer is written with the first piece of its body, or by itself if that does not
    follow at once. What is left of a body that the answer precedes is not waited for, as it may
    never come: the connection ends with such an answer. So it does with one that breaks off, and
    for a client of HTTP/1.0 with every one: it can read neither chunks nor a kept connection.
    """

    TAKING_SECONDS: ClassVar[float] = 60.0
    """For a client to take some of an answer, which has no limit of its own."""

    __slots__ = (
        "_awaits_continue",
        "_bodiless",
        "_body",
        "_chunked",
        "_client",
        "_free",
        "_head",
        "_left",
        "_length",
        "_more_body",
        "_news",
        "_request",
        "_scope",
        "_server",
        "_started",
        "keep_alive",
        "response_complete",
    )

    def __init__(
        self,
        server: ClientServer,
        client: ClientSide,
        request: RequestHead,
        length: bytes | None,
        address: tuple[str, int] | None,
    ) -> None:
        """Build the scope; `length`, the Content-Length, and `address`, the client's, are part.

        Raises:
            httptools.HttpParserError, ValueError: the target is no path.

        """
        parsed = httptools.parse_url(request.url)
        if parsed.path is None:
            raise ValueError(request.url)
        path = parsed.path.decode("ascii")
        peer = request.peer
        headers = list(request.fields)
        if length is not None:
            headers.append((b"content-length", length))
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1" if request.http11 else "1.0",
            "server": peer.server,
            "client": address,
            "scheme": peer.scheme,
            "method": request.method,
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": parsed.path,
            "query_string": parsed.query or b"",
            "headers": headers,
            "extensions": {ABORT: self._abort},
        }
        self._server = server
        self._client = client
        self._request = request
        self.keep_alive = request.http11
        self.response_complete = False
        # The request's body
        self._awaits_continue = request.http11 and request.expects_continue
        self._body = bytearray()
        self._more_body = True
        self._news = asyncio.Event()
        """Set by what `receive` has not returned yet."""
        # The answer
        self._started = False
        self._head = b""
        """Not written yet."""
        self._length: int | None = None
        """Bytes of its body that are still to come, if they were declared."""
        self._chunked = self._bodiless = False
        self._free: asyncio.Event | None = None
        """Where the client does not read: set once it does."""
        self._left = False

    # ── ClientRequest ───────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """See `ClientRequest`."""
        self._client.timer.stop()
        task = asyncio.get_running_loop().create_task(self._run())
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def add(self, piece: bytes) -> None:
        """See `ClientRequest`."""
        self._awaits_continue = False
        if not self.response_complete:
            self._body += piece
            if len(self._body) > _AHEAD:
                self._client.pause()
            self._news.set()

    def end(self) -> None:
        """See `ClientRequest`."""
        self._awaits_continue = self._more_body = False
        self._news.set()

    def client_sent(self) -> None:
        """See `ClientRequest`; the application learns of each piece by itself."""

    def client_full(self) -> None:
        """See `ClientRequest`."""
        self._free = asyncio.Event()
        self._client.timer.restart(self.TAKING_SECONDS)

    def client_free(self) -> None:
        """See `ClientRequest`."""
        self._client.timer.stop()
        if self._free is not None:
            self._free.set()
            self._free = None

    def client_left(self) -> None:
        """See `ClientRequest`; the application goes on, and may find out."""
        self._left = self.response_complete = True
        self._news.set()
        if self._free is not None:
            self._free.set()

    def timed_out(self) -> None:
        """See `ClientRequest`: the client took nothing of the answer for too long."""
        self._abort()

    def cut(self, token_id: str) -> None:
        """See `ClientRequest`: this is no prompt."""

    def refuse(self, problem: Problem) -> None:
        """See `ClientRequest`."""
        if self.response_complete:
            return
        # An answer of unknown length would end with its connection: it has to be seen to break off.
        at_once = self._begun and not self._request.http11
        if not self._begun:
            path = self._request.location.path
            headless = self._request.method == "HEAD"
            answer = problem_answer(
                problem.in_dialect(dialect_at(path)), keep=False, headless=headless
            )
            self._client.write(answer)
        self.client_left()
        self._client.disconnect(at_once=at_once)

    # ── ASGI ────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        try:
            await self._server.application(self._scope, self._receive, self._send)
            if not self.response_complete:
                _log.error("the application left %s unanswered", self._scope["path"])
        except Exception as error:  # noqa: BLE001 (this task is never awaited)
            _log.error("the application failed at %s", self._scope["path"], exc_info=error)
        finally:
            self.refuse(problem_of(ParkmeterError("See the log.")))  # unless it is answered

    async def _receive(self) -> Message:
        if self._awaits_continue:
            self._awaits_continue = False
            self._client.write(_CONTINUE)
        if not self.response_complete:
            self._client.resume()
            await self._news.wait()
            self._news.clear()
        if self.response_complete:
            return {"type": "http.disconnect"}
        body = bytes(self._body)
        self._body.clear()
        return {"type": "http.request", "body": body, "more_body": self._more_body}

    async def _send(self, message: Message) -> None:
        if self._free is not None:
            await self._free.wait()
        if self._left:
            return
        match message["type"]:
            case "http.response.start" if not self._started:
                self._start(message)
            case "http.response.body" if self._started and not self.response_complete:
                self._send_piece(message.get("body", b""), more=message.get("more_body", False))
            case other:
                raise RuntimeError(f"{other} is out of turn")

    def _start(self, message: Message) -> None:
        self._awaits_continue = False  # it would stand in the middle of the answer
        status = message["status"]
        lines = [STATUS_LINES[status]]
        closing = self._more_body
        for name, value in message.get("headers", ()):
            name = name.lower()  # noqa: PLW2901
            if _NO_NAME.search(name) or _NO_VALUE.search(value):
                raise RuntimeError("a header has a byte that no header may have")
            if name == b"connection":
                closing = closing or b"close" in value.lower()
                continue
            if name == b"content-length":
                self._length = int(value)
            lines += name, b": ", value, b"\r\n"
        self._bodiless = self._request.method == "HEAD" or status in BODILESS
        if self._length is None and not self._bodiless:
            if self._request.http11:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                closing = True
        if closing:
            self.keep_alive = False
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        self._head = b"".join(lines)
        self._started = True
        asyncio.get_running_loop().call_soon(self._write, b"")

    def _send_piece(self, data: bytes, *, more: bool) -> None:
        if self._bodiless:
            data = b""
        elif self._chunked:
            data = (chunk(data) if data else b"") + (b"" if more else LAST_CHUNK)
        elif self._length is not None:
            self._length -= len(data)
            if self._length < 0 or (self._length and not more):
                raise RuntimeError("an answer has not the length that its head declared")
        self._write(data)
        if not more:
            self.response_complete = True
            self._news.set()
            self._client.answered(keep=self.keep_alive)

    def _write(self, data: bytes) -> None:
        """Write the head, if it is not written yet, and a piece of the body."""
        if not self._left and (data := self._head + data):
            self._head = b""
            self._client.write(data)

    @property
    def _begun(self) -> bool:
        """True once some of the answer was written."""
        return self._started and not self._head

    def _abort(self) -> None:
        """End the connection; what is not sent yet is dropped."""
        if not self._left:
            self.client_left()
            self._client.disconnect(at_once=True)
