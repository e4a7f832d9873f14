"""Endpoints removed from the configuration: drained, then stopped.

Their meters keep their time, should they come back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from parkmeter.core import meter as rules
from parkmeter.core.decide_closed import UNCONFIGURED, park
from parkmeter.core.decision import Decision, Observed, Rest
from parkmeter.core.meter import Meter, Phase, Spec
from parkmeter.core.pacing import SOON
from parkmeter.service.reconciler import Reconciler


@dataclass(frozen=True, slots=True)
class _Removed:
    """The last configuration of an endpoint, and the time of its removal."""

    spec: Spec
    since: datetime


@dataclass(slots=True)
class UnconfiguredEndpoints:
    """The endpoints removed since the start: one mapping that `configured` replaces whole."""

    reconciler: Reconciler
    _removed: Mapping[str, _Removed] = field(default_factory=dict)

    def configured(self, before: Mapping[str, Spec], after: Iterable[str]) -> list[str]:
        """Record the change of the configuration; return the names it removed."""
        now, after = self.reconciler.clock.now(), frozenset(after)
        new = {name: _Removed(spec, now) for name, spec in before.items() if name not in after}
        known = {**self._removed, **new}
        self._removed = {name: one for name, one in known.items() if name not in after}
        return list(new)

    @property
    def specs(self) -> dict[str, Spec]:
        """The last configuration of each."""
        return {name: removed.spec for name, removed in self._removed.items()}

    def reconcile(self, name: str, read: Meter | None) -> datetime | None:
        """Run the next step for one that is not configured; see `Reconciler.reconcile`."""
        removed = self._removed.get(name)
        spec = removed.spec if removed else Spec(name)
        return self.reconciler.reconcile(spec, self._end, read)

    def _end(self, spec: Spec, meter: Meter, observed: Observed) -> Decision:
        now = self.reconciler.clock.now()
        if not rules.is_open(meter, now):
            return self.reconciler.decide(spec, meter, observed)
        removed = self._removed.get(spec.name)
        stopping = meter.run.phase is Phase.STOPPING or observed.phase is Phase.STOPPING
        if removed and not stopping and self.reconciler.gate.in_flight(spec.name):
            drained = removed.since + spec.drain
            if now < drained:
                return Decision(Rest(), meter, check_at=min(drained, now + SOON))
        return park(spec, meter, observed, UNCONFIGURED, now)
