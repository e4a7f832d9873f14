"""The model server as an ASGI application.

``GET /ping`` and ``POST /invocations`` are SageMaker's container contract; below ``/v1`` it speaks
OpenAI's: completions, chat completions, and the list of its one model.

Knows HTTP and the engine's jobs, neither how text is generated nor how answers are written. No
framework: importing one takes longer than loading the shipped model. Texts that are known at the
end only (beams, the best of several samples) are streamed in one piece.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from parkmeter.model_server.batch_queue import Job, Outcome, QueueFullError, Text
from parkmeter.model_server.checks import PayloadError
from parkmeter.model_server.decoding import plan
from parkmeter.model_server.engine import MAX_PROMPT_TOKENS, Engine, PromptTooLongError
from parkmeter.model_server.errors import Problem
from parkmeter.model_server.jumpstart import TEXT, jumpstart_reply
from parkmeter.model_server.openai_payload import read_chat, read_completion
from parkmeter.model_server.openai_reply import OpenAIReply, model_list, model_object
from parkmeter.model_server.reply import Reply, to_json

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY_BYTES = 1_048_576
ROUTES = {
    "/ping": ("GET", "HEAD"),
    "/invocations": ("POST",),
    "/v1/completions": ("POST",),
    "/v1/chat/completions": ("POST",),
    "/v1/models": ("GET", "HEAD"),
}
MODEL = "/v1/models/"
JSON = "application/json"
# The default of `curl -d`; the seed's gateway, too, treated every body as JSON.
TREATED_AS_JSON = ("", JSON, "application/x-www-form-urlencoded")


class _RefusedError(Exception):
    """Raised to answer the request with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class App:
    """The ASGI application for one engine, whose model has the id `model`."""

    def __init__(self, engine: Engine, model: str = "demo") -> None:
        self._engine = engine
        self._model = model
        self._created = int(time.time())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            _check_route(scope["method"], path := scope["path"])
            if path == "/ping":
                await _respond(send, 200, [], b"")
            elif path.startswith("/v1/models"):
                await self._show_models(path, send)
            else:
                await self._generate(scope, receive, send)
        except _RefusedError as refused:
            problem = refused.problem
            await _respond(send, problem.status, problem.headers(), problem.body())

    async def _show_models(self, path: str, send: Send) -> None:
        if path == MODEL.rstrip("/"):
            document = model_list(self._model, self._created)
        elif path == MODEL + self._model:
            document = model_object(self._model, self._created)
        else:
            detail = f"The model here is {self._model}."
            raise _RefusedError(Problem(404, "model_not_found", detail, field="model"))
        await _respond(send, 200, [(b"content-type", b"application/json")], to_json(document))

    async def _generate(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        content_type = content_type.partition(";")[0].strip().lower()
        accept = headers.get(b"accept", b"").decode("latin-1").lower().replace(" ", "")
        _check_type(scope["path"], content_type)
        body = await _body(headers, receive)
        if body is None:
            return
        try:
            reply = self._read(scope["path"], body, content_type, accept)
        except PayloadError as error:
            problem = Problem(400, "invalid_payload", error.detail, field=error.field)
            raise _RefusedError(problem) from error
        if reply.streams:
            await self._stream(reply, receive, send)
        else:
            await self._whole(reply, receive, send)

    def _read(self, path: str, body: bytes, content_type: str, accept: str) -> Reply:
        match path:
            case "/v1/completions":
                return OpenAIReply(read_completion(body), self._model, chat=False)
            case "/v1/chat/completions":
                return OpenAIReply(read_chat(body), self._model, chat=True)
            case _:
                return jumpstart_reply(body, content_type, accept)

    async def _whole(self, reply: Reply, receive: Receive, send: Send) -> None:
        done: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

        def settle(outcome: Outcome | None) -> None:
            if not done.done():
                done.set_result(outcome)

        job = Job(plan(reply.payload), on_done=settle)
        watch = self._submit(job, receive, gone=lambda: settle(None))
        try:
            outcome = await done
        finally:
            watch.cancel()
        if outcome is not None:
            body = reply.body(_texts(outcome, reply))
            await _respond(send, 200, [(b"content-type", b"application/json")], body)

    async def _stream(self, reply: Reply, receive: Receive, send: Send) -> None:
        events: asyncio.Queue[tuple[int, str] | Outcome | None] = asyncio.Queue()
        job = Job(
            plan(reply.payload),
            on_done=events.put_nowait,
            on_piece=lambda index, piece: events.put_nowait((index, piece)),
        )
        watch = self._submit(job, receive, gone=lambda: events.put_nowait(None))
        try:
            event = await events.get()
            if isinstance(event, Exception):
                # Nothing is sent yet, so the status can still report it.
                raise _RefusedError(_problem(event, reply))
            if event is None:
                return
            await send(_STREAM_START)
            sent = [""] * job.plan.texts
            data = reply.opening()
            while isinstance(event, tuple):
                index, piece = event
                sent[index] += piece
                data += reply.piece(index, piece)
                # Pieces that arrive together are sent together: sending is expensive.
                if events.empty():
                    await send(_chunk(data))
                    data = b""
                event = await events.get()
            if event is not None:
                await send(_chunk(data + _last_events(event, sent, reply)))
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
    allowed = ROUTES.get("/v1/models" if path.startswith(MODEL) else path)
    if allowed is None:
        detail = (
            "The embedded model does not serve this path. It serves POST /v1/chat/completions, "
            "POST /v1/completions, GET /v1/models, POST /invocations and GET /ping."
        )
        raise _RefusedError(Problem(404, "not_found", detail))
    if method not in allowed:
        allow = ", ".join(allowed)
        problem = Problem(405, "method_not_allowed", f"{path} takes {allow}.", allow=allow)
        raise _RefusedError(problem)


def _check_type(path: str, content_type: str) -> None:
    text = path == "/invocations"
    if content_type in TREATED_AS_JSON or (text and content_type == TEXT):
        return
    types = f"{JSON} or {TEXT}" if text else JSON
    detail = f"The content type must be {types}; got {content_type}."
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


def _texts(outcome: Outcome, reply: Reply) -> list[Text]:
    if isinstance(outcome, Exception):
        raise _RefusedError(_problem(outcome, reply))
    return outcome


def _problem(error: Exception, reply: Reply) -> Problem:
    if isinstance(error, PromptTooLongError):
        several = len(reply.payload.text_inputs) > 1 or reply.prompts == "text_inputs"
        name = f"{reply.prompts}[{error.index}]" if several else reply.prompts
        detail = f"{name} has {error.tokens} tokens; at most {MAX_PROMPT_TOKENS} are allowed."
        return Problem(400, "invalid_payload", detail, field=reply.prompts)
    return Problem(500, "generation_failed", "The model failed; see the server's log.")


def _last_events(outcome: Outcome, sent: list[str], reply: Reply) -> bytes:
    """Return the end of a stream: withheld text and the end of the answer, or the error."""
    if isinstance(outcome, Exception):
        return reply.failure(_problem(outcome, reply))
    rest = b"".join(
        reply.piece(index, text.text[len(sent[index]) :])
        for index, text in enumerate(outcome)
        if len(text.text) > len(sent[index])
    )
    return rest + reply.closing(outcome)


def _chunk(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


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
