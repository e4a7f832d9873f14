"""Lines that people are to be told of, in the table `meters`, until they were.

Posted in the transaction that commits the line, taken away when it was sent: so what a function
could not send before it ended is still there for the next one. Plain values; no calls of its own
but these.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from parkmeter.journal import Entry
from parkmeter.stores.dynamodb_items import sortable
from parkmeter.stores.records import read, written

OUTBOX = "outbox#"
"""Partition key; no endpoint's name has such a letter."""

_KEPT = timedelta(days=7)
_AT_ONCE = 100


def write_posted(table: str, entry: Entry) -> dict[str, Any]:
    """A line that is to be told, as part of its own transaction."""
    expires = int((entry.at + _KEPT).timestamp())
    item = {**_key(entry), "body": written(entry), "ttl": expires}
    return {"Put": {"TableName": table, "Item": item}}


class DynamoOutbox:
    """What was posted and not told. `client` takes and gives plain values."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def untold(self, before: datetime) -> list[Entry]:
        """The oldest lines from before this moment, at most a hundred."""
        found = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :outbox AND sk < :before",
            ExpressionAttributeValues={":outbox": OUTBOX, ":before": sortable(before)},
            ConsistentRead=True,
            Limit=_AT_ONCE,
        )
        return [read(Entry, item["body"]) for item in found["Items"]]

    def told(self, entry: Entry) -> None:
        """It was sent, or needs not be; may be said again."""
        self._client.delete_item(TableName=self._table, Key=_key(entry))


def _key(entry: Entry) -> dict[str, str]:
    digest = hashlib.sha256(f"{entry.endpoint}\n{entry.key}".encode()).hexdigest()[:32]
    return {"pk": OUTBOX, "sk": f"{sortable(entry.at)}#{digest}"}
