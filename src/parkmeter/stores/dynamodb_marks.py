"""The marks of journals (`core.ledger`) in the table `meters`.

A mark is an item beside the journal's (`mark#…`), and the runs that ended before it one more
(`runs#…`), so that both are found by time. The meter's item has the moment of the newest mark as
`marked`: a commit sees there, without a further read, that its entry is of an earlier one. A mark
that was undone is overwritten, as functions may put items but not delete them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from parkmeter.core.journal import Entry
from parkmeter.core.ledger import EVERY, Mark, PricedRun, is_due, next_mark
from parkmeter.stores.dynamodb_items import METER
from parkmeter.stores.marks import body_of, read_mark, read_runs, runs_of
from parkmeter.stores.records import sortable

_MARK, _RUNS = "mark#", "runs#"
_END = "~"
"""Sorts after every digit."""

_LARGEST = 350_000
"""Characters; DynamoDB's limit for an item is 400 KB. A larger mark is left out."""

_AT_ONCE = 40
"""Marks in one transaction, which may have 100 writes (AWS)."""

_FEW = 4


class DynamoMarks:
    """The part of `ports.Store` that concerns marks. `client` takes and returns plain values.

    `journal`: as `ports.Store.journal`.
    """

    def __init__(
        self, client: Any, table: str, journal: Callable[[str, int, int | None], list[Entry]]
    ) -> None:
        self._client = client
        self._table = table
        self._journal = journal

    def marks(self, name: str, moment: datetime | None) -> tuple[Mark | None, Mark | None]:
        """See `ports.Store`."""
        if moment is None:
            return self._first(name, _MARK, _MARK + _END, backwards=True), None
        at = _MARK + sortable(moment)
        before = self._first(name, _MARK, at, backwards=True)
        return before, self._first(name, at, _MARK + _END, backwards=False)

    def past_runs(self, name: str, begin: datetime, end: datetime) -> list[PricedRun]:
        """See `ports.Store`."""
        items = self._items(name, _RUNS + sortable(begin), _RUNS + sortable(end))
        return [run for item in items for run in read_runs(item["runs"])]

    def add_marks(self, name: str, marks: Sequence[Mark], last: int) -> bool:
        """See `ports.Store`."""
        for start in range(0, len(marks), _AT_ONCE):
            if not self._add(name, marks[start : start + _AT_ONCE], last):
                return False
        return True

    def follow(
        self, present: dict[str, Any] | None, entries: Sequence[Entry], first: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return the writes of marks beside these entries, and the meter's new `marked`.

        Marks that an entry undoes are overwritten first: without them only time is lost.
        """
        marked: str | None = "" if present is None else present.get("marked")
        if not entries:
            return [], marked
        name = entries[0].endpoint
        earliest = min(sortable(entry.at) for entry in entries)
        if marked is None:  # written by an older version, which undid no marks
            marked = self._undo(name, "", earliest)
        elif marked > earliest:
            marked = self._undo(name, earliest, earliest)
        writes: list[dict[str, Any]] = []
        numbered = [replace(one, number=first + index) for index, one in enumerate(entries)]
        for index, entry in enumerate(numbered):
            if entry.number % EVERY:  # nearly always
                continue
            mark = self._next(name, numbered[: index + 1])
            if mark is not None and all(mark.at <= one.at for one in numbered[index + 1 :]):
                writes += self._writes(name, mark)
                marked = sortable(mark.at)
        return writes, marked

    # ── Inside ──────────────────────────────────────────────────────────────────────────────────

    def _next(self, name: str, entries: Sequence[Entry]) -> Mark | None:
        newest, _ = self.marks(name, None)
        if not is_due(entries[-1].number, newest):
            return None
        after, first = 0 if newest is None else newest.number, entries[0].number
        stored: list[Entry] = []
        while len(stored) < first - 1 - after:
            page = self._journal(name, first - 1 - after - len(stored), first - len(stored))
            if not page:
                return None
            stored += page
        return next_mark(newest, [*stored[::-1], *entries])

    def _undo(self, name: str, after: str, expires: str) -> str:
        """Overwrite the marks later than a moment; return that of the newest one left."""
        ttl = int(datetime.fromisoformat(expires).timestamp())
        for prefix in (_MARK, _RUNS):
            # Not those of exactly this moment, whose keys continue with a number.
            first = prefix + after + _END if after else prefix
            for item in list(self._items(name, first, prefix + _END)):
                key = {"pk": item["pk"], "sk": item["sk"]}
                self._client.put_item(
                    TableName=self._table, Item={**key, "undone": True, "ttl": ttl}
                )
        left, _ = self.marks(name, None)
        return "" if left is None else sortable(left.at)

    def _add(self, name: str, marks: Sequence[Mark], last: int) -> bool:
        key = {"pk": name, "sk": METER}
        found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        meter = found.get("Item")
        if meter is None or int(meter["lines"]) != last:
            return False
        newest = max([meter.get("marked") or "", *(sortable(mark.at) for mark in marks)])
        # A higher version: a commit that read the meter before is stale, and sees the marks next.
        item = {**meter, "version": int(meter["version"]) + 1, "marked": newest}
        put = {
            "TableName": self._table,
            "Item": item,
            "ConditionExpression": "version = :read",
            "ExpressionAttributeValues": {":read": meter["version"]},
        }
        writes = [write for mark in marks for write in self._writes(name, mark)]
        try:
            self._client.transact_write_items(TransactItems=[{"Put": put}, *writes])
        except self._client.exceptions.TransactionCanceledException:
            return False
        return True

    def _writes(self, name: str, mark: Mark) -> Iterator[dict[str, Any]]:
        body, runs = body_of(mark), runs_of(mark)
        if len(body) + len(runs or "") > _LARGEST:
            return
        key = f"{sortable(mark.at)}#{mark.number:016}"
        item = {"pk": name, "sk": _MARK + key, "body": body, "lasting": mark.lasting}
        if runs is not None:
            item["runs"] = runs
            ended = {"pk": name, "sk": _RUNS + key, "runs": runs}
            yield {"Put": {"TableName": self._table, "Item": ended}}
        yield {"Put": {"TableName": self._table, "Item": item}}

    def _first(self, name: str, first: str, last: str, *, backwards: bool) -> Mark | None:
        for item in self._items(name, first, last, backwards=backwards, limit=_FEW):
            return read_mark(item["body"], item.get("runs"), lasting=bool(item["lasting"]))
        return None

    def _items(
        self, name: str, first: str, last: str, *, backwards: bool = False, limit: int | None = None
    ) -> Iterable[dict[str, Any]]:
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :name AND sk BETWEEN :first AND :last",
            "FilterExpression": "attribute_not_exists(undone)",
            "ExpressionAttributeValues": {":name": name, ":first": first, ":last": last},
            "ScanIndexForward": not backwards,
            "ConsistentRead": True,
        }
        if limit is not None:
            request["Limit"] = limit
        while True:
            page = self._client.query(**request)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
