"""What an answer of a model says it used, read from bytes: OpenAI's forms and Anthropic's. Pure.

Nothing here raises: what cannot be read is unknown, and unknown is never zero.
"""

import re
from typing import Annotated, NamedTuple, TypeVar

import msgspec

_Shape = TypeVar("_Shape")


class Usage(NamedTuple):
    """Tokens of the model that one answer used. None: it has not said so (yet)."""

    input: int | None = None
    output: int | None = None


UNKNOWN = Usage()

KEY = b'"usage"'
"""In a string of JSON a quotation mark is escaped, so these bytes are a name or a whole text."""

_TRIES = 3
"""Objects of that name that are looked at, from the end: a later one may be a nested one."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
"""Tokens of one answer; a number above that is a mistake, and could not be added up for long."""

_ID_FIRST = re.compile(rb'\s*\{\s*"id"\s*:\s*"([!#-\[\]-~]{1,256})"')
_ID = re.compile(r"[!#-\[\]-~]{1,256}")
"""Printable ASCII without blanks; none of it needs an escape."""


_NOTHING = msgspec.Raw()
"""Of a member that is not there; like any other text that is no object, it is read as None."""


class _Numbers(msgspec.Struct):
    """An object `usage`, of either vendor."""

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None


class _Answer(msgspec.Struct):
    usage: _Numbers | None = None


class _Event(msgspec.Struct):
    usage: _Numbers | None = None
    response: msgspec.Raw = _NOTHING
    message: msgspec.Raw = _NOTHING


class _Named(msgspec.Struct):
    id: str | None = None


_ANSWERS = msgspec.json.Decoder(_Answer)
_EVENTS = msgspec.json.Decoder(_Event)
_NAMED = msgspec.json.Decoder(_Named)


def usage_at_end(tail: bytes | bytearray, at: int) -> Usage:
    """Return the usage of a JSON answer, given at least its end from `usage` on.

    `at`: where `KEY` stands last. The usage of a nested object does not count: only
    behind the answer's own does the rest close exactly one brace.
    """
    for _ in range(_TRIES):
        if at < 0:
            break
        # With a backslash before it, it is the end of a longer name or text.
        if tail[at - 1 : at] != b"\\" and (found := _read(_ANSWERS, b"{" + tail[at:])):
            return _usage_of(found.usage)
        at = tail.rfind(KEY, 0, at)
    return UNKNOWN


def usage_in_event(line: bytes, before: Usage) -> Usage:
    """Return the usage of a stream so far, given a line of it that contains `KEY`.

    `before`: the usage before this line. Numbers of streams are cumulative: the largest counts.
    """
    event = _read(_EVENTS, _data_in(line))
    if event is None:
        return before
    if event.usage is not None:  # chunks of completions, Anthropic's `message_delta`, transcripts
        return _later(before, _usage_of(event.usage))
    # Of OpenAI's Responses, which has it once it is over.
    if (response := _read(_ANSWERS, event.response)) is not None:
        return _later(before, _usage_of(response.usage))
    # Anthropic's `message_start`, whose output has only begun.
    if (message := _read(_ANSWERS, event.message)) is not None:
        return _later(before, Usage(_usage_of(message.usage).input))
    return before


def id_of_answer(head: bytes, *, whole: bool) -> str | None:
    """Return the `id` of a JSON answer, given its beginning; None if it cannot be seen there."""
    if not whole:
        first = _ID_FIRST.match(head)
        return None if first is None else first[1].decode()
    return _id_in(head)


def id_of_event(line: bytes) -> str | None:
    """Return the id of the answer that a stream's first event names, or None."""
    data = _data_in(line)
    event = _read(_EVENTS, data)
    if event is None:
        return None
    return _id_in(event.response) or _id_in(event.message) or _id_in(data)


def _data_in(line: bytes) -> bytes:
    """Return the data of a line of server-sent events; empty if it is another line."""
    return line[5:] if line[:5] == b"data:" else b""


def _read(decoder: msgspec.json.Decoder[_Shape], data: bytes | msgspec.Raw) -> _Shape | None:
    """Return the one JSON value that these bytes are, or None."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _usage_of(numbers: _Numbers | None) -> Usage:
    if numbers is None:
        return UNKNOWN
    taken, made, total = numbers.prompt_tokens, numbers.completion_tokens, numbers.total_tokens
    if taken is None and (taken := numbers.input_tokens) is not None:
        # Anthropic's are those that came from no cache and went to none.
        taken += numbers.cache_creation_input_tokens or 0
        taken += numbers.cache_read_input_tokens or 0
    if made is None:
        made = numbers.output_tokens
    if total is not None and taken is None:  # as rerankers have it
        return Usage(max(total - (made or 0), 0), made or 0)
    if total is not None and taken is not None and made is None:  # embeddings
        return Usage(taken, max(total - taken, 0))
    return Usage(taken, made)


def _later(before: Usage, now: Usage) -> Usage:
    return Usage(_largest(before.input, now.input), _largest(before.output, now.output))


def _largest(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _id_in(data: bytes | msgspec.Raw) -> str | None:
    named = _read(_NAMED, data)
    if named is None or named.id is None:
        return None
    return named.id if _ID.fullmatch(named.id) else None
