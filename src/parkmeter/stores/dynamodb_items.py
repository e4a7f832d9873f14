"""Items of the table `meters`: their keys, how they are written and read.

Each `write_…` returns a part of a transaction, with its condition; `dynamodb` sends them. Items are
plain values; imports nothing of AWS.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from parkmeter.core.device import Claim
from parkmeter.core.journal import KEY_LIFETIME, Entry
from parkmeter.core.meter import Meter
from parkmeter.errors import OverBudgetError
from parkmeter.ports import Budget
from parkmeter.stores.records import read, sortable, written

UNSETTLED = "unsettled"
"""Name of the sparse index, and of the attribute that puts a meter into it."""

METER = "meter"
"""Sort key of the meter itself."""

# ── Writing ─────────────────────────────────────────────────────────────────────────────────────


def write_meter(
    table: str, committed: Meter, lines: int, marked: str | None = None
) -> dict[str, Any]:
    """Return the write of a meter over its previous version.

    `lines`: its journal's new length; `marked`: see `dynamodb_marks`.
    """
    item = {
        "pk": committed.name,
        "sk": METER,
        "version": committed.version,
        "lines": lines,
        "expires_at": committed.expires_at.isoformat(),
        "body": written(committed),
    }
    if marked is not None:
        item["marked"] = marked
    if not committed.settled:
        item[UNSETTLED] = 1
    put: dict[str, Any] = {"TableName": table, "Item": item}
    if committed.version == 1:
        put["ConditionExpression"] = "attribute_not_exists(pk)"
    else:
        put["ConditionExpression"] = "version = :read"
        put["ExpressionAttributeValues"] = {":read": committed.version - 1}
    return {"Put": put}


def write_claim(table: str, claim: Claim, name: str) -> list[dict[str, Any]]:
    """Return the write of a device's holder, if the device is held as the claim states."""
    pk, sk = device_key(claim.device)
    put: dict[str, Any] = {
        "TableName": table,
        "Item": {"pk": pk, "sk": sk, "holder": name},
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    if claim.held_by is not None:
        put["ConditionExpression"] = "holder = :seen"
        put["ExpressionAttributeValues"] = {":seen": claim.held_by}
    if claim.held_by in {None, name}:
        return [{"Put": put}]
    unchanged = {
        "TableName": table,
        "Key": {"pk": claim.held_by, "sk": METER},
        "ConditionExpression": "version = :read",
        "ExpressionAttributeValues": {":read": claim.version},
    }
    return [{"Put": put}, {"ConditionCheck": unchanged}]


def write_entry(table: str, entry: Entry, number: int) -> list[dict[str, Any]]:
    """Return the writes of an entry under its number and of the key that makes it unique."""
    line = {"pk": entry.endpoint, "sk": number_of(number), "body": written(entry)}
    key = {
        "pk": entry.endpoint,
        "sk": key_of(entry.key),
        "at": sortable(entry.at),
        "number": number,
        "ttl": _epoch(entry.at + KEY_LIFETIME + timedelta(days=1)),
    }
    return [
        {
            "Put": {
                "TableName": table,
                "Item": line,
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        },
        {
            "Put": {
                "TableName": table,
                "Item": key,
                # TTL deletes up to days late: an old key counts as none.
                "ConditionExpression": "attribute_not_exists(pk) OR #at <= :old",
                "ExpressionAttributeNames": {"#at": "at"},
                "ExpressionAttributeValues": {":old": sortable(entry.at - KEY_LIFETIME)},
            }
        },
    ]


def write_budget(table: str, budget: Budget) -> dict[str, Any]:
    """Return the update of the minutes a token spent on a day, if they fit.

    Raises:
        OverBudgetError: they would not fit into a whole day.

    """
    if budget.minutes > budget.limit:
        raise OverBudgetError(limit_minutes=budget.limit, left_minutes=budget.limit)
    pk, sk = budget_key(budget)
    return {
        "Update": {
            "TableName": table,
            "Key": {"pk": pk, "sk": sk},
            "UpdateExpression": "ADD minutes :more SET #ttl = :ttl",
            "ConditionExpression": "attribute_not_exists(minutes) OR minutes <= :room",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ExpressionAttributeValues": {
                ":more": _decimal(budget.minutes),
                ":room": _decimal(budget.limit - budget.minutes),
                ":ttl": _epoch(datetime.combine(budget.day, datetime.min.time(), UTC)) + 172_800,
            },
        }
    }


# ── Keys and reading ────────────────────────────────────────────────────────────────────────────


def meter_from(name: str, item: dict[str, Any] | None) -> Meter:
    """Return the meter of an item; without an item, one never seen."""
    if item is None:
        return Meter(name)
    return read(Meter, item["body"], version=int(item["version"]))


def entry_from(item: dict[str, Any]) -> Entry:
    """Return the journal entry of an item."""
    number = int(item["sk"].removeprefix("entry#"))
    return read(Entry, item["body"], number=number)


def key_of(key: str) -> str:
    """Return the sort key of an entry's key."""
    return "key#" + hashlib.sha256(key.encode()).hexdigest()


def number_of(number: int) -> str:
    """Return the sort key of an entry; of fixed width, so that it sorts by number."""
    return f"entry#{number:016}"


def budget_key(budget: Budget) -> tuple[str, str]:
    """Return the key of the minutes a token spent on a day."""
    return f"budget#{budget.token_id}", budget.day.isoformat()


def device_key(device: str) -> tuple[str, str]:
    """Return the key of a device's holder."""
    return f"device#{device}", "holder"


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))
