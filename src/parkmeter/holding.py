"""Who may use a device: what the store knows, put to the rules of `device`.

For the use cases and for what becomes of a decision. An endpoint without a device is never asked
about; one that is not configured any more, or not for this device, holds none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from parkmeter import device as rules
from parkmeter.decision import Decision, Start, Stop
from parkmeter.device import Claim
from parkmeter.errors import DeviceBusyError
from parkmeter.meter import Meter, Spec, is_open
from parkmeter.ports import Store


@dataclass(frozen=True, slots=True)
class Holding:
    """The devices of the configuration that is in force; `specs` gives it."""

    store: Store
    specs: Callable[[], Mapping[str, Spec]]

    def claim(self, spec: Spec, changed: Meter, now: datetime) -> Claim | None:
        """What to commit a changed meter with; None if it needs no device.

        Raises:
            DeviceBusyError: another endpoint's open meter holds it.

        """
        if spec.device is None or not is_open(changed, now):
            return None
        name = self.store.holder(spec.device)
        if name is None:
            return Claim(spec.device)
        holder = self.store.load(name)
        known = self.specs().get(name)
        if known is None or known.device != spec.device:
            return Claim(spec.device, name, holder.version)
        return rules.claim(spec.device, spec.name, holder, now)

    def permitted(
        self, spec: Spec, read: Meter, decision: Decision, now: datetime
    ) -> tuple[Decision, Claim | None]:
        """A decision as the device allows it, and what to commit it with.

        Nothing is started while another endpoint may still be on the device. Whatever else is
        decided for an open meter must find the device still held: a meter that was about to close
        must not come open again by its start-up credit after another took the device.
        """
        if spec.device is None or isinstance(decision.action, Stop):
            return decision, None
        if not isinstance(decision.action, Start):
            held = is_open(read, now) and self.store.holder(spec.device) == spec.name
            return decision, Claim(spec.device, spec.name) if held else None
        try:
            claim = self.claim(spec, decision.meter, now)
        except DeviceBusyError as busy:
            reason = f"waiting for {busy.data['endpoint']}, which holds {spec.device}"
            return rules.wait(spec, read, reason, now), None
        waited_for = rules.present(self._others(spec))
        if waited_for:
            reason = f"waiting for {', '.join(waited_for)} to stop, to have {spec.device}"
            return rules.wait(spec, read, reason, now), claim
        return decision, claim

    def _others(self, spec: Spec) -> list[Meter]:
        """All that may be on the device of an endpoint, besides it.

        What is left of endpoints that are not configured any more could be on any device.
        """
        specs = self.specs()
        names = [name for name, other in specs.items() if other.device == spec.device]
        names += [name for name in self.store.unsettled() if name not in specs]
        return [meter for meter in self.store.meters(names).values() if meter.name != spec.name]
