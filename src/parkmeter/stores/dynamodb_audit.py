"""Records of the audit as items of the table `meters`. Imports nothing of AWS.

The number of a record is the time it was made, in microseconds since 1970, or the next free one: so
functions that write at once need no common counter, and the numbers grow.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from parkmeter.core.audit import Record
from parkmeter.stores.records import read, written

AUDIT_PARTITION = "audit#"
"""Partition key; no endpoint's name contains `#`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number_of_record(record: Record) -> int:
    """Return the number that a record gets if it is free."""
    return (record.at - _EPOCH) // timedelta(microseconds=1)


def record_key(number: int) -> str:
    """Return the sort key of a record; of fixed width, so that it sorts by number."""
    return f"record#{number:020}"


def write_record(table: str, record: Record, number: int) -> dict[str, Any]:
    """Return the write of a record under a number that must be free; records are never changed."""
    item = {"pk": AUDIT_PARTITION, "sk": record_key(number), "body": written(record)}
    return {
        "Put": {
            "TableName": table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }


def record_from(item: dict[str, Any]) -> Record:
    """Return the record of an item."""
    number = int(item["sk"].removeprefix("record#"))
    return read(Record, item["body"], number=number)
