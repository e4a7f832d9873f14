"""Lines that people are to be told of, in the table `meters`, until they were.

Posted in the transaction that commits the line, claimed for a while by who sends it, taken away
when it was sent: so what a function could not send before it ended is still there for the next one.
Plain values; no calls of its own but these.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from parkmeter.core.journal import Entry
from parkmeter.stores.dynamodb_items import sortable
from parkmeter.stores.records import read, written

OUTBOX = "outbox#"
"""Partition key; no endpoint's name has such a letter."""

_KEPT = timedelta(days=7)

_FREE = "attribute_not_exists(claimed_until) OR claimed_until <= :now"


def write_posted(table: str, entry: Entry, number: int) -> dict[str, Any]:
    """A line that is to be told, and its number, as part of its own transaction."""
    expires = int((entry.at + _KEPT).timestamp())
    item = {**_key(entry), "body": written(entry), "number": number, "ttl": expires}
    return {"Put": {"TableName": table, "Item": item}}


class DynamoOutbox:
    """What was posted and not told. `client` takes and gives plain values."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def untold(self, now: datetime, limit: int) -> list[Entry]:
        """The oldest lines that nobody has claimed, at most so many."""
        found: list[Entry] = []
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :outbox",
            "FilterExpression": _FREE,
            "ExpressionAttributeValues": {":outbox": OUTBOX, ":now": sortable(now)},
            "ConsistentRead": True,
            "Limit": limit,
        }
        while True:
            page = self._client.query(**request)
            found += (_line(item) for item in page["Items"])
            if len(found) >= limit or "LastEvaluatedKey" not in page:
                return found[:limit]
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def claim(self, entry: Entry, now: datetime, until: datetime) -> bool:
        """Whether the caller is the one who tells it, until then; False: another is, or did."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(entry),
                UpdateExpression="SET claimed_until = :until",
                ConditionExpression=f"attribute_exists(pk) AND ({_FREE})",
                ExpressionAttributeValues={":until": sortable(until), ":now": sortable(now)},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def told(self, entry: Entry) -> None:
        """It was sent, or needs not be; may be said again."""
        self._client.delete_item(TableName=self._table, Key=_key(entry))


def _line(item: dict[str, Any]) -> Entry:
    return read(Entry, item["body"], number=int(item["number"]))


def _key(entry: Entry) -> dict[str, str]:
    digest = hashlib.sha256(f"{entry.endpoint}\n{entry.key}".encode()).hexdigest()[:32]
    return {"pk": OUTBOX, "sk": f"{sortable(entry.at)}#{digest}"}
