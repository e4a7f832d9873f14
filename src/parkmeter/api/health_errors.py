"""The errors of `GET /health`."""

from collections.abc import Mapping
from typing import Any

from parkmeter.errors import ParkmeterError


class ClockStoppedError(ParkmeterError):
    """Raised when the clock no longer calls reconcile: this gateway does not watch its meters."""

    code = "clock_stopped"
    title = "The clock has stopped"
    text = (
        "Requests are answered, but the clock is not running, so no endpoint is started or stopped "
        "in time. Restart the gateway; until then the leashes keep to the deadlines they have. On "
        "AWS, read the log of the clock's function."
    )


class UnhealthyError(ParkmeterError):
    """Raised when the gateway answers but cannot do all of its work; `reasons` are stable codes."""

    code = "unhealthy"
    title = "The gateway cannot do all of its work"

    def __init__(self, faults: Mapping[str, str], **data: Any) -> None:
        super().__init__(" ".join(faults.values()), reasons=list(faults), **data)
