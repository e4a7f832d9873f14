"""Fault injection: the failures that a test requests in advance."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from simulator.sagemaker.refusals import DroppedError, RefusedError, throttled

_SECOND = timedelta(seconds=1)


@dataclass
class Faults:
    """Failures to inject.

    `without_capacity` (instance types), `quotas` (instances by type; no limit for others) and
    `rates` (calls a second by operation; more are throttled) last.
    The faults of the methods are counted and used up.
    """

    without_capacity: set[str] = field(default_factory=set)
    quotas: dict[str, int] = field(default_factory=dict)
    rates: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._refusals: dict[str, list[RefusedError]] = {}
        self._lost: Counter[str] = Counter()
        self._failing: dict[str, list[str]] = {}
        self._recent: dict[str, list[datetime]] = {}

    def refuse(self, operation: str, refusal: RefusedError, times: int = 1) -> None:
        """Refuse the next `times` calls of this operation, without effect."""
        self._refusals.setdefault(operation, []).extend([refusal] * times)

    def lose_answers(self, operation: str, times: int = 1) -> None:
        """Close the connection before the answer of the next `times` calls, which take effect."""
        self._lost[operation] += times

    def fail_next_create(self, endpoint: str, reason: str) -> None:
        """Let the next endpoint of this name end Failed with this reason; calls add up."""
        self._failing.setdefault(endpoint.lower(), []).append(reason)

    # ── For the simulator ────────────────────────────────────────────────────────────────────────

    def before(self, operation: str, now: datetime) -> None:
        """Raise the refusal requested for this call, or that of its rate."""
        if operation in self.rates:
            recent = [at for at in self._recent.get(operation, ()) if at > now - _SECOND]
            self._recent[operation] = recent
            if len(recent) >= self.rates[operation]:
                raise throttled()
            recent.append(now)
        if requested := self._refusals.get(operation):
            raise requested.pop(0)

    def after(self, operation: str) -> None:
        """Raise DroppedError if the answer is to be lost."""
        if self._lost[operation]:
            self._lost[operation] -= 1
            raise DroppedError

    def failure_of_next(self, endpoint: str) -> str | None:
        """Return the reason with which this endpoint is to fail; None if it is not."""
        requested = self._failing.get(endpoint.lower())
        return requested.pop(0) if requested else None
