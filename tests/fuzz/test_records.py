"""Random records through their stored form: what is written is read again, whatever is in it."""

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import strategies as st

from parkmeter.core.journal import Entry
from parkmeter.core.meter import Meter
from parkmeter.core.tokens import Token
from parkmeter.stores.records import read, written

FEW_AND_MANY = pytest.mark.parametrize(
    "cases", [150, pytest.param(2_000, marks=[pytest.mark.extended, pytest.mark.timeout(900)])]
)
SIMPLE: Mapping[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=12),
    int: st.integers(-(10**9), 10**12),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    datetime: st.datetimes(timezones=st.just(UTC)),
    timedelta: st.timedeltas(),
    Decimal: st.decimals(0, 10**6, places=4),
}


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return all values of a type that records are made of."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return st.sampled_from(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{field.name: any_of(hints[field.name]) for field in fields(kind)})
    match typing.get_origin(kind), typing.get_args(kind):
        case (types.UnionType | typing.Union, (inner, types.NoneType)):
            return st.none() | any_of(inner)
        case (origin, (inner,)) if origin is frozenset:
            return st.frozensets(any_of(inner), max_size=3)
    raise AssertionError(f"records have no {kind}")


@FEW_AND_MANY
@pytest.mark.parametrize("kind", [Meter, Entry, Token])
def test_a_record_is_read_as_it_was_written(run, kind, cases):
    def check(value: Any) -> None:
        text = written(value)
        assert "\n" not in text
        assert read(kind, text) == value

    run("records", check, any_of(kind), cases)
