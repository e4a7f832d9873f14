"""The Python client: `parkmeter.Client`, its values and its errors.

    with parkmeter.Client() as meter:
        meter.top_up("flan-t5", 30)
        meter.wait_until_running("flan-t5")
        meter.invoke("flan-t5", {"text_inputs": "Tell me a story."}).json()

More examples: docs/client.md.
"""

from parkmeter.client.client import Client
from parkmeter.client.errors import (
    ConflictProblem,
    MeterClosedProblem,
    NoAddressError,
    NotRunningError,
    NotServingProblem,
    ParkmeterProblem,
    RefusedProblem,
    UnreachableError,
)
from parkmeter.client.models import (
    AuditLine,
    Change,
    Endpoint,
    Health,
    JournalLine,
    NewToken,
    Receipt,
    ReceiptPart,
    ReceiptRun,
    Token,
    Usage,
    UsagePart,
)
from parkmeter.client.prompts import Event, Reply
from parkmeter.errors import ParkmeterError

__all__ = [
    "AuditLine",
    "Change",
    "Client",
    "ConflictProblem",
    "Endpoint",
    "Event",
    "Health",
    "JournalLine",
    "MeterClosedProblem",
    "NewToken",
    "NoAddressError",
    "NotRunningError",
    "NotServingProblem",
    "ParkmeterError",
    "ParkmeterProblem",
    "Receipt",
    "ReceiptPart",
    "ReceiptRun",
    "RefusedProblem",
    "Reply",
    "Token",
    "UnreachableError",
    "Usage",
    "UsagePart",
]
