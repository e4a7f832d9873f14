"""A device (a GPU) is held by one open meter: who may take it, and who waits for whom. Pure.

A store keeps, for each device, the name of the endpoint that claimed it last; whether that one
still holds it is read from its meter, so nothing has to be given back. Every commit that puts time
on a meter claims its device at what was read of the holder: of two at once, one is stale and looks
again. Holding is a matter of meters, memory a matter of processes: who holds a device is not
started before every other endpoint of it is absent, however long the former drains and stops.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from parkmeter.core.meter import Meter, Phase, Spec, closes_at, is_open
from parkmeter.errors import DeviceBusyError


@dataclass(frozen=True, slots=True)
class Claim:
    """A device taken over from `held_by` (None: from nobody), whose meter was read at `version`.

    Who holds it already claims it from itself; its own version is the commit's business.
    """

    device: str
    held_by: str | None = None
    version: int = 0


def claim(device: str, name: str, holder: Meter | None, now: datetime) -> Claim:
    """The claim of endpoint `name`; `holder` is the meter that claimed it last, None if none did.

    Raises:
        DeviceBusyError: another endpoint's open meter holds it.

    """
    if holder is None:
        return Claim(device)
    if holder.name != name and is_open(holder, now):
        raise DeviceBusyError(
            device=device,
            endpoint=holder.name,
            expires_at=holder.expires_at,
            closes_at=closes_at(holder, now),
        )
    return Claim(device, holder.name, holder.version)


def present(others: Iterable[Meter]) -> list[str]:
    """Names of those that may still have something on the device.

    A start commits its intent before it acts, so what is recorded as absent is absent.
    """
    return [meter.name for meter in others if meter.run.phase is not Phase.ABSENT]


def occupies(spec: Spec | None, meter: Meter, device: str) -> bool:
    """Whether an endpoint is one of this device's: configured for it, or started on it.

    What is left of an endpoint that is not configured any more could be on any device.
    """
    if spec is None or spec.device == device:
        return True
    return meter.run.device == device and meter.run.phase is not Phase.ABSENT
