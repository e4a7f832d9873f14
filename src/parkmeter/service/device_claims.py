"""Who may use a device: what the store knows, put to the rules of `device`.

For the use cases and for what becomes of a decision. An endpoint without a device is never asked
about; one that is not configured any more, or not for this device, holds none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from parkmeter.core import device as rules
from parkmeter.core.decide import wait_for_device
from parkmeter.core.decision import Decision, Start, Stop
from parkmeter.core.device import Claim
from parkmeter.core.meter import Meter, Spec, is_open
from parkmeter.errors import DeviceBusyError
from parkmeter.ports import Store


@dataclass(frozen=True, slots=True)
class DeviceClaims:
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
        for other in self._others(spec, spec.device):
            # Also who never claimed it, because it was given the device while its meter was open.
            if other.name in self.specs():
                rules.claim(spec.device, spec.name, other, now)
        return self._claim(spec, spec.device, now)

    def _claim(self, spec: Spec, device: str, now: datetime) -> Claim:
        """The claim of an endpoint whose time is on its meter already: against the holder only."""
        name = self.store.holder(device)
        if name is None:
            return Claim(device)
        holder = self.store.load(name)
        known = self.specs().get(name)
        if known is None or known.device != device:
            return Claim(device, name, holder.version)
        return rules.claim(device, spec.name, holder, now)

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
            claim = self._claim(spec, spec.device, now)
        except DeviceBusyError as busy:
            reason = f"waiting for {busy.data['endpoint']}, which holds {spec.device}"
            return wait_for_device(spec, read, decision, reason, now), None
        waited_for = rules.present(self._others(spec, spec.device))
        if waited_for:
            reason = f"waiting for {', '.join(waited_for)} to stop, to have {spec.device}"
            return wait_for_device(spec, read, decision, reason, now), claim
        return decision, claim

    def _others(self, spec: Spec, device: str) -> list[Meter]:
        """All that may be on a device, besides one endpoint.

        Only endpoints that are configured for it, or are not settled: what runs on a device that
        the configuration does not name for it any more has a meter that is not settled.
        """
        specs = self.specs()
        names = {name for name, other in specs.items() if other.device == device}
        names.update(self.store.unsettled())
        return [
            meter
            for meter in self.store.meters(sorted(names - {spec.name})).values()
            if rules.occupies(specs.get(meter.name), meter, device)
        ]
