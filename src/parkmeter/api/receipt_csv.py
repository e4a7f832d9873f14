"""A receipt as CSV (RFC 4180), for spreadsheets: a row for each buyer, one for the whole. Pure.

The money is that of the receipt, as text with all its digits; what is unknown is empty.
"""

import csv
import io
from datetime import timedelta
from decimal import Decimal

from parkmeter.core.receipt import Receipt
from parkmeter.core.time_text import iso

HEADINGS = (
    "row",
    "endpoint",
    "from",
    "to",
    "who",
    "hours_on",
    "cost",
    "minutes_bought",
    "always_on_cost",
    "saved",
    "unpriced_hours",
    "known_cost",
)
"""`row` is buyer or total, so that nobody's name can be taken for the total."""

_FORMULA = tuple("=+-@\t\r")
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


def receipt_csv(receipt: Receipt) -> str:
    """The whole document, with its headings; lines end as the format has it."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(HEADINGS)
    period = (receipt.endpoint, iso(receipt.begin), iso(receipt.end))
    for part in receipt.parts:
        of_part = (_count(part.time_on, _HOUR), _dollars(part.cost), _count(part.bought, _MINUTE))
        rows.writerow(("buyer", *period, _safe(part.who), *of_part, "", "", "", ""))
    bought = sum((part.bought for part in receipt.parts), timedelta(0))
    rows.writerow(
        (
            "total",
            *period,
            "",
            _count(receipt.time_on, _HOUR),
            _dollars(receipt.cost),
            _count(bought, _MINUTE),
            _dollars(receipt.always_on_cost),
            _dollars(receipt.saved),
            _count(receipt.unpriced, _HOUR),
            _dollars(receipt.known_cost),
        )
    )
    return text.getvalue()


def _dollars(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:f}"


def _count(amount: timedelta, unit: timedelta) -> str:
    return f"{amount / unit:.6f}"


def _safe(name: str) -> str:
    """A name that no spreadsheet takes for a formula: whoever names a token must not run one."""
    return f"'{name}" if name.startswith(_FORMULA) else name
