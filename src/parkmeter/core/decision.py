"""What a driver sees, and what is to be done: the words between reconcile and the ports. Pure.

Data only; `reconcile` decides, `treatment` carries out.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from parkmeter.core.journal import Entry
from parkmeter.core.meter import Meter, Phase


class Cause(StrEnum):
    """Why an endpoint failed, as far as the next step depends on it."""

    OTHER = "other"
    CAPACITY = "capacity"


@dataclass(frozen=True, slots=True)
class Observed:
    """What a driver sees. `since`: when this phase began, where the driver knows."""

    phase: Phase
    reason: str = ""
    since: datetime | None = None
    address: str | None = None
    cause: Cause = Cause.OTHER


@dataclass(frozen=True, slots=True)
class Start:
    """Start the endpoint; a leash may let it live until `until`."""

    variant: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Keep:
    """Let the living endpoint live until `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the endpoint, or clear away what is left of a failed one."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do now."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do next.

    `meter` with `entries` is to be committed at the version that was read, then `action` done, and
    everything looked at again by `check_at` at the latest (None: when somebody tops up).
    """

    action: Start | Keep | Stop | Rest
    meter: Meter
    entries: tuple[Entry, ...] = ()
    check_at: datetime | None = None
