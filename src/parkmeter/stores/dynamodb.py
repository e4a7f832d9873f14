"""The store on AWS: two DynamoDB tables, every commit one transaction.

Table `meters` holds, per endpoint (`pk`), the meter (`sk` = `meter`), the journal (`entry#…`) and
the keys that make entries unique (`key#…`, deleted by TTL); also the holders of devices
(`pk` = `device#…`), the minutes tokens spent (`budget#…`) and their changes (`changes#…`). Its
sparse index `unsettled` has the meters the clock must look at. Table `auth` holds the tokens under
the ancestor's key, `token`.
"""

import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from parkmeter.core.audit import Record
from parkmeter.core.device import Claim
from parkmeter.core.journal import KEY_LIFETIME, Entry, Kind
from parkmeter.core.ledger import Mark, PricedRun
from parkmeter.core.meter import Meter
from parkmeter.core.tokens import Token
from parkmeter.errors import OverBudgetError, StoreBusyError
from parkmeter.ports import Budget, DuplicateError, StaleError
from parkmeter.stores.dynamodb_access import TRANSIENT, DynamoAccess
from parkmeter.stores.dynamodb_items import (
    METER,
    UNSETTLED,
    budget_key,
    device_key,
    entry_from,
    key_of,
    meter_from,
    number_of,
    write_budget,
    write_claim,
    write_entry,
    write_meter,
)
from parkmeter.stores.dynamodb_marks import DynamoMarks
from parkmeter.stores.dynamodb_outbox import write_posted
from parkmeter.stores.dynamodb_tokens import presented_token

_BATCH = 100
"""The limit of BatchGetItem (AWS)."""

_GIVE_UP_SECONDS = 10.0
"""Time for which transient errors are retried, with jitter."""

_LONGEST_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Tables:
    """Names of the two tables."""

    meters: str = "meters"
    auth: str = "auth"


