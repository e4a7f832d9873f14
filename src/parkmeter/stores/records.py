"""The stored form of meters, entries and tokens: readable JSON.

Driven by the dataclasses' type hints, so a new field needs no code here; a field that a newer
version adds has a default, so that older rows still load. Standard library only: the Lambdas that
read a meter must start fast.
"""

import json
import types
import typing
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

_Stored = TypeVar("_Stored")

_MICROSECOND = timedelta(microseconds=1)

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""The errors of `read` for a text that `written` did not write."""


def written(value: Any) -> str:
    """Return a dataclass as one line of JSON."""
    return _encoder.encode(value)


def read(kind: type[_Stored], body: str, **known: int) -> _Stored:
    """Return the dataclass that `written` wrote; `known` fields, the store's own, override it.

    Raises one of `UNREADABLE` for anything else.
    """
    reader: Callable[[Any], _Stored] = _reader(typing.cast("Hashable", kind))
    return reader(json.loads(body) | known)


def sortable(moment: datetime) -> str:
    """Return the moment in a fixed width, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(value: Any) -> Any:
    """Return a JSON form of a value, one level deep: the encoder calls again for what is inside."""
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
            return {
                name: getattr(value, name) for name in _names(typing.cast("Hashable", type(value)))
            }
        case _:
            raise TypeError(f"{type(value).__name__} has no stored form")


@cache
def _names(kind: Any) -> tuple[str, ...]:
    """Return the names of a dataclass's fields; looking them up took longer than writing them."""
    return tuple(field.name for field in fields(kind))


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return a function that reads a value of this type from JSON."""
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
