"""Tokens in the table `auth`, and the audit in the table `meters`, on DynamoDB."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from parkmeter.core.audit import Record
from parkmeter.core.tokens import Token
from parkmeter.errors import StoreBusyError
from parkmeter.stores.dynamodb_audit import (
    AUDIT_PARTITION,
    number_of_record,
    record_from,
    record_key,
    write_record,
)
from parkmeter.stores.dynamodb_tokens import id_of, item_of, token_in

_GIVE_UP_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 0.2

TRANSIENT = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionInProgressException",
    }
)
"""Another transaction on the same items, or too much at once (DynamoDB, TransactWriteItems)."""

_NUMBER_TAKEN = "ConditionalCheckFailed"


class DynamoAccess:
    """The part of `ports.Store` that is about tokens and the audit. See `DynamoStore`."""

    def __init__(
        self,
        client: Any,
        meters_table: str,
        auth_table: str,
        *,
        pause: Callable[[float], None] = time.sleep,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._meters = meters_table
        self._auth = auth_table
        self._pause = pause
        self._ticks = ticks

    def tokens(self) -> list[Token]:
        """See `ports.Store`. A pass code put there by hand is a token like others.

        An invalid item must not hide the others: it is left out, and is no valid credential.
        """
        found = [token for item in self._items() if (token := token_in(item)) is not None]
        return sorted(found, key=lambda token: (token.created_at, token.id))

    def put_token(self, token: Token, record: Record | None) -> None:
        """See `ports.Store`."""
        put = {"Put": {"TableName": self._auth, "Item": item_of(token)}}
        self._write([put, *self._deletes(self._keys(token.id) - {token.digest})], record)

    def remove_token(self, token_id: str, record: Record | None) -> bool:
        """See `ports.Store`."""
        keys = self._keys(token_id)
        if keys:
            self._write(self._deletes(keys), record)
        return bool(keys)

    def note(self, record: Record) -> None:
        """See `ports.Store`."""
        self._write([], record)

    def audit(self, limit: int, before: int | None) -> list[Record]:
        """See `ports.Store`."""
        items = self._client.query(
            TableName=self._meters,
            KeyConditionExpression="pk = :audit AND sk < :before",
            ExpressionAttributeValues={
                ":audit": AUDIT_PARTITION,
                ":before": record_key((1 << 53) if before is None else before),
            },
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=True,
        )["Items"]
        return [record_from(item) for item in items]

    def _write(self, writes: list[dict[str, Any]], record: Record | None) -> None:
        """Make these writes and append the record, or neither.

        Raises:
            StoreBusyError: nothing changed.

        """
        give_up = self._ticks() + _GIVE_UP_SECONDS
        number = 0 if record is None else number_of_record(record)
        while True:
            audit = [] if record is None else [write_record(self._meters, record, number)]
            try:
                self._client.transact_write_items(TransactItems=[*writes, *audit])
            except ClientError as error:
                reasons = error.response.get("CancellationReasons", ())
                codes = {error.response["Error"]["Code"], *(one.get("Code") for one in reasons)}
                if codes.isdisjoint(TRANSIENT | {_NUMBER_TAKEN}):
                    raise
                if self._ticks() >= give_up:
                    raise StoreBusyError from None
                self._pause(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 (jitter)
                number += 1
            else:
                return

    def _deletes(self, keys: Iterable[str]) -> list[dict[str, Any]]:
        return [{"Delete": {"TableName": self._auth, "Key": {"token": key}}} for key in keys]

    def _keys(self, token_id: str) -> set[str]:
        return {item["token"] for item in self._items() if id_of(item) == token_id}

    def _items(self) -> Iterator[dict[str, Any]]:
        # Consistent, so that a token issued a moment ago can be revoked.
        arguments: dict[str, Any] = {"TableName": self._auth, "ConsistentRead": True}
        while True:
            response = self._client.scan(**arguments)
            yield from response["Items"]
            if "LastEvaluatedKey" not in response:
                return
            arguments["ExclusiveStartKey"] = response["LastEvaluatedKey"]
