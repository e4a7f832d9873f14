"""JumpStart's Flan-T5 payload: bytes in, a checked `Payload` out, or an error that names the field.

Pure: no engine, no HTTP. In JumpStart's container a bad payload is a failed assertion and arrives
as a model error (5xx); here each fault says what was given and what is allowed.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_PROMPTS = 128
# A prompt longer than this cannot be worth tokenizing: it would be far past MAX_PROMPT_TOKENS.
MAX_PROMPT_CHARACTERS = 32_768
MAX_LENGTH = 2048
MAX_BEAMS = 32
# Texts worked on for one request at most: prompts times beams (or samples).
MAX_TEXTS = 512
MAX_SEED = 2**32 - 1


class PayloadError(ValueError):
    """Raised when a payload is refused; `field` is the key at fault, if it is one key's fault."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


@dataclass(frozen=True, slots=True)
class Payload:
    """What a client asks for; None means the key was not sent.

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
    """Read an ``application/json`` body.

    Raises:
        PayloadError: It is not JSON, not an object, or one of its values is not allowed.
    """
    try:
        document = _DECODER.decode(body.decode("utf-8-sig"))
    except PayloadError:
        raise
    except (ValueError, RecursionError) as broken:
        raise PayloadError(f"The body is not JSON: {broken}.") from broken
    if not isinstance(document, dict):
        raise PayloadError(f"The body must be a JSON object; given was {_shown(document)}.")
    for key in document:
        if key not in _CHECKS:
            raise PayloadError(
                f"{_shown(key)} is not a parameter; valid are {', '.join(_CHECKS)}.", field=key
            )
    if "text_inputs" not in document:
        raise PayloadError(
            "text_inputs is missing; it takes a text or a list of texts.", field="text_inputs"
        )
    payload = Payload(**{key: _CHECKS[key](key, value) for key, value in document.items()})
    _check_together(payload)
    return payload


def parse_text(body: bytes) -> Payload:
    """Read an ``application/x-text`` body: the prompt itself, every parameter at its default.

    Raises:
        PayloadError: It is not UTF-8, blank, or too long.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as broken:
        raise PayloadError(f"The body is not UTF-8: {broken}.") from broken
    return Payload(text_inputs=(_prompt("text_inputs", text),))


def _check_together(payload: Payload) -> None:
    sequences = payload.num_return_sequences or 1
    beams = payload.num_beams if payload.num_beams is not None else sequences
    if beams < sequences:
        raise PayloadError(
            f"num_beams must be at least num_return_sequences ({sequences}); given was {beams}.",
            field="num_beams",
        )
    texts = beams * len(payload.text_inputs)
    if texts > MAX_TEXTS:
        raise PayloadError(
            f"text_inputs times num_beams may be at most {MAX_TEXTS} texts; given were {texts}.",
            field="text_inputs",
        )


Check = Callable[[str, Any], Any]


def _text_inputs(field: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_prompt(field, value),)
    if not isinstance(value, list):
        raise _refused(field, "a text or a list of texts", value)
    if not 1 <= len(value) <= MAX_PROMPTS:
        raise PayloadError(
            f"{field} must hold 1 to {MAX_PROMPTS} texts; given were {len(value)}.", field=field
        )
    for index, text in enumerate(value):
        if not isinstance(text, str):
            raise _refused(f"{field}[{index}]", "a text", text, field=field)
    return tuple(_prompt(f"{field}[{index}]", text, field) for index, text in enumerate(value))


def _prompt(name: str, text: str, field: str = "text_inputs") -> str:
    # Mostly a variable the caller forgot to fill in; the model would answer it with noise.
    if not text.strip():
        raise PayloadError(f"{name} is blank; it must hold a prompt.", field=field)
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise PayloadError(
            f"{name} may be at most {MAX_PROMPT_CHARACTERS} characters; given were {len(text)}.",
            field=field,
        )
    try:
        text.encode()
    except UnicodeEncodeError as lone:
        raise PayloadError(f"{name} holds half a surrogate pair.", field=field) from lone
    return text


def _integer(least: int, most: int | None = None) -> Check:
    wanted = f"an integer of at least {least}" if most is None else f"an integer, {least} to {most}"

    def check(field: str, value: Any) -> int:
        # 50.0 is an integer to JSON; True is one to Python and to nobody else.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _refused(field, wanted, value)
        if value < least or (most is not None and value > most):
            raise _refused(field, wanted, value)
        return value

    return check


def _number(wanted: str, allowed: Callable[[float], bool]) -> Check:
    def check(field: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _refused(field, wanted, value)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number) or not allowed(number):
            raise _refused(field, wanted, value)
        return number

    return check


def _boolean(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refused(field, "true or false", value)
    return value


_CHECKS: Mapping[str, Check] = {
    "text_inputs": _text_inputs,
    "max_length": _integer(1, MAX_LENGTH),
    "max_time": _number("a number of seconds above 0", lambda value: value > 0),
    "num_return_sequences": _integer(1, MAX_BEAMS),
    "num_beams": _integer(1, MAX_BEAMS),
    # A text has no n-gram longer than itself; the engine's integers end at 2**64.
    "no_repeat_ngram_size": _integer(2, MAX_LENGTH),
    "temperature": _number("a number of at least 0", lambda value: value >= 0),
    "early_stopping": _boolean,
    "do_sample": _boolean,
    "top_k": _integer(0),  # more than the model has tokens is all of them
    "top_p": _number("a number, 0 to 1", lambda value: 0 <= value <= 1),
    "seed": _integer(0, MAX_SEED),
}


def _refused(name: str, wanted: str, value: Any, field: str | None = None) -> PayloadError:
    return PayloadError(f"{name} must be {wanted}; given was {_shown(value)}.", field or name)


def _shown(value: Any) -> str:
    """Return `value` as JSON, cut short: it goes back to whoever sent it."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (ValueError, RecursionError):
        return "something too large to show"
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 (a line's width)


def _refuse_constant(name: str) -> None:
    raise PayloadError(f"The body holds {name}, which JSON has no number for.")


# Made once: making one takes as long as decoding a payload.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
