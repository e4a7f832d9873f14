"""The receipt that a replay of every line gives, to compare with one that is made from marks."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from parkmeter.core.journal import Entry
from parkmeter.core.ledger import Segment
from parkmeter.core.receipt import Receipt, receipt_between


def receipt(
    entries: Iterable[Entry],
    endpoint: str,
    price: Decimal | None,
    begin: datetime,
    end: datetime,
) -> Receipt:
    """Return the receipt from `begin` to `end` from all entries of an endpoint, in their order."""
    segment = Segment(None, list(entries), price, origin=begin)
    last = segment.position(end)
    return receipt_between(endpoint, price, segment.position(begin), last, last.ended)
