"""Top-level members of a JSON object, read out of bytes without building the rest. Pure.

A prompt of 10 MiB is mostly messages and pictures, of which a gateway needs to know nothing.
msgspec checks all of it and hands out each member as a slice; only the wanted ones are decoded.
"""

import itertools
import re
from codecs import utf_8_decode
from collections.abc import Callable, Iterable
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


class TopLevel:
    """The members of one JSON object; `names`: theirs, in order, with escapes undone.

    Raises:
        InvalidRequestError: this is not one JSON object in UTF-8, or its top level is unusually
            large.

    """

    __slots__ = ("_body", "_values", "names")

    def __init__(self, body: bytes) -> None:
        if not body.isascii():
            _check_utf8(body)
        pairs = _pairs(body)
        self._body = body
        self._values = list(pairs.values())
        self.names: list[str] = list(pairs)

    def value(self, name: str) -> Scalar | Container:
        """Return the value of one of `names`; it is not decoded if it is a container.

        Raises:
            InvalidRequestError: there are two, and two readers could take different ones; or it is
                a number out of range.

        """
        names = self.names
        if names.count(name) > 1:
            raise InvalidRequestError(
                f"{name!r} stands in the body more than once; send it once.", field=name
            )
        raw = self._values[names.index(name)]
        try:
            return _texts.decode(raw)
        except msgspec.DecodeError:  # no text, as nearly all are that are asked for
            pass
        if (container := _CONTAINERS.get(memoryview(raw)[0])) is not None:
            return container
        try:
            value: Any = msgspec.json.decode(raw)
        except msgspec.DecodeError:
            raise InvalidRequestError(f"{name!r} is a number out of range.", field=name) from None
        return value  # type: ignore[no-any-return]

    def place(self, name: str) -> tuple[int, int]:
        """Return where the value of one of `names` stands: `body[begin:end]`."""
        body = self._body
        end = body.find(b"{") + 1
        begin = end
        for value in self._values[: self.names.index(name) + 1]:
            match = _UP_TO_VALUE.match(body, end)
            assert match is not None  # noqa: S101 (msgspec has read it)
            begin = match.end()
            end = begin + len(value)
        return begin, end


def values_of(body: bytes, names: Iterable[str]) -> dict[str, Scalar | Container]:
    """Return the values of those members of a JSON object that have one of these names.

    Raises:
        InvalidRequestError: see `TopLevel`.

    """
    members = TopLevel(body)
    return {name: members.value(name) for name in names if name in members.names}


class _Name(str):
    """A member's name. No two are the same key, so that a repeated one is kept too.

    Compared with any other text it is that text.
    """

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


_PAIRS = dict[_Name, msgspec.Raw]
_UP_TO_VALUE = re.compile(rb'[\s,]*+"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+:\s*+', re.DOTALL)
_PIECE = 32 * 1024
_SHORT = 64 * 1024
"""Bytes too few for members that cost much; of longer bodies they are counted on the way."""

_CONTAINERS = {ord("{"): Container.OBJECT, ord("["): Container.ARRAY}


def _pairs(body: bytes) -> dict[_Name, msgspec.Raw]:
    """Return all members in order, each value as the slice of the body it stands in."""
    try:
        if len(body) > _SHORT:
            return msgspec.json.decode(body, type=_PAIRS, dec_hook=_counting_names())
        pairs = _short.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequestError("The body is not a JSON object, or is nested too deep.") from None
    if len(body) > LONGEST_NAME:
        _check_size(len(pairs), max(map(len, pairs), default=0))
    return pairs


_short = msgspec.json.Decoder(_PAIRS, dec_hook=str.__new__)
"""It is called with `_Name` and a text, and is no function of Python: that costs a third less."""


def _counting_names() -> Callable[[type, str], _Name]:
    """Return what makes names, and ends the reading after the last that is taken."""
    names = itertools.count(1)

    def named(_type: type, text: str) -> _Name:
        _check_size(next(names), len(text))
        return _Name(text)

    return named


def _check_size(members: int, longest: int) -> None:
    if members > MOST_MEMBERS or longest > LONGEST_NAME:
        raise _too_large()


def _too_large() -> InvalidRequestError:
    return InvalidRequestError(
        f"The body's top level has more than {MOST_MEMBERS} members, or one whose name is longer "
        f"than {LONGEST_NAME} characters."
    )


_texts = msgspec.json.Decoder(str)


def _check_utf8(body: bytes) -> None:
    """Raise InvalidRequestError if this is not UTF-8. In pieces: as one text it may take 40 MiB."""
    view, begin = memoryview(body), 0
    try:
        while begin < len(body):
            end = begin + _PIECE
            begin += utf_8_decode(view[begin:end], "strict", end >= len(body))[1]
    except UnicodeDecodeError:
        raise InvalidRequestError("The body is not UTF-8, which JSON has to be.") from None
