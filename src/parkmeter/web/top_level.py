"""Top-level members of a JSON object, read out of bytes without building the rest. Pure.

A prompt of 10 MiB is mostly messages and pictures, of which a gateway needs to know nothing.
msgspec checks all of it and hands out each member as a slice; only the wanted ones are decoded.
"""

import itertools
import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Collection
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


class Member:
    """A top-level member. `value`: decoded, unless it is a container."""

    __slots__ = ("_body", "_members", "value")

    def __init__(self, value: Scalar | Container, body: bytes, members: list[msgspec.Raw]) -> None:
        self.value = value
        self._body = body
        self._members = members

    def place(self) -> tuple[int, int]:
        """Return where the value stands: `body[begin:end]`."""
        end = self._body.find(b"{") + 1
        begin = end
        for raw in self._members:
            match = _UP_TO_VALUE.match(self._body, end)
            assert match is not None  # noqa: S101 (msgspec has read it)
            begin = match.end()
            end = begin + len(raw)
        return begin, end


def top_level(body: bytes, names: Collection[str]) -> dict[str, Member]:
    """Return the members of a JSON object that have one of these names; escapes are undone.

    Raises:
        InvalidRequestError: this is not one JSON object in UTF-8, or one of the names stands in it
            twice, and two readers could take different ones; or it is a number out of range; or the
            top level is unusually large.

    """
    if not body.isascii():
        _check_utf8(body)
    found: dict[str, Member] = {}
    pairs = _pairs(body)
    for index, name in enumerate(pairs):
        text = name.text
        if text in names:
            if text in found:
                raise InvalidRequestError(
                    f"{text!r} stands in the body more than once; send it once.", field=text
                )
            raws = list(pairs.values())[: index + 1]
            found[text] = Member(_decoded(raws[-1], text), body, raws)
    return found


class _Name:
    """A member's name. No two are equal, so that a repeated one is kept too."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


_PAIRS = dict[_Name, msgspec.Raw]
_UP_TO_VALUE = re.compile(rb'[\s,]*+"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+:\s*+', re.DOTALL)
_Decoder = getincrementaldecoder("utf-8")
_PIECE = 64 * 1024
_SHORT = 64 * 1024
"""Bytes too few for more members than are allowed; longer bodies are counted on the way."""

_CONTAINERS = {ord("{"): Container.OBJECT, ord("["): Container.ARRAY}


def _pairs(body: bytes) -> dict[_Name, msgspec.Raw]:
    """Return all members in order, each value as the slice of the body it stands in."""
    try:
        if len(body) <= _SHORT:
            pairs = _short.decode(body)
            if len(pairs) > MOST_MEMBERS:
                raise _too_large()
            return pairs
        return msgspec.json.decode(body, type=_PAIRS, dec_hook=_counting_names())
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequestError("The body is not a JSON object, or is nested too deep.") from None


def _named(_type: type, text: str) -> _Name:
    if len(text) > LONGEST_NAME:
        raise _too_large()
    return _Name(text)


_short = msgspec.json.Decoder(_PAIRS, dec_hook=_named)


def _counting_names() -> Callable[[type, str], _Name]:
    """Return what makes names, and ends the reading after the last that is taken."""
    names = itertools.count(1)

    def named(type_: type, text: str) -> _Name:
        if next(names) > MOST_MEMBERS:
            raise _too_large()
        return _named(type_, text)

    return named


def _too_large() -> InvalidRequestError:
    return InvalidRequestError(
        f"The body's top level has more than {MOST_MEMBERS} members, or one whose name is longer "
        f"than {LONGEST_NAME} characters."
    )


def _decoded(raw: msgspec.Raw, name: str) -> Scalar | Container:
    first = memoryview(raw)[0]
    if (container := _CONTAINERS.get(first)) is not None:
        return container
    try:
        value: Any = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        raise InvalidRequestError(f"{name!r} is a number out of range.", field=name) from None
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
