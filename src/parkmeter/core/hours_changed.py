"""What becomes of time that a window put on a meter, once its hours are others. Pure.

A part of `reconcile`, so that it holds however the configuration came to change: by a reload, by a
restart, by a deployment.
"""

from datetime import datetime

from parkmeter.core.decision import Decision, Keep
from parkmeter.core.entries import line
from parkmeter.core.journal import Kind
from parkmeter.core.meter import Meter, Spec, latest_close, span, time_left
from parkmeter.core.schedule import trimmed


def at_change_of_hours(spec: Spec, meter: Meter, now: datetime) -> Decision | None:
    """Take back what only a window put there and its hours say no more; None: nothing of that.

    As for idleness, only the meter changes here; the next look sees to the endpoint.
    """
    fit = trimmed(spec, meter, now)
    if fit == meter:
        return None
    given_back = time_left(meter, now) - time_left(fit, now)
    hours = "none any more" if spec.hours is None else spec.hours.text
    why = f"its hours changed: {hours}; {span(given_back)} given back"
    # By the version: the same change may be made, taken back, and made again.
    key = f"hours-changed:{meter.version}"
    entry = line(spec, fit, Kind.EDIT, now, why, key=key, amount=-given_back)
    return Decision(Keep(latest_close(fit) + spec.drain), fit, (entry,), check_at=now)
