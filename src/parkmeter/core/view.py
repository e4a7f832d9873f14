"""The part of a meter that the data plane and refusals need. Pure.

Apart from the ports, so that a function that answers prompts loads none of the decision rules.
"""

from dataclasses import dataclass
from datetime import datetime

from parkmeter.core.meter import Meter, Phase, Status, closes_at, latest_close
from parkmeter.core.status import shown


@dataclass(frozen=True, slots=True)
class View:
    """The facts of one meter version.

    `open_until` is the latest close; `expires_at` the close as last observed; `retry_at`: when the
    next start is tried, if it is backing off.
    """

    name: str
    version: int
    open_until: datetime
    expires_at: datetime
    status: Status
    reason: str
    address: str | None = None
    retry_at: datetime | None = None

    @classmethod
    def of(cls, meter: Meter, now: datetime) -> "View":
        """Return the view of a committed meter."""
        seen = shown(meter, now)
        return cls(
            name=meter.name,
            version=meter.version,
            open_until=latest_close(meter),
            expires_at=closes_at(meter, now),
            status=seen.status,
            reason=seen.reason,
            address=meter.run.address,
            retry_at=meter.run.next_try if meter.run.phase is Phase.FAILED else None,
        )
