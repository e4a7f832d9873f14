"""Items of the table `meters`: where each is kept, what is written of it, and how it is read.

Beside `dynamodb`, which sends them. Each `write_…` is one part of a transaction, with the condition
under which it holds. Items are plain values; imports nothing of AWS.
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
from parkmeter.stores.records import read, written

UNSETTLED = "unsettled"
"""Name of the sparse index, and of the attribute that puts a meter into it."""

METER = "meter"
"""Sort key of the meter itself."""

# ── What is written ─────────────────────────────────────────────────────────────────────────────


def write_meter(table: str, committed: Meter, lines: int) -> dict[str, Any]:
    """The meter, over the version before it. `lines`: how many its journal has then."""
    item = {
        "pk": committed.name,
        "sk": METER,
        "version": committed.version,
        "lines": lines,
        "expires_at": committed.expires_at.isoformat(),
        "body": written(committed),
    }
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
    """Who holds a device from now on, if it is held as the claim says."""
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
    """A line of the journal under its number, and the key that makes it unique."""
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
                # TTL deletes late, up to days: an old key is as good as none.
                "ConditionExpression": "attribute_not_exists(pk) OR #at <= :old",
                "ExpressionAttributeNames": {"#at": "at"},
                "ExpressionAttributeValues": {":old": sortable(entry.at - KEY_LIFETIME)},
            }
        },
    ]


def write_budget(table: str, budget: Budget) -> dict[str, Any]:
    """Minutes added to what a token spent on a day, if they fit.

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


# ── Where it is, and what is read ───────────────────────────────────────────────────────────────


def meter_from(name: str, item: dict[str, Any] | None) -> Meter:
    """The meter; without an item, one never seen."""
    if item is None:
        return Meter(name)
    return read(Meter, item["body"], version=int(item["version"]))


def entry_from(item: dict[str, Any]) -> Entry:
    """The line of the journal."""
    number = int(item["sk"].removeprefix("entry#"))
    return read(Entry, item["body"], number=number)


def key_of(key: str) -> str:
    """Sort key of what makes an entry unique."""
    return "key#" + hashlib.sha256(key.encode()).hexdigest()


def number_of(number: int) -> str:
    """Sort key of a line; fixed width, so that text order is the order of numbers."""
    return f"entry#{number:016}"


def budget_key(budget: Budget) -> tuple[str, str]:
    """Where it is kept what a token spent on a day."""
    return f"budget#{budget.token_id}", budget.day.isoformat()


def device_key(device: str) -> tuple[str, str]:
    """Where it is kept who holds a device."""
    return f"device#{device}", "holder"


def sortable(moment: datetime) -> str:
    """Fixed width, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))
