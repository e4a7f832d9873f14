"""Entries to publish, in the table `meters` until they were sent.

An entry is posted in the transaction that commits it, claimed for a while by the function that
sends it, deleted when sent: what a function could not send before it ended, the next one finds.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from parkmeter.core.journal import Entry
from parkmeter.stores.records import UNREADABLE, read, sortable, written

log = logging.getLogger(__name__)

OUTBOX = "outbox#"
"""Partition key; no endpoint's name contains `#`."""

_KEPT = timedelta(days=7)

_FREE = "attribute_not_exists(claimed_until) OR claimed_until <= :now"


def write_posted(table: str, entry: Entry, number: int) -> dict[str, Any]:
    """Return the write that posts an entry, as part of its own transaction."""
    expires = int((entry.at + _KEPT).timestamp())
    item = {**_key(entry), "body": written(entry), "number": number, "ttl": expires}
    return {"Put": {"TableName": table, "Item": item}}


class DynamoOutbox:
    """The posted entries not sent yet. `client` takes and returns plain values."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def unsent(self, now: datetime, limit: int) -> list[Entry]:
        """Return the oldest `limit` entries that are not claimed."""
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
            found += _entries(page["Items"])
            if len(found) >= limit or "LastEvaluatedKey" not in page:
                return found[:limit]
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def claim(self, entry: Entry, now: datetime, until: datetime) -> bool:
        """Claim an entry until `until`; return False if it is claimed already, or was sent."""
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

    def sent(self, entry: Entry) -> None:
        """Delete an entry that was sent or need not be; may be repeated."""
        self._client.delete_item(TableName=self._table, Key=_key(entry))


def _entries(items: Sequence[dict[str, Any]]) -> Iterator[Entry]:
    """Yield the entries that can be read: one of a later version must not hold up all others."""
    for item in items:
        try:
            yield read(Entry, item["body"], number=int(item["number"]))
        except UNREADABLE:
            log.exception("a posted entry cannot be read and is not sent: %s", item["sk"])


def _key(entry: Entry) -> dict[str, str]:
    digest = hashlib.sha256(f"{entry.endpoint}\n{entry.key}".encode()).hexdigest()[:32]
    return {"pk": OUTBOX, "sk": f"{sortable(entry.at)}#{digest}"}