class DynamoStore:
    """Implements `ports.Store` over the client of boto3's DynamoDB resource.

    That client takes and returns plain values and, unlike the resource, is safe from any thread.
    `posts`: kinds of entries to post; see `dynamodb_outbox`. `pause` sleeps for some seconds;
    `ticks` is a monotonic clock.
    """

    def __init__(
        self,
        client: Any,
        tables: Tables | None = None,
        *,
        posts: Collection[Kind] = (),
        pause: Callable[[float], None] = time.sleep,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._tables = tables or Tables()
        self._posts = posts
        self._pause = pause
        self._ticks = ticks
        self._access = DynamoAccess(
            client, self._tables.meters, self._tables.auth, pause=pause, ticks=ticks
        )
        self._marks = DynamoMarks(client, self._tables.meters, self.journal)

    def load(self, name: str) -> Meter:
        """See `ports.Store`."""
        return meter_from(name, self._item(name, METER))

    def meters(self, names: Collection[str]) -> dict[str, Meter]:
        """See `ports.Store`. One call for every hundred."""
        found: dict[str, Meter] = {}
        pending = [{"pk": name, "sk": METER} for name in dict.fromkeys(names)]
        give_up = self._ticks() + _GIVE_UP_SECONDS
        while pending:
            request = {"Keys": pending[:_BATCH], "ConsistentRead": True}
            response = self._client.batch_get_item(RequestItems={self._tables.meters: request})
            for item in response["Responses"].get(self._tables.meters, ()):
                found[item["pk"]] = meter_from(item["pk"], item)
            left = response.get("UnprocessedKeys", {}).get(self._tables.meters, {}).get("Keys", [])
            pending = left + pending[_BATCH:]
            if left:
                if self._ticks() >= give_up:
                    raise StoreBusyError
                self._pause(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 (jitter)
        return {name: found.get(name) or Meter(name) for name in names}

    def holder(self, device: str) -> str | None:
        """See `ports.Store`."""
        item = self._item(*device_key(device))
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
        known = self._item(name, key_of(key))
        if known is None or datetime.fromisoformat(known["at"]) <= since:
            return None
        return self._entry(name, int(known["number"]))

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """See `ports.Store`."""
        last = number_of((1 << 53) if before is None else before - 1)
        items = self._client.query(
            TableName=self._tables.meters,
            KeyConditionExpression="pk = :name AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={":name": name, ":first": number_of(0), ":last": last},
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=True,
        )["Items"]
        return [entry_from(item) for item in items]

    def marks(self, name: str, moment: datetime | None) -> tuple[Mark | None, Mark | None]:
        """See `ports.Store`."""
        return self._marks.marks(name, moment)

    def past_runs(self, name: str, begin: datetime, end: datetime) -> list[PricedRun]:
        """See `ports.Store`."""
        return self._marks.past_runs(name, begin, end)

    def add_marks(self, name: str, marks: Sequence[Mark], last: int) -> bool:
        """See `ports.Store`."""
        return self._marks.add_marks(name, marks, last)

    def tokens(self) -> list[Token]:
        """See `ports.Store`."""
        return self._access.tokens()

    def put_token(self, token: Token, record: Record | None = None) -> None:
        """See `ports.Store`."""
        self._access.put_token(token, record)

    def remove_token(self, token_id: str, record: Record | None = None) -> bool:
        """See `ports.Store`."""
        return self._access.remove_token(token_id, record)

    def note(self, record: Record) -> None:
        """See `ports.Store`."""
        self._access.note(record)

    def audit(self, limit: int, before: int | None = None) -> list[Record]:
        """See `ports.Store`."""
        return self._access.audit(limit, before)

    def close(self) -> None:
        """See `ports.Store`: boto3 holds none."""

    # ── One transaction ─────────────────────────────────────────────────────────────────────────

    def _commit_once(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None,
        claim: Claim | None,
    ) -> Meter:
        present = self._item(meter.name, METER)
        if (int(present["version"]) if present else 0) != meter.version:
            for entry in entries:
                self._refuse_duplicate(entry)
            raise StaleError(meter.name)
        first = int(present["lines"]) + 1 if present else self._after_last(meter.name)
        committed = replace(meter, version=meter.version + 1)
        marks, marked = self._marks.follow(present, entries, first)
        lines = first - 1 + len(entries)
        writes = [write_meter(self._tables.meters, committed, lines, marked)]
        if claim is not None:
            writes += write_claim(self._tables.meters, claim, meter.name)
        conditional = len(writes)  # if one of these conditions fails, the meter is stale
        for number, entry in enumerate(entries, start=first):
            writes += write_entry(self._tables.meters, entry, number)
            if entry.kind in self._posts:
                writes.append(write_posted(self._tables.meters, entry, number))
        writes += marks
        if budget is not None:
            writes.append(write_budget(self._tables.meters, budget))
        try:
            self._client.transact_write_items(TransactItems=writes)
        except self._client.exceptions.TransactionCanceledException as error:
            self._explain(error, meter, entries, budget, conditional)
        except ClientError as error:
            if error.response["Error"]["Code"] in TRANSIENT:
                raise _ConflictError from error
            raise
        return committed

    def _explain(
        self,
        error: ClientError,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None,
        conditional: int,
    ) -> None:
        """Raise the error that the reasons of a cancelled transaction mean."""
        codes = [reason.get("Code") for reason in error.response["CancellationReasons"]]
        if not TRANSIENT.isdisjoint(codes):
            raise _ConflictError from error
        for entry in entries:
            self._refuse_duplicate(entry)
        if "ConditionalCheckFailed" in codes[:conditional]:
            raise StaleError(meter.name) from error
        if budget is not None and codes[-1] == "ConditionalCheckFailed":
            spent = self._item(*budget_key(budget)) or {}
            left = budget.limit - float(spent.get("minutes", 0))
            raise OverBudgetError(limit_minutes=budget.limit, left_minutes=max(0.0, left))
        raise error

    # ── Reading ─────────────────────────────────────────────────────────────────────────────────

    def _refuse_duplicate(self, entry: Entry) -> None:
        known = self.entry(entry.endpoint, entry.key, entry.at - KEY_LIFETIME)
        if known is not None:
            raise DuplicateError(known)

    def _after_last(self, name: str) -> int:
        """Return the number of the next entry of a journal whose meter has no item.

        An item that was deleted by hand leaves its journal. From 1 on every entry would be refused,
        and an endpoint that still runs could not be stopped.
        """
        last = self.journal(name, 1)
        return last[0].number + 1 if last else 1

    def _entry(self, name: str, number: int) -> Entry | None:
        item = self._item(name, number_of(number))
        return entry_from(item) if item else None

    def _item(self, pk: str, sk: str) -> dict[str, Any] | None:
        found = self._client.get_item(
            TableName=self._tables.meters, Key={"pk": pk, "sk": sk}, ConsistentRead=True
        )
        item: dict[str, Any] | None = found.get("Item")
        return item


class _ConflictError(Exception):
    """Raised on a conflicting transaction or on throttling."""


def token_of(client: Any, auth_table: str, secret: str) -> Token | None:
    """Return the token for a presented secret, or None; see `presented_token`.

    The read is consistent: a token is valid as soon as it is stored.
    """

    def find(key: str) -> dict[str, Any] | None:
        found = client.get_item(TableName=auth_table, Key={"token": key}, ConsistentRead=True)
        item: dict[str, Any] | None = found.get("Item")
        return item

    return presented_token(find, secret)


# ── Pages ───────────────────────────────────────────────────────────────────────────────────────


def _pages(call: Callable[..., Any], **arguments: Any) -> Iterator[dict[str, Any]]:
    while True:
        response = call(**arguments)
        yield from response["Items"]
        if "LastEvaluatedKey" not in response:
            return
        arguments["ExclusiveStartKey"] = response["LastEvaluatedKey"]
