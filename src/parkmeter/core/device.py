"""Devices (GPUs), each held by one open meter: claims, and who has to leave first. Pure.

A store keeps, for each device, the name of the endpoint that claimed it last; whether that one
still holds it is read from its meter, so nothing has to be released. Every commit that puts time on
a meter claims its device at the holder's version as read: of two at once, one is stale and retries.
A claim is about meters, memory about processes: the holder is started only when every other
endpoint of the device is absent, however long its predecessor drains and stops.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from parkmeter.core.meter import Meter, Phase, Spec, closes_at, is_open
from parkmeter.errors import DeviceBusyError


@dataclass(frozen=True, slots=True)
class Claim:
    """A device taken over from `held_by`, whose meter was read at `version`. None: it was free.

    The holder itself claims it from itself; its own version is the commit's business.
    """

    device: str
    held_by: str | None = None
    version: int = 0


def claim(device: str, name: str, holder: Meter | None, now: datetime) -> Claim:
    """Return the claim of `name`; `holder` is the meter that claimed it last, None if none did.

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
    """Return the names of those that may still have something on the device.

    A start commits its intent before it acts, so an endpoint recorded as absent is absent.
    """
    return [meter.name for meter in others if meter.run.phase is not Phase.ABSENT]


def occupies(spec: Spec | None, meter: Meter, device: str) -> bool:
    """Return whether an endpoint belongs to this device: configured for it, or started on it.

    The remains of an endpoint that is no longer configured could be on any device.
    """
    if spec is None or spec.device == device:
        return True
    return meter.run.device == device and meter.run.phase is not Phase.ABSENT
