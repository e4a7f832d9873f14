"""The two places where moto's DynamoDB takes time with each line that a journal grows by.

Nothing here changes what it answers. Items are taken to be changed at their first level only, as
parkmeter's updates do, and keys to be texts.
"""

import copy
from collections import defaultdict
from typing import Any

from moto.dynamodb.models import Table
from moto.dynamodb.models.dynamo_type import Item, LimitedSizeDict


def quicken() -> None:
    """Put quicker ways in place of moto's, for this process. May be repeated."""
    Table.__deepcopy__ = _snapshot
    Table.all_items = _all_items


def _snapshot(table: Table, _memo: dict[int, Any]) -> Table:
    """What a failed transaction goes back to; moto copies every value, for each of its items."""
    twin = copy.copy(table)
    twin.items = defaultdict(dict)
    for name, found in table.items.items():
        if isinstance(found, Item):
            twin.items[name] = _twin(found)
        else:
            twin.items[name] = {key: _twin(item) for key, item in found.items()}
    return twin


def _twin(item: Item) -> Item:
    twin = Item.__new__(Item)
    twin.__dict__.update(item.__dict__)
    twin.attrs = LimitedSizeDict()
    dict.update(twin.attrs, item.attrs)  # which measures nothing: it was measured as it came in
    return twin


def _all_items(table: Table) -> list[Item]:
    """In order; moto asks at each comparison what kind of value a key is."""
    found: list[Item] = []
    for under in table.items.values():
        found += [under] if isinstance(under, Item) else under.values()
    return sorted(found, key=_place)


def _place(item: Item) -> tuple[str, str]:
    return item.hash_key.value, "" if item.range_key is None else item.range_key.value
