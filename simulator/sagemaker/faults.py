"""What goes wrong on purpose, ordered by a test beforehand. Holds orders, acts on nothing."""

from collections import Counter
from dataclasses import dataclass, field

from simulator.sagemaker.refusals import DroppedError, RefusedError


@dataclass
class Faults:
    """Failures to inject.

    Lasting: `without_capacity` (instance types), `quotas` (instances by type; a type that is not
    named has no limit). The others are given by count and used up.
    """

    without_capacity: set[str] = field(default_factory=set)
    quotas: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._refusals: dict[str, list[RefusedError]] = {}
        self._lost: Counter[str] = Counter()
        self._failing: dict[str, list[str]] = {}

    def refuse(self, operation: str, refusal: RefusedError, times: int = 1) -> None:
        """The next `times` calls of this operation are refused without effect."""
        self._refusals.setdefault(operation, []).extend([refusal] * times)

    def lose_answers(self, operation: str, times: int = 1) -> None:
        """The next `times` calls take effect, but the connection ends before their answer."""
        self._lost[operation] += times

    def fail_next_create(self, endpoint: str, reason: str) -> None:
        """The next endpoint of this name ends Failed with this reason; more calls, more of them."""
        self._failing.setdefault(endpoint.lower(), []).append(reason)

    # ── Asked by the simulator ───────────────────────────────────────────────────────────────────

    def before(self, operation: str) -> None:
        """Raise what was ordered in place of the call."""
        ordered = self._refusals.get(operation)
        if ordered:
            raise ordered.pop(0)

    def after(self, operation: str) -> None:
        """Raise what was ordered in place of the answer."""
        if self._lost[operation]:
            self._lost[operation] -= 1
            raise DroppedError

    def failure_of_next(self, endpoint: str) -> str | None:
        """The reason for which this endpoint is to fail."""
        ordered = self._failing.get(endpoint.lower())
        return ordered.pop(0) if ordered else None
