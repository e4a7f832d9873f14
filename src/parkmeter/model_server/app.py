"""SageMaker's container contract as an ASGI application: ``GET /ping``, ``POST /invocations``.

Knows HTTP and the engine's jobs, not how text is generated. No framework: importing one takes
longer than loading the shipped model.

* Bodies: ``application/json`` is JumpStart's payload, answered ``{"generated_texts": [...]}``,
  always a flat list: the texts of the first prompt, then those of the second.
  ``application/x-text`` is the prompt itself, answered ``{"generated_text": "..."}``. A body
  without a content type, or with the default one of ``curl -d``, is treated as JSON.
* ``Accept: ...;verbose`` adds ``details``: per text ``prompt_tokens``, ``tokens`` and ``finish``
  ("stop", "length" or "time").
* ``Accept: text/event-stream`` streams: one ``data: {"text": "..."}`` per piece, with ``"index"``
  if there are several texts, and finally ``data: {"generated_texts": [...]}``. The pieces of a
  text add up to it. Texts that are known at the end only (beams, the best of several samples)
  come in one piece. A later error is ``event: error`` with the problem as its data.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parkmeter.model_server.batch_queue import Job, Outcome, QueueFullError, Text
from parkmeter.model_server.decoding import plan
from parkmeter.model_server.engine import MAX_PROMPT_TOKENS, Engine, PromptTooLongError
from parkmeter.model_server.errors import Problem
from parkmeter.model_server.payload import Payload, PayloadError, parse_json, parse_text

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY_BYTES = 1_048_576
ROUTES = {"/ping": ("GET", "HEAD"), "/invocations": ("POST",)}
JSON = "application/json"
TEXT = "application/x-text"
EVENTS = "text/event-stream"
# The default of `curl -d`; the seed's gateway, too, treated every body as JSON.
TREATED_AS_JSON = ("", JSON, "application/x-www-form-urlencoded")


class _RefusedError(Exception):
    """Raised to answer the request with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Answer:
    """The form of the answer that the client requested."""

    single: bool
    verbose: bool

    def body(self, texts: Sequence[Text], *, streamed: bool = False) -> bytes:
        document: dict[str, Any] = (
            {"generated_text": texts[0].text}
            if self.single and not streamed
            else {"generated_texts": [text.text for text in texts]}
        )
        if self.verbose:
            document["details"] = [
                {
                    "prompt_tokens": text.prompt_tokens,
                    "tokens": text.tokens,
                    "finish": text.finish,
                }
                for text in texts
            ]
        return _json(document)


