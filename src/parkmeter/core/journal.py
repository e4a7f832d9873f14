"""The journal: who did what to a meter, when, why, and the expiry that resulted. Pure.

Entries are append-only. Each has a key that is unique per endpoint for `KEY_LIFETIME`: that is how
a repeated request, a repeated tick and two clocks at once all come to "once only".
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

KEY_LIFETIME = timedelta(days=7)
"""How long an idempotency key stands for the request it came with."""

SYSTEM = "parkmeter"
"""The `who` of everything no person asked for."""

OPERATOR = "operator"
"""The `who` of what was changed by hand around parkmeter, where nobody's name is told."""


class Kind(StrEnum):
    """What an entry records."""

    TOP_UP = "top-up"
    CREDIT = "credit"
    EJECT = "eject"
    START = "start"
    READY = "ready"
    STOP = "stop"
    FAILURE = "failure"
    WARNING = "warning"
    CLOCK = "clock"
    EDIT = "edit"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal.

    `expires_at` is the expiry after this entry and `amount` what it added (negative: gave up).
    `status` and `left` are what people were shown at `at`, so that a replayed request gets the
    very answer it got the first time. `request` is the fingerprint of the request that caused it.
    `number` is given by the store: it grows with every entry of an endpoint.
    """

    endpoint: str
    kind: Kind
    at: datetime
    who: str
    why: str
    key: str
    expires_at: datetime
    amount: timedelta = timedelta(0)
    status: str = ""
    left: timedelta = timedelta(0)
    request: str = ""
    variant: str | None = None
    price_per_hour: Decimal | None = None
    number: int = 0


def fingerprint(*parts: object) -> str:
    """A short digest of a request or a cause; equal parts give equal digests."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]
