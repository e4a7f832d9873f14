"""JumpStart's Flan-T5 payload: parsed and validated, or an error that names the field.

Pure: no engine, no HTTP. In JumpStart's container a bad payload is a failed assertion and arrives
as a model error (5xx); here each error says what is allowed and what was sent.
"""

from collections.abc import Mapping
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
    quoted,
    read_object,
)

MAX_PROMPTS = 128
MAX_LENGTH = 2048
MAX_BEAMS = 32
# Maximum of texts decoded for one request: prompts times beams (or samples).
MAX_TEXTS = 512
MAX_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Payload:
    """A client's request; None means that the key was not sent.

    `max_length` counts tokens including the decoder's start token, `max_time` is in seconds.
    """

    text_inputs: tuple[str, ...]
    max_length: int | None = None
    max_time: float | None = None
    num_return_sequences: int | None = None
    num_beams: int | None = None
    no_repeat_ngram_size: int | None = None
    temperature: float | None = None
    early_stopping: bool | None = None
    do_sample: bool | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None


def parse_json(body: bytes) -> Payload:
    """Parse an ``application/json`` body.

    Raises:
        PayloadError: It is not JSON, not an object, or a value is not allowed.
    """
    document = read_object(body)
    for key in document:
        if key not in _CHECKS:
            raise PayloadError(
                f"{quoted(key)} is not a parameter; valid ones are {', '.join(_CHECKS)}.",
                field=key,
            )
    if "text_inputs" not in document:
        raise PayloadError(
            "text_inputs is missing; it must be a string or a list of strings.", field="text_inputs"
        )
    payload = Payload(**{key: _CHECKS[key](key, value) for key, value in document.items()})
    check_together(payload)
    return payload


def parse_text(body: bytes) -> Payload:
    """Parse an ``application/x-text`` body: the prompt itself, with default parameters.

    Raises:
        PayloadError: It is not UTF-8, blank, or too long.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise PayloadError(f"The body is not UTF-8: {error}.") from error
    return Payload(text_inputs=(prompt("text_inputs", text),))


def check_together(
    payload: Payload, prompts: str = "text_inputs", copies: str = "num_beams"
) -> None:
    """Check what depends on several values; `prompts` and `copies` are the names the client used.

    Raises:
        PayloadError: They ask for too much, or for more texts than are searched for.
    """
    sequences = payload.num_return_sequences or 1
    beams = payload.num_beams if payload.num_beams is not None else sequences
    if beams < sequences:
        raise PayloadError(
            f"num_beams must be at least num_return_sequences ({sequences}); got {beams}.",
            field="num_beams",
        )
    texts = beams * len(payload.text_inputs)
    if texts > MAX_TEXTS:
        raise PayloadError(
            f"{prompts} times {copies} may be at most {MAX_TEXTS} texts; got {texts}.",
            field=prompts,
        )


def text_inputs(field: str, value: Any) -> tuple[str, ...]:
    """Check one prompt or a list of them."""
    if isinstance(value, str):
        return (prompt(field, value),)
    if not isinstance(value, list):
        raise invalid(field, "a string or a list of strings", value)
    if not 1 <= len(value) <= MAX_PROMPTS:
        raise PayloadError(
            f"{field} must contain 1 to {MAX_PROMPTS} strings; got {len(value)}.", field=field
        )
    for index, text in enumerate(value):
        if not isinstance(text, str):
            raise invalid(f"{field}[{index}]", "a string", text, field=field)
    return tuple(prompt(f"{field}[{index}]", text, field) for index, text in enumerate(value))


_CHECKS: Mapping[str, Check] = {
    "text_inputs": text_inputs,
    "max_length": integer(1, MAX_LENGTH),
    "max_time": number("a number of seconds above 0", lambda value: value > 0),
    "num_return_sequences": integer(1, MAX_BEAMS),
    "num_beams": integer(1, MAX_BEAMS),
    # A text has no n-gram longer than itself; the engine's integers have 64 bits.
    "no_repeat_ngram_size": integer(2, MAX_LENGTH),
    "temperature": number("a number of at least 0", lambda value: value >= 0),
    "early_stopping": boolean,
    "do_sample": boolean,
    "top_k": integer(0),  # more than all tokens of the model means all
    "top_p": number("a number, 0 to 1", lambda value: 0 <= value <= 1),
    "seed": integer(0, MAX_SEED),
}
