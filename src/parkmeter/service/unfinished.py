"""Changes that are in force and not finished: not delivered to the endpoint, or not recorded.

In memory only, but for ejects: everything else is decided again from meter and endpoint.
"""

import logging
from dataclasses import dataclass, field, replace

from parkmeter.core import schedule
from parkmeter.core.journal import Entry, Kind, new_entry
from parkmeter.core.meter import EJECTED, Meter, Spec, time_left
from parkmeter.ports import UnrecordedEjects

log = logging.getLogger(__name__)

UNRECORDED = "not recorded yet: the store cannot be written"


@dataclass(slots=True)
class Unfinished:
    """The unfinished changes of all endpoints. From any thread.

    `ejects`: those that the store could not record; None: an eject that it cannot record is
    refused.
    """

    ejects: UnrecordedEjects | None = None
    _why: dict[str, str] = field(default_factory=dict)
    _meters: dict[str, Meter] = field(default_factory=dict)

    def eject_of(self, name: str) -> Entry | None:
        """Return the entry of an eject that is still to be recorded, or None."""
        return None if self.ejects is None else self.ejects.of(name)

    def ejected(self, entry: Entry) -> None:
        """Keep an eject that the store could not record. Only where `ejects` are kept."""
        assert self.ejects is not None  # noqa: S101 (see above)
        self.ejects.put(entry)
        self.failed(entry.endpoint, f"ejected; {UNRECORDED}")

    def recorded(self, name: str) -> None:
        """Drop the eject of an endpoint."""
        if self.ejects is not None:
            self.ejects.recorded(name)

    def failed(self, name: str, why: str) -> None:
        """Show why a change is not finished, until `done`; log it once."""
        if self._why.get(name) != why:
            log.warning("%s: %s", name, why)
        self._why[name] = why

    def unrecorded(self, meter: Meter) -> None:
        """Show a decided meter that could not be committed, until another one is."""
        self._meters[meter.name] = meter
        self.failed(meter.name, UNRECORDED)

    def is_unrecorded(self, name: str) -> bool:
        """Return whether the last decision about an endpoint could not be committed."""
        return name in self._meters

    def done(self, name: str) -> None:
        """Forget the failures of an endpoint; an unrecorded eject stays one."""
        if self.eject_of(name) is None:
            self._why.pop(name, None)
            self._meters.pop(name, None)

    def shown(self, spec: Spec, stored: Meter) -> Meter:
        """Return a stored meter as it is to be shown."""
        decided = self._meters.get(spec.name)
        meter = stored
        if decided is not None and decided.version == stored.version:
            meter = decided
        elif (entry := self.eject_of(spec.name)) is not None:
            meter, _ = after_eject(spec, stored, entry)
        why = self._why.get(spec.name, "")
        if why and not meter.run.trouble:
            meter = replace(meter, run=replace(meter.run, trouble=why))
        return meter


def after_eject(spec: Spec, meter: Meter, entry: Entry) -> tuple[Meter, Entry]:
    """Return a stored meter after an eject that is still to be recorded, and the eject's entry.

    The meter stays as it is if it was opened since, or if there was nothing to end.
    """
    if meter.opened_at > entry.at:
        return meter, entry
    ended = schedule.end(spec, meter, entry.at, EJECTED)
    # What the meter held is not known at an eject for which the store could not be read.
    known = new_entry(
        spec,
        ended,
        Kind.EJECT,
        entry.at,
        entry.why,
        key=entry.key,
        who=entry.who,
        amount=time_left(ended, entry.at) - time_left(meter, entry.at),
        request=entry.request,
    )
    return ended, known
