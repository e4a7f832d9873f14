"""The values in the rows of the local store."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from parkmeter.stores.records import UNREADABLE, read
from parkmeter.stores.store_faults import StoreDamagedError

log = logging.getLogger(__name__)

_Stored = TypeVar("_Stored")


def value_of(kind: type[_Stored], body: str, **known: int) -> _Stored:
    """Return the stored value of a row; see `records.read`. Raises StoreDamagedError."""
    with reading(kind.__name__):
        return read(kind, body, **known)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Raise StoreDamagedError for a row that cannot be read, which SQLite itself cannot see."""
    try:
        yield
    except UNREADABLE as error:
        log.error("a stored %s cannot be read: %s", what, error)  # noqa: TRY400 (no trace)
        raise StoreDamagedError from error
