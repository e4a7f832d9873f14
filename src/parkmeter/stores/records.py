"""The written form of meters, entries and tokens: JSON that a person can read.

Driven by the dataclasses' own type hints, so a new field needs no word here; a field that a newer
version adds has a default, so that older rows still load. Standard library only: the functions on
AWS that read a meter must start in no time.
"""

import json
import types
import typing
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

_Kept = TypeVar("_Kept")

_MICROSECOND = timedelta(microseconds=1)


def written(value: Any) -> str:
    """A dataclass as one line of JSON."""
    return _encoder.encode(value)


def read(kind: type[_Kept], line: str, **known: int) -> _Kept:
    """What `written` wrote, as it was; but for fields that a store knows better."""
    reader: Callable[[Any], _Kept] = _reader(typing.cast("Hashable", kind))
    return reader(json.loads(line) | known)


def _plain(value: Any) -> Any:
    """What JSON has no word for, one level of it: the encoder asks again for what is inside."""
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value // _MICROSECOND
        case Decimal():
            return str(value)
        case frozenset():
            return sorted(value)
        case _ if is_dataclass(value):
            return {field.name: getattr(value, field.name) for field in fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no written form")


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """How a value of this type is read from JSON."""
    if kind is datetime:
        return datetime.fromisoformat
    if kind is timedelta:
        return lambda value: value * _MICROSECOND
    if kind is Decimal or (isinstance(kind, type) and issubclass(kind, StrEnum)):
        return typing.cast("Callable[[Any], Any]", kind)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
        return lambda value: kind(
            **{name: readers[name](item) for name, item in value.items() if name in readers}
        )
    match typing.get_origin(kind), typing.get_args(kind):
        case (types.UnionType | typing.Union, (inner, types.NoneType)):
            inner_reader = _reader(inner)
            return lambda value: None if value is None else inner_reader(value)
        case (origin, (inner,)) if origin is frozenset:
            inner_reader = _reader(inner)
            return lambda value: frozenset(map(inner_reader, value))
        case _:
            return lambda value: value
