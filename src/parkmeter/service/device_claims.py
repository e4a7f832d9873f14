"""Claims of devices: the rules of `core.device` applied to the meters in the store.

An endpoint that is not configured, or not for this device, holds no device.
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
    """The devices of the current configuration, which `specs` returns."""

    store: Store
    specs: Callable[[], Mapping[str, Spec]]

    def claim(self, spec: Spec, changed: Meter, now: datetime) -> Claim | None:
        """Return the claim to commit a changed meter with; None if it needs no device.

        Raises:
            DeviceBusyError: another endpoint's open meter holds it.

        """
        if spec.device is None or not is_open(changed, now):
            return None
        for other in self._others(spec, spec.device):
            # Also one that never claimed it: it was given the device while its meter was open.
            if other.name in self.specs():
                rules.claim(spec.device, spec.name, other, now)
        return self._claim(spec, spec.device, now)

    def _claim(self, spec: Spec, device: str, now: datetime) -> Claim:
        """Return the claim of an endpoint that holds time already: checked against the holder."""
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
        """Return a decision as the device allows it, and the claim to commit it with.

        Nothing is started while another endpoint may still be on the device. Any other decision for
        an open meter requires that the device is still held: a meter about to close must not be
        reopened by its start-up credit after another endpoint took the device.
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
        present = rules.present(self._others(spec, spec.device))
        if present:
            reason = f"waiting for {', '.join(present)} to stop and free {spec.device}"
            return wait_for_device(spec, read, decision, reason, now), claim
        return decision, claim

    def _others(self, spec: Spec, device: str) -> list[Meter]:
        """Return the meters of all other endpoints that may be on a device.

        Those configured for it, and those not settled: an endpoint that still runs on a device it
        is no longer configured for has an unsettled meter.
        """
        specs = self.specs()
        names = {name for name, other in specs.items() if other.device == device}
        names.update(self.store.unsettled())
        return [
            meter
            for meter in self.store.meters(sorted(names - {spec.name})).values()
            if rules.occupies(specs.get(meter.name), meter, device)
        ]
