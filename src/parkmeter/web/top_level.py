"""Top-level members of a JSON object, read out of bytes without building the rest. Pure.

A prompt of 10 MiB is mostly messages and pictures, of which a gateway needs to know nothing.
msgspec checks all of it and hands out each member as a slice; only the wanted ones are decoded.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import msgspec

from parkmeter.errors import InvalidRequestError

MOST_MEMBERS = 1024
LONGEST_NAME = 1024
"""Bounds on the top level, so that a body cannot cost more than its bytes; no API comes near."""


class Container(Enum):
    """A value that is not decoded."""

    OBJECT = auto()
    ARRAY = auto()


Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Member:
    """A top-level member: its value, and where that stands: `body[begin:end]`."""

    value: Scalar | Container
    begin: int
    end: int


def top_level(body: bytes, names: Collection[str]) -> dict[str, Member]:
    """Return the members of a JSON object that have one of these names; escapes are undone.

    Raises:
        InvalidRequestError: this is not one JSON object in UTF-8, or one of the names stands in it
            twice, and two readers could take different ones; or the top level is unusually large.

    """
    if not body.isascii():
        _check_utf8(body)
    found: dict[str, Member] = {}
    position = body.find(b"{") + 1
    for name, raw in _pairs(body):
        position = _value_after_name(body, position)
        end = position + len(raw)
        if name in names:
            if name in found:
                raise InvalidRequestError(
                    f"{name!r} stands in the body more than once; send it once.", field=name
                )
            found[name] = Member(_decoded(raw), position, end)
        position = end
    return found


class _Name:
    """A member's name. No two are equal, so that a repeated one is kept too."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


_PAIRS = dict[_Name, msgspec.Raw]
_UP_TO_VALUE = re.compile(rb'[\s,]*+"(?:[^"\\]|\\.)*+"\s*+:\s*+', re.DOTALL)
_Decoder = getincrementaldecoder("utf-8")
_PIECE = 64 * 1024
_CONTAINERS = {ord("{"): Container.OBJECT, ord("["): Container.ARRAY}


def _pairs(body: bytes) -> list[tuple[str, msgspec.Raw]]:
    """Return all members in order, each value as the slice of the body it stands in."""
    count = 0

    def named(_type: type, text: str) -> _Name:
        nonlocal count
        count += 1
        if count > MOST_MEMBERS or len(text) > LONGEST_NAME:
            raise InvalidRequestError(
                f"The body's top level has more than {MOST_MEMBERS} members, or one whose name is "
                f"longer than {LONGEST_NAME} characters."
            )
        return _Name(text)

    try:
        pairs = msgspec.json.decode(body, type=_PAIRS, dec_hook=named)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequestError("The body is not a JSON object, or is nested too deep.") from None
    return [(name.text, raw) for name, raw in pairs.items()]


def _value_after_name(body: bytes, position: int) -> int:
    """Return where the value of the next member begins."""
    match = _UP_TO_VALUE.match(body, position)
    assert match is not None  # noqa: S101 (msgspec has read it)
    return match.end()


def _decoded(raw: msgspec.Raw) -> Scalar | Container:
    first = memoryview(raw)[0]
    if (container := _CONTAINERS.get(first)) is not None:
        return container
    value: Any = msgspec.json.decode(raw)
    return value  # type: ignore[no-any-return]


def _check_utf8(body: bytes) -> None:
    """Raise InvalidRequestError if this is not UTF-8. In pieces: as one text it may take 40 MiB."""
    decoder, view = _Decoder(), memoryview(body)
    try:
        for begin in range(0, len(body), _PIECE):
            decoder.decode(view[begin : begin + _PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise InvalidRequestError("The body is not UTF-8, which JSON has to be.") from None
