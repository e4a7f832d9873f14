"""The values in the rows of the local store."""

import logging
from datetime import datetime
from typing import TypeVar

from parkmeter.stores.records import read
from parkmeter.stores.store_faults import StoreDamagedError

log = logging.getLogger(__name__)

_Stored = TypeVar("_Stored")


def value_of(kind: type[_Stored], body: str, **known: int) -> _Stored:
    """Return the stored value of a row; see `records.read`.

    Raises:
        StoreDamagedError: it is none, which SQLite itself cannot see.

    """
    try:
        return read(kind, body, **known)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        log.error("a stored %s cannot be read: %s", kind.__name__, error)  # noqa: TRY400 (no trace)
        raise StoreDamagedError from error


def sortable(moment: datetime) -> str:
    """Return the moment in a fixed width, so that text order is time order."""
    return moment.isoformat(timespec="microseconds")