class App:
    """The ASGI application for one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            _check_route(scope["method"], scope["path"])
            if scope["path"] == "/ping":
                await _respond(send, 200, [], b"")
            else:
                await self._invoke(scope, receive, send)
        except _RefusedError as refused:
            problem = refused.problem
            await _respond(send, problem.status, problem.headers(), problem.body())

    async def _invoke(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        content_type = content_type.partition(";")[0].strip().lower()
        accept = headers.get(b"accept", b"").decode("latin-1").lower().replace(" ", "")
        parse = _parser(content_type)
        body = await _body(headers, receive)
        if body is None:
            return
        try:
            payload = parse(body)
        except PayloadError as error:
            problem = Problem(400, "invalid_payload", error.detail, field=error.field)
            raise _RefusedError(problem) from error
        answer = _Answer(single=content_type == TEXT, verbose=";verbose" in accept)
        if EVENTS in accept:
            await self._stream(payload, answer, receive, send)
        else:
            await self._whole(payload, answer, receive, send)

    async def _whole(self, payload: Payload, answer: _Answer, receive: Receive, send: Send) -> None:
        done: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

        def settle(outcome: Outcome | None) -> None:
            if not done.done():
                done.set_result(outcome)

        job = Job(plan(payload), on_done=settle)
        watch = self._submit(job, receive, gone=lambda: settle(None))
        try:
            outcome = await done
        finally:
            watch.cancel()
        if outcome is not None:
            body = answer.body(_texts(outcome)) + b"\n"
            await _respond(send, 200, [(b"content-type", b"application/json")], body)

    async def _stream(
        self, payload: Payload, answer: _Answer, receive: Receive, send: Send
    ) -> None:
        events: asyncio.Queue[tuple[int, str] | Outcome | None] = asyncio.Queue()
        job = Job(
            plan(payload),
            on_done=events.put_nowait,
            on_piece=lambda index, piece: events.put_nowait((index, piece)),
        )
        watch = self._submit(job, receive, gone=lambda: events.put_nowait(None))
        try:
            event = await events.get()
            if isinstance(event, Exception):
                # Nothing is sent yet, so the status can still report it.
                raise _RefusedError(_problem(event))
            if event is None:
                return
            await send(_STREAM_START)
            sent = [""] * job.plan.texts
            data = b""
            while isinstance(event, tuple):
                index, piece = event
                sent[index] += piece
                data += _piece(index, piece, of=len(sent))
                # Pieces that arrive together are sent together: sending is expensive.
                if events.empty():
                    await send(_chunk(data))
                    data = b""
                event = await events.get()
            if event is not None:
                await send(_chunk(data + _last_events(event, sent, answer)))
                await send({"type": "http.response.body"})
        finally:
            watch.cancel()

    def _submit(
        self, job: Job, receive: Receive, gone: Callable[[], None]
    ) -> asyncio.Task[Message]:
        """Submit `job`; cancel it and call `gone` when the client disconnects."""
        try:
            self._engine.submit(job)
        except QueueFullError as error:
            problem = Problem(
                503,
                "overloaded",
                "Too many texts are waiting; retry later.",
                retry_seconds=self._engine.retry_seconds(),
            )
            raise _RefusedError(problem) from error

        def disconnected(task: asyncio.Task[Message]) -> None:
            if not task.cancelled():
                job.cancelled = True
                gone()

        # The body is read: the next message can only be the disconnect.
        watch = asyncio.ensure_future(receive())
        watch.add_done_callback(disconnected)
        return watch


def _check_route(method: str, path: str) -> None:
    allowed = ROUTES.get(path)
    if allowed is None:
        detail = "The routes are GET /ping and POST /invocations."
        raise _RefusedError(Problem(404, "not_found", detail))
    if method not in allowed:
        allow = ", ".join(allowed)
        problem = Problem(405, "method_not_allowed", f"{path} takes {allow}.", allow=allow)
        raise _RefusedError(problem)


def _parser(content_type: str) -> Callable[[bytes], Payload]:
    if content_type in TREATED_AS_JSON:
        return parse_json
    if content_type == TEXT:
        return parse_text
    detail = f"The content type must be {JSON} or {TEXT}; got {content_type}."
    raise _RefusedError(Problem(415, "unsupported_content_type", detail))


async def _body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes | None:
    """Return the request's body; None if the client disconnects before its end."""
    if int(headers.get(b"content-length", b"0")) > MAX_BODY_BYTES:
        raise _RefusedError(_TOO_LARGE)
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _RefusedError(_TOO_LARGE)
        if not message.get("more_body", False):
            return body


def _texts(outcome: Outcome) -> list[Text]:
    if isinstance(outcome, Exception):
        raise _RefusedError(_problem(outcome))
    return outcome


def _problem(error: Exception) -> Problem:
    if isinstance(error, PromptTooLongError):
        detail = (
            f"text_inputs[{error.index}] has {error.tokens} tokens; "
            f"at most {MAX_PROMPT_TOKENS} are allowed."
        )
        return Problem(400, "invalid_payload", detail, field="text_inputs")
    return Problem(500, "generation_failed", "The model failed; see the server's log.")


def _last_events(outcome: Outcome, sent: Sequence[str], answer: _Answer) -> bytes:
    """Return the end of a stream: withheld text and the whole answer, or the error."""
    if isinstance(outcome, Exception):
        return b"event: error\ndata: " + _problem(outcome).body() + b"\n\n"
    rest = b"".join(
        _piece(index, text.text[len(sent[index]) :], of=len(sent))
        for index, text in enumerate(outcome)
        if len(text.text) > len(sent[index])
    )
    return rest + _event(answer.body(outcome, streamed=True))


def _piece(index: int, text: str, of: int) -> bytes:
    return _event(_json({"text": text} if of == 1 else {"index": index, "text": text}))


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def _chunk(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


async def _respond(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_TOO_LARGE = Problem(413, "body_too_large", f"The body may be at most {MAX_BODY_BYTES} bytes.")
_STREAM_START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
    ],
}
