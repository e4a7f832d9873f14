"""JumpStart's Flan-T5 payload: parsed and validated, or an error that names the field.

Pure: no engine, no HTTP. In JumpStart's container a bad payload is a failed assertion and arrives
as a model error (5xx); here each error says what is allowed and what was sent.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_PROMPTS = 128
# A longer prompt is not worth tokenizing: it is far beyond MAX_PROMPT_TOKENS.
MAX_PROMPT_CHARACTERS = 32_768
MAX_LENGTH = 2048
MAX_BEAMS = 32
# Maximum of texts decoded for one request: prompts times beams (or samples).
MAX_TEXTS = 512
MAX_SEED = 2**32 - 1


class PayloadError(ValueError):
    """Raised when a payload is invalid; `field` is the key at fault, if it is a single one."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


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
    try:
        document = _DECODER.decode(body.decode("utf-8-sig"))
    except PayloadError:
        raise
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"The body is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise PayloadError(f"The body must be a JSON object; got {_quoted(document)}.")
    for key in document:
        if key not in _CHECKS:
            raise PayloadError(
                f"{_quoted(key)} is not a parameter; valid ones are {', '.join(_CHECKS)}.",
                field=key,
            )
    if "text_inputs" not in document:
        raise PayloadError(
            "text_inputs is missing; it must be a string or a list of strings.", field="text_inputs"
        )
    payload = Payload(**{key: _CHECKS[key](key, value) for key, value in document.items()})
    _check_together(payload)
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
    return Payload(text_inputs=(_prompt("text_inputs", text),))


def _check_together(payload: Payload) -> None:
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
            f"text_inputs times num_beams may be at most {MAX_TEXTS} texts; got {texts}.",
            field="text_inputs",
        )


Check = Callable[[str, Any], Any]


def _text_inputs(field: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_prompt(field, value),)
    if not isinstance(value, list):
        raise _invalid(field, "a string or a list of strings", value)
    if not 1 <= len(value) <= MAX_PROMPTS:
        raise PayloadError(
            f"{field} must contain 1 to {MAX_PROMPTS} strings; got {len(value)}.", field=field
        )
    for index, text in enumerate(value):
        if not isinstance(text, str):
            raise _invalid(f"{field}[{index}]", "a string", text, field=field)
    return tuple(_prompt(f"{field}[{index}]", text, field) for index, text in enumerate(value))


def _prompt(name: str, text: str, field: str = "text_inputs") -> str:
    # Usually a variable that the client forgot to set; the model would answer with noise.
    if not text.strip():
        raise PayloadError(f"{name} is blank; it must contain a prompt.", field=field)
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise PayloadError(
            f"{name} may be at most {MAX_PROMPT_CHARACTERS} characters; got {len(text)}.",
            field=field,
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PayloadError(f"{name} contains half a surrogate pair.", field=field) from error
    return text


def _integer(least: int, most: int | None = None) -> Check:
    expected = (
        f"an integer of at least {least}" if most is None else f"an integer, {least} to {most}"
    )

    def check(field: str, value: Any) -> int:
        # 50.0 is an integer in JSON; True is one in Python only.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _invalid(field, expected, value)
        if value < least or (most is not None and value > most):
            raise _invalid(field, expected, value)
        return value

    return check


def _number(expected: str, allowed: Callable[[float], bool]) -> Check:
    def check(field: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _invalid(field, expected, value)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number) or not allowed(number):
            raise _invalid(field, expected, value)
        return number

    return check


def _boolean(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _invalid(field, "true or false", value)
    return value


_CHECKS: Mapping[str, Check] = {
    "text_inputs": _text_inputs,
    "max_length": _integer(1, MAX_LENGTH),
    "max_time": _number("a number of seconds above 0", lambda value: value > 0),
    "num_return_sequences": _integer(1, MAX_BEAMS),
    "num_beams": _integer(1, MAX_BEAMS),
    # A text has no n-gram longer than itself; the engine's integers have 64 bits.
    "no_repeat_ngram_size": _integer(2, MAX_LENGTH),
    "temperature": _number("a number of at least 0", lambda value: value >= 0),
    "early_stopping": _boolean,
    "do_sample": _boolean,
    "top_k": _integer(0),  # more than all tokens of the model means all
    "top_p": _number("a number, 0 to 1", lambda value: 0 <= value <= 1),
    "seed": _integer(0, MAX_SEED),
}


def _invalid(name: str, expected: str, value: Any, field: str | None = None) -> PayloadError:
    return PayloadError(f"{name} must be {expected}; got {_quoted(value)}.", field or name)


def _quoted(value: Any) -> str:
    """Return `value` as JSON, truncated: it goes back to the client."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (ValueError, RecursionError):
        return "a value too large to show"
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 (a line's width)


def _refuse_constant(name: str) -> None:
    raise PayloadError(f"The body contains {name}, which is not valid in JSON.")


# Created once: that takes as long as decoding a payload.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
