"""OpenAI's bodies for completions and chat completions, read into the engine's payload. Pure.

* A T5 answers one prompt and has no notion of turns: of a conversation it is given the last
  message of the user. System messages and earlier turns are accepted and not read.
* Without ``temperature`` the answer is the most probable text, as at ``/invocations``; OpenAI
  would draw at temperature 1. With it, tokens are drawn. ``max_tokens`` beyond the limit is the
  limit; without it a text has at most 127 tokens.
* Options that would make the answer another one (tools, JSON formats, images, log probabilities)
  are refused with their names. Keys that are not known are ignored, as other servers do: clients
  send new ones every month.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from parkmeter.model_server.checks import (
    Check,
    PayloadError,
    boolean,
    integer,
    invalid,
    number,
    prompt,
    read_object,
)
from parkmeter.model_server.payload import (
    MAX_BEAMS,
    MAX_LENGTH,
    MAX_SEED,
    Payload,
    check_together,
    text_inputs,
)

MAX_STOPS = 16


@dataclass(frozen=True, slots=True)
class Question:
    """One body: the engine's payload, and what the engine does not do itself.

    `stop`: a text ends before the first of these. `usage`: a stream ends with the tokens used.
    """

    payload: Payload
    streams: bool
    usage: bool
    stop: tuple[str, ...]


def read_completion(body: bytes) -> Question:
    """Read a body of ``POST /v1/completions``.

    Raises:
        PayloadError: It is not valid.
    """
    document = read_object(body)
    if "prompt" not in document:
        raise PayloadError("prompt is missing; it must be a string or a list of strings.", "prompt")
    return _question(document, text_inputs("prompt", document["prompt"]), _NOT_IN_COMPLETIONS)


def read_chat(body: bytes) -> Question:
    """Read a body of ``POST /v1/chat/completions``.

    Raises:
        PayloadError: It is not valid.
    """
    document = read_object(body)
    return _question(document, (_last_of_user(document.get("messages")),), _NOT_IN_CHATS)


def _question(
    document: dict[str, Any], prompts: tuple[str, ...], refused: Mapping[str, Callable[[Any], bool]]
) -> Question:
    sent = {key: value for key, value in document.items() if value is not None}
    for key, harmless in refused.items():
        if key in sent and not harmless(sent[key]):
            raise PayloadError(f"{key} is not supported by this model; leave it out.", key)
    longest = _checked(sent, "max_completion_tokens", integer(1))
    if longest is None:
        longest = _checked(sent, "max_tokens", integer(1))
    seed = _checked(sent, "seed", integer(-(2**63), 2**64))
    streams = bool(_checked(sent, "stream", boolean))
    options = sent.get("stream_options", {})
    if not isinstance(options, dict):
        raise invalid("stream_options", "an object", options)
    payload = Payload(
        text_inputs=prompts,
        max_length=None if longest is None else min(longest + 1, MAX_LENGTH),
        num_return_sequences=_checked(sent, "n", integer(1, MAX_BEAMS)),
        temperature=_checked(sent, "temperature", _TEMPERATURE),
        top_p=_checked(sent, "top_p", _TOP_P),
        top_k=0 if sent.get("temperature") else None,
        seed=None if seed is None else seed % (MAX_SEED + 1),
    )
    check_together(payload, "messages" if "messages" in document else "prompt", "n")
    return Question(payload, streams, options.get("include_usage") is True, _stops(sent))


def _checked(sent: Mapping[str, Any], key: str, check: Check) -> Any:
    return check(key, sent[key]) if key in sent else None


def _stops(sent: Mapping[str, Any]) -> tuple[str, ...]:
    stop = sent.get("stop", [])
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(one, str) and one for one in stops):
        raise invalid("stop", "a string or a list of strings", stop)
    if len(stops) > MAX_STOPS:
        raise PayloadError(f"stop may have at most {MAX_STOPS} strings; got {len(stops)}.", "stop")
    return tuple(stops)


def _last_of_user(messages: Any) -> str:
    if not isinstance(messages, list) or not messages:
        raise invalid("messages", "a list with at least one message", messages)
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            expected = "an object with a role and a content"
            raise invalid(f"messages[{index}]", expected, message, "messages")
        if message["role"] == "user":
            name = f"messages[{index}].content"
            return prompt(name, _text(name, message.get("content")), "messages")
    raise PayloadError("messages must contain one of the role user.", "messages")


def _text(name: str, content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise invalid(name, "a string or a list of parts", content, "messages")
    texts = []
    for index, part in enumerate(content):
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise invalid(f"{name}[{index}]", "a part of the type text", part, "messages")
        texts.append(text)
    return "\n".join(texts)


_TEMPERATURE = number("a number of at least 0", lambda value: value >= 0)
_TOP_P = number("a number, 0 to 1", lambda value: 0 <= value <= 1)


def _is_off(value: Any) -> bool:
    """Return whether a value asks for nothing: false, 0, or something empty."""
    return not value


def _is_text_format(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "text"


_NOT_IN_COMPLETIONS: Mapping[str, Callable[[Any], bool]] = {
    "echo": _is_off,
    "logprobs": _is_off,
    "suffix": _is_off,
}
_NOT_IN_CHATS: Mapping[str, Callable[[Any], bool]] = {
    "audio": _is_off,
    "functions": _is_off,
    "logprobs": _is_off,
    "response_format": _is_text_format,
    "tools": _is_off,
}
"""Keys that are refused unless their value asks for nothing."""
