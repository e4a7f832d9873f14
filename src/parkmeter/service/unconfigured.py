"""Endpoints that the configuration names no more: ended, with the drain they were promised.

Their meters keep their time, should they come back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from parkmeter.core import decide as decisions
from parkmeter.core import meter as rules
from parkmeter.core.decision import Decision, Observed, Rest
from parkmeter.core.meter import Meter, Phase, Spec
from parkmeter.service.reconciler import Reconciler


@dataclass(frozen=True, slots=True)
class _Left:
    """How an endpoint was, and since when it is not configured."""

    spec: Spec
    since: datetime


@dataclass(slots=True)
class UnconfiguredEndpoints:
    """Whoever left since this began; one mapping that `configured` replaces whole."""

    reconciler: Reconciler
    _left: Mapping[str, _Left] = field(default_factory=dict)

    def configured(self, before: Mapping[str, Spec], after: Iterable[str]) -> list[str]:
        """Keep what was configured before and is not after; returns who has left just now."""
        now, after = self.reconciler.clock.now(), frozenset(after)
        just_now = {name: _Left(spec, now) for name, spec in before.items() if name not in after}
        known = {**self._left, **just_now}
        self._left = {name: left for name, left in known.items() if name not in after}
        return list(just_now)

    @property
    def specs(self) -> dict[str, Spec]:
        """As each was configured last."""
        return {name: left.spec for name, left in self._left.items()}

    def reconcile(self, name: str, read: Meter | None) -> datetime | None:
        """Bring one that is not configured to its end; see `Reconciler.reconcile`."""
        left = self._left.get(name)
        spec = left.spec if left else Spec(name)
        return self.reconciler.reconcile(spec, self._end, read)

    def _end(self, spec: Spec, meter: Meter, observed: Observed) -> Decision:
        now = self.reconciler.clock.now()
        if not rules.is_open(meter, now):
            return self.reconciler.decide(spec, meter, observed)
        left = self._left.get(spec.name)
        begun = meter.run.phase is Phase.STOPPING or observed.phase is Phase.STOPPING
        if left and not begun and self.reconciler.gate.in_flight(spec.name):
            drained = left.since + spec.drain
            if now < drained:
                return Decision(Rest(), meter, check_at=min(drained, now + decisions.SOON))
        return decisions.park(spec, meter, observed, decisions.UNCONFIGURED, now)
