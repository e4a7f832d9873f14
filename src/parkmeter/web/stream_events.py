"""Server-sent events of the gateway's own, in streams that are otherwise a model's. Pure.

Events before the model serves (`loading`), and the last one of a stream that ends early. An error
is in the form that the request's client raises; see `Dialect`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_never

import msgspec

from parkmeter.errors import InvalidRequestError
from parkmeter.web.dialect import Dialect, dialect_of
from parkmeter.web.headers import Fields
from parkmeter.web.problems import Problem, problem
from parkmeter.web.routes import Loading
from parkmeter.web.top_level import values_of

_CHAT = b"/v1/chat/completions"
_READ = frozenset({"functions", "model", "response_format", "stream", "tools"})
_STRICT = ("functions", "response_format", "tools")
"""Members of requests whose answers programs read: these get no text for people."""

_BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\r")

_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_LONGEST_TEXT = 2000
"""Characters of a model's own refusal that is not JSON."""


# ── While the endpoint starts ───────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class LoadingForm:
    """The form of the progress of a start; `model`: the request's, for chunks that people see."""

    dialect: Dialect
    model: str | None = None


def loading_form(mode: Loading, server_path: bytes, body: bytes) -> LoadingForm | None:
    """Return how the progress is shown to a held request; None: it asks for no stream, or mode OFF.

    Text that people see goes only into a chat whose answer no program has to read.
    """
    if mode is Loading.OFF:
        return None
    try:
        members = values_of(body, _READ)
    except InvalidRequestError:
        return None  # the model server will say so
    if members.get("stream") is not True:
        return None
    path, dialect = server_path.partition(b"?")[0], dialect_of(server_path)
    shown = mode is Loading.MESSAGES and path.rstrip(b"/") == _CHAT
    if not shown or any(members.get(name) is not None for name in _STRICT):
        return LoadingForm(dialect)
    model = members.get("model")
    return LoadingForm(dialect, model if isinstance(model, str) else "")


def progress_event(form: LoadingForm, text: str, created: int) -> bytes:
    """Return the event that shows `text`; `created` is the time, in seconds since 1970."""
    line = " ".join(text.split())
    if form.dialect is Dialect.ANTHROPIC:
        return _PING
    if form.model is None:
        return f": {line}\n\n".encode("utf-8", "replace")
    delta = {"role": "assistant", "reasoning_content": f"{line}\n"}
    return _event(
        {
            "id": "chatcmpl-parkmeter",
            "object": "chat.completion.chunk",
            "created": created,
            "model": form.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
        }
    )


def progress_text(name: str, elapsed: timedelta, usual: timedelta | None) -> str:
    """Return how far a start is, for people: `qwen is starting: 0:34 of usually 1:10`."""
    if usual is None:
        return f"{name} is starting: {_clock(elapsed)} so far"
    link = "of" if elapsed <= usual else "instead of"
    return f"{name} is starting: {_clock(elapsed)} {link} usually {_clock(usual)}"


# ── The early end of a stream ───────────────────────────────────────────────────────────────────


def is_event_stream(fields: Fields) -> bool:
    """Return whether an answer with these header fields is a stream of events."""
    return any(
        name == b"content-type" and value[:17].lower() == b"text/event-stream"
        for name, value in fields
    )


def is_encoded(fields: Fields) -> bool:
    """Return whether an answer is compressed: nothing can be added to it, nor read in it."""
    return any(
        name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}
        for name, value in fields
    )


def between_events(last: bytes) -> bool:
    """Return whether a stream that ends with these bytes is between two events."""
    return last.endswith(_BLANK_LINES)


def error_event(problem: Problem, server_path: bytes) -> bytes:
    """Return a stream's last event: the problem, as the clients of this path raise it."""
    dialect = dialect_of(server_path)
    members = json.loads(problem.in_dialect(dialect).body)
    if dialect is Dialect.ANTHROPIC:
        return b"event: error\n" + _event(members)
    return _event({"error": {**members["error"], "status": problem.status}})


def refusal_event(status: int, body: bytes | None, server_path: bytes) -> bytes:
    """Return the last event for an answer that a model server gave instead of a stream.

    Its own error is passed on as it is, with the status. `body` is None if it cannot be read.
    """
    dialect = dialect_of(server_path)
    answer = _json_object(body or b"")
    error = answer.get("error")
    match dialect:
        case Dialect.ANTHROPIC:
            if answer.get("type") == "error" and isinstance(error, dict):
                return b"event: error\n" + _event(answer)
        case Dialect.OPENAI | Dialect.PLAIN:
            if isinstance(error, dict) and isinstance(error.get("message"), str):
                return _event({"error": {"status": status, **error}})
        case _:
            assert_never(dialect)
    said = error.get("message") if isinstance(error, dict) else error
    texts = (said, answer.get("message"), answer.get("detail"))
    text = next((text for text in texts if isinstance(text, str) and text), "")
    if not text and not answer:
        text = (body or b"")[: 4 * _LONGEST_TEXT].decode("utf-8", "replace").strip()
    detail = text[:_LONGEST_TEXT] or f"The model server answered {status} and gave no reason."
    refused = problem(status, "model_refused", "The model server refused", detail)
    return error_event(refused, server_path)


def no_stream(content_type: str) -> Problem:
    """Return the problem of an answer that is no stream, where the client was promised one."""
    return problem(
        502,
        "no_stream",
        "The model server did not stream",
        f"The model server was asked for a stream and answered with {content_type or 'no type'}, "
        "which cannot be passed on within one. Send the request without `stream`, or set "
        'loading = "off" for this endpoint.',
    )


def _event(members: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(members, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)  # stricter: no NaN or Infinity, which we would pass on
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _clock(length: timedelta) -> str:
    minutes, seconds = divmod(max(0, round(length.total_seconds())), 60)
    return f"{minutes}:{seconds:02d}"
