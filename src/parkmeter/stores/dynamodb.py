"""The store on AWS: two DynamoDB tables, every commit one transaction.

Table `meters` holds, per endpoint (`pk`), the meter (`sk` = `meter`), the journal (`entry#…`) and
the keys that make entries unique (`key#…`, gone by TTL); beside them who holds a device
(`pk` = `device#…`) and what tokens spent (`budget#…`). Its sparse index `unsettled` names the
meters that need looking at. Table `auth` holds the tokens under the ancestor's key, `token`.
"""

import hashlib
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

from parkmeter.device import Claim
from parkmeter.errors import OverBudgetError, StoreBusyError
from parkmeter.journal import KEY_LIFETIME, Entry
from parkmeter.meter import Meter
from parkmeter.ports import Budget, DuplicateError, StaleError
from parkmeter.stores.dynamodb_tokens import item_of, presented_token, token_from
from parkmeter.stores.records import read, written
from parkmeter.tokens import Token

UNSETTLED = "unsettled"
"""Name of the sparse index, and of the attribute that puts a meter into it."""

_METER = "meter"
_A_BATCH = 100
"""The most that BatchGetItem takes (AWS)."""

_GIVE_UP_SECONDS = 10.0
"""Another transaction on the same items cancels ours; so long it is tried again, with jitter."""

_LONGEST_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Tables:
    """Names of the two tables."""

    meters: str = "meters"
    auth: str = "auth"


