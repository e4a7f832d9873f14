"""Faster versions of two methods of moto's DynamoDB whose cost grows with the length of a journal.

Responses stay the same, on two assumptions: updates change items at their first level only, as
parkmeter's do, and keys are strings.
"""

import copy
from collections import defaultdict
from typing import Any

from moto.dynamodb.models import Table
from moto.dynamodb.models.dynamo_type import Item, LimitedSizeDict


def speed_up_dynamodb() -> None:
    """Replace moto's methods in this process; idempotent."""
    Table.__deepcopy__ = _snapshot
    Table.all_items = _all_items


def _snapshot(table: Table, _memo: dict[int, Any]) -> Table:
    """Copy a table for the rollback of a transaction; moto deep-copies every value."""
    copied = copy.copy(table)
    copied.items = defaultdict(dict)
    for name, found in table.items.items():
        if isinstance(found, Item):
            copied.items[name] = _copy_item(found)
        else:
            copied.items[name] = {key: _copy_item(item) for key, item in found.items()}
    return copied


def _copy_item(item: Item) -> Item:
    copied = Item.__new__(Item)
    copied.__dict__.update(item.__dict__)
    copied.attrs = LimitedSizeDict()
    dict.update(copied.attrs, item.attrs)  # without measuring sizes again
    return copied


def _all_items(table: Table) -> list[Item]:
    """Return all items in key order; moto converts a key at each comparison."""
    found: list[Item] = []
    for under in table.items.values():
        found += [under] if isinstance(under, Item) else under.values()
    return sorted(found, key=_key)


def _key(item: Item) -> tuple[str, str]:
    return item.hash_key.value, "" if item.range_key is None else item.range_key.value
