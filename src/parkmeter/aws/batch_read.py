"""Reads many meters at once; one that cannot be read must keep no other from being treated."""

import logging
from collections.abc import Collection
from contextlib import suppress

from parkmeter.core.meter import Meter
from parkmeter.stores.dynamodb import DynamoStore

log = logging.getLogger(__name__)

_TOGETHER = 100
"""In one read, as DynamoDB has it: so many are read one by one if one of them is broken."""


def readable_meters(store: DynamoStore, names: Collection[str]) -> dict[str, Meter]:
    """Those that can be read. What is missing, whoever treats it finds out why, and says so."""
    wanted, found = sorted(names), dict[str, Meter]()
    for start in range(0, len(wanted), _TOGETHER):
        page = wanted[start : start + _TOGETHER]
        try:
            found |= store.meters(page)
        except Exception:
            log.exception("%d meters are read one by one", len(page))
            for name in page:
                with suppress(Exception):
                    found[name] = store.load(name)
    return found