class DynamoStore:
    """Implements `ports.Store` over the client of boto3's DynamoDB resource.

    That client takes and gives plain values and, unlike the resource, is safe from any thread.
    `pause` sleeps for some seconds; `ticks` is a clock that only goes forward.
    """

    def __init__(
        self,
        client: Any,
        tables: Tables | None = None,
        *,
        pause: Callable[[float], None] = time.sleep,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._tables = tables or Tables()
        self._pause = pause
        self._ticks = ticks

    def load(self, name: str) -> Meter:
        """See `ports.Store`."""
        return _meter(name, self._item(name, _METER))

    def meters(self, names: Collection[str]) -> dict[str, Meter]:
        """See `ports.Store`. One call for every hundred."""
        found: dict[str, Meter] = {}
        waiting = [{"pk": name, "sk": _METER} for name in dict.fromkeys(names)]
        give_up = self._ticks() + _GIVE_UP_SECONDS
        while waiting:
            wanted = {"Keys": waiting[:_A_BATCH], "ConsistentRead": True}
            answer = self._client.batch_get_item(RequestItems={self._tables.meters: wanted})
            for item in answer["Responses"].get(self._tables.meters, ()):
                found[item["pk"]] = _meter(item["pk"], item)
            left = answer.get("UnprocessedKeys", {}).get(self._tables.meters, {}).get("Keys", [])
            waiting = left + waiting[_A_BATCH:]
            if left:
                if self._ticks() >= give_up:
                    raise StoreBusyError
                self._pause(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 (jitter)
        return {name: found.get(name) or Meter(name) for name in names}

    def holder(self, device: str) -> str | None:
        """See `ports.Store`."""
        item = self._item(*_device_key(device))
        return None if item is None else str(item["holder"])

    def unsettled(self) -> Iterator[str]:
        """See `ports.Store`. The index lags by a moment."""
        for item in _pages(
            self._client.query,
            TableName=self._tables.meters,
            IndexName=UNSETTLED,
            KeyConditionExpression="#u = :yes",
            ExpressionAttributeNames={"#u": UNSETTLED},
            ExpressionAttributeValues={":yes": 1},
        ):
            yield item["pk"]

    def commit(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None = None,
        claim: Claim | None = None,
    ) -> Meter:
        """See `ports.Store`."""
        give_up = self._ticks() + _GIVE_UP_SECONDS
        pause = 0.01
        while True:
            try:
                return self._commit_once(meter, entries, budget, claim)
            except _ConflictError:
                if self._ticks() >= give_up:
                    raise StoreBusyError from None
                self._pause(random.uniform(0, pause))  # noqa: S311 (jitter)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def entry(self, name: str, key: str, since: datetime) -> Entry | None:
        """See `ports.Store`."""
        known = self._item(name, _key(key))
        if known is None or datetime.fromisoformat(known["at"]) <= since:
            return None
        return self._entry(name, int(known["number"]))

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """See `ports.Store`."""
        last = _number((1 << 53) if before is None else before - 1)
        items = self._client.query(
            TableName=self._tables.meters,
            KeyConditionExpression="pk = :name AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={":name": name, ":first": _number(0), ":last": last},
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=True,
        )["Items"]
        return [_entry(item) for item in items]

    def tokens(self) -> list[Token]:
        """See `ports.Store`. A pass code that somebody put there by hand is a token like others."""
        found = [
            token_from(item) for item in _pages(self._client.scan, TableName=self._tables.auth)
        ]
        return sorted(found, key=lambda token: (token.created_at, token.id))

    def put_token(self, token: Token) -> None:
        """See `ports.Store`."""
        old = self._token_keys(token.id) - {token.digest}
        self._client.put_item(TableName=self._tables.auth, Item=item_of(token))
        self._delete_tokens(old)

    def remove_token(self, token_id: str) -> bool:
        """See `ports.Store`."""
        keys = self._token_keys(token_id)
        self._delete_tokens(keys)
        return bool(keys)

    def close(self) -> None:
        """See `ports.Store`: boto3 keeps nothing that must be let go of."""

    # ── One transaction ─────────────────────────────────────────────────────────────────────────

    def _commit_once(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None,
        claim: Claim | None,
    ) -> Meter:
        present = self._item(meter.name, _METER)
        if (int(present["version"]) if present else 0) != meter.version:
            for entry in entries:
                self._refuse_duplicate(entry)
            raise StaleError(meter.name)
        first = int(present["lines"]) + 1 if present else 1
        committed = replace(meter, version=meter.version + 1)
        writes = [self._write_meter(committed, lines=first - 1 + len(entries))]
        if claim is not None:
            writes += self._write_claim(claim, meter.name)
        read = len(writes)  # so many are at what was read, or all is stale
        for number, entry in enumerate(entries, start=first):
            writes += self._write_entry(entry, number)
        if budget is not None:
            writes.append(self._write_budget(budget))
        try:
            self._client.transact_write_items(TransactItems=writes)
        except self._client.exceptions.TransactionCanceledException as error:
            self._explain(error, meter, entries, budget, read)
        return committed

    def _explain(
        self,
        error: ClientError,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None,
        read: int,
    ) -> None:
        """Turn the reasons of a cancelled transaction into what they mean here."""
        codes = [reason.get("Code") for reason in error.response["CancellationReasons"]]
        if "TransactionConflict" in codes:
            raise _ConflictError from error
        for entry in entries:
            self._refuse_duplicate(entry)
        if "ConditionalCheckFailed" in codes[:read]:
            raise StaleError(meter.name) from error
        if budget is not None and codes[-1] == "ConditionalCheckFailed":
            spent = self._item(*_budget_key(budget)) or {}
            left = budget.limit - float(spent.get("minutes", 0))
            raise OverBudgetError(limit_minutes=budget.limit, left_minutes=max(0.0, left))
        raise error

    def _write_meter(self, committed: Meter, lines: int) -> dict[str, Any]:
        item = {
            "pk": committed.name,
            "sk": _METER,
            "version": committed.version,
            "lines": lines,
            "expires_at": committed.expires_at.isoformat(),
            "body": written(committed),
        }
        if not committed.settled:
            item[UNSETTLED] = 1
        put: dict[str, Any] = {"TableName": self._tables.meters, "Item": item}
        if committed.version == 1:
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            put["ConditionExpression"] = "version = :read"
            put["ExpressionAttributeValues"] = {":read": committed.version - 1}
        return {"Put": put}

    def _write_claim(self, claim: Claim, name: str) -> list[dict[str, Any]]:
        pk, sk = _device_key(claim.device)
        put: dict[str, Any] = {
            "TableName": self._tables.meters,
            "Item": {"pk": pk, "sk": sk, "holder": name},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if claim.held_by is not None:
            put["ConditionExpression"] = "holder = :seen"
            put["ExpressionAttributeValues"] = {":seen": claim.held_by}
        if claim.held_by in {None, name}:
            return [{"Put": put}]
        unchanged = {
            "TableName": self._tables.meters,
            "Key": {"pk": claim.held_by, "sk": _METER},
            "ConditionExpression": "version = :read",
            "ExpressionAttributeValues": {":read": claim.version},
        }
        return [{"Put": put}, {"ConditionCheck": unchanged}]

    def _write_entry(self, entry: Entry, number: int) -> list[dict[str, Any]]:
        line = {"pk": entry.endpoint, "sk": _number(number), "body": written(entry)}
        key = {
            "pk": entry.endpoint,
            "sk": _key(entry.key),
            "at": _sortable(entry.at),
            "number": number,
            "ttl": _epoch(entry.at + KEY_LIFETIME + timedelta(days=1)),
        }
        return [
            {
                "Put": {
                    "TableName": self._tables.meters,
                    "Item": line,
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            },
            {
                "Put": {
                    "TableName": self._tables.meters,
                    "Item": key,
                    # TTL deletes late, up to days: an old key is as good as none.
                    "ConditionExpression": "attribute_not_exists(pk) OR #at <= :old",
                    "ExpressionAttributeNames": {"#at": "at"},
                    "ExpressionAttributeValues": {":old": _sortable(entry.at - KEY_LIFETIME)},
                }
            },
        ]

    def _write_budget(self, budget: Budget) -> dict[str, Any]:
        if budget.minutes > budget.limit:
            raise OverBudgetError(limit_minutes=budget.limit, left_minutes=budget.limit)
        pk, sk = _budget_key(budget)
        return {
            "Update": {
                "TableName": self._tables.meters,
                "Key": {"pk": pk, "sk": sk},
                "UpdateExpression": "ADD minutes :more SET #ttl = :ttl",
                "ConditionExpression": "attribute_not_exists(minutes) OR minutes <= :room",
                "ExpressionAttributeNames": {"#ttl": "ttl"},
                "ExpressionAttributeValues": {
                    ":more": _decimal(budget.minutes),
                    ":room": _decimal(budget.limit - budget.minutes),
                    ":ttl": _epoch(datetime.combine(budget.day, datetime.min.time(), UTC))
                    + 172_800,
                },
            }
        }

    # ── Reading ─────────────────────────────────────────────────────────────────────────────────

    def _refuse_duplicate(self, entry: Entry) -> None:
        known = self.entry(entry.endpoint, entry.key, entry.at - KEY_LIFETIME)
        if known is not None:
            raise DuplicateError(known)

    def _entry(self, name: str, number: int) -> Entry | None:
        item = self._item(name, _number(number))
        return _entry(item) if item else None

    def _item(self, pk: str, sk: str) -> dict[str, Any] | None:
        found = self._client.get_item(
            TableName=self._tables.meters, Key={"pk": pk, "sk": sk}, ConsistentRead=True
        )
        item: dict[str, Any] | None = found.get("Item")
        return item

    def _delete_tokens(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._client.delete_item(TableName=self._tables.auth, Key={"token": key})

    def _token_keys(self, token_id: str) -> set[str]:
        return {
            item["token"]
            for item in _pages(self._client.scan, TableName=self._tables.auth)
            if token_from(item).id == token_id
        }


class _ConflictError(Exception):
    """Raised when another transaction was at work on the same items."""


def token_of(client: Any, auth_table: str, secret: str) -> Token | None:
    """The token for a presented secret, issued by us or put there by hand; None if there is none.

    See `presented_token`. Read consistently: a token works as soon as it is there.
    """

    def find(key: str) -> dict[str, Any] | None:
        found = client.get_item(TableName=auth_table, Key={"token": key}, ConsistentRead=True)
        item: dict[str, Any] | None = found.get("Item")
        return item

    return presented_token(find, secret)


# ── Items ───────────────────────────────────────────────────────────────────────────────────────


def _pages(call: Callable[..., Any], **arguments: Any) -> Iterator[dict[str, Any]]:
    while True:
        answer = call(**arguments)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _meter(name: str, item: dict[str, Any] | None) -> Meter:
    if item is None:
        return Meter(name)
    return replace(read(Meter, item["body"]), version=int(item["version"]))


def _entry(item: dict[str, Any]) -> Entry:
    number = int(item["sk"].removeprefix("entry#"))
    return replace(read(Entry, item["body"]), number=number)


def _key(key: str) -> str:
    return "key#" + hashlib.sha256(key.encode()).hexdigest()


def _number(number: int) -> str:
    """Fixed width, so that text order is the order of numbers."""
    return f"entry#{number:016}"


def _budget_key(budget: Budget) -> tuple[str, str]:
    return f"budget#{budget.token_id}", budget.day.isoformat()


def _device_key(device: str) -> tuple[str, str]:
    return f"device#{device}", "holder"


def _sortable(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))
