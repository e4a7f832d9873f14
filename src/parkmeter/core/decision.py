"""The values between the core and the ports: an observation, an action, a decision. Pure.

Data only: `decide` makes decisions, the reconciler carries them out.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from parkmeter.core.journal import Entry
from parkmeter.core.meter import Meter, Phase


class Cause(StrEnum):
    """The cause of a failure, as far as the next step depends on it."""

    OTHER = "other"
    CAPACITY = "capacity"


@dataclass(frozen=True, slots=True)
class Observed:
    """A driver's observation. `since`: when this phase began, where the driver knows.

    `locked`: its provider refuses to stop it before this phase has ended.
    """

    phase: Phase
    reason: str = ""
    since: datetime | None = None
    address: str | None = None
    cause: Cause = Cause.OTHER
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Start the endpoint, with `until` as the leash's deadline."""

    variant: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Keep:
    """Set the deadline of the running endpoint to `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the endpoint, or clear away what is left of a failed one."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do now."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The next step.

    `meter` with `entries` is to be committed at the version that was read, then `action` carried
    out. The next look is due at `check_at` (None: at the next top-up).
    """

    action: Start | Keep | Stop | Rest
    meter: Meter
    entries: tuple[Entry, ...] = ()
    check_at: datetime | None = None
