"""The use cases on a store alone, for benchmarks: nothing runs, nothing is called by itself."""

from collections.abc import Iterable
from datetime import UTC, datetime

from parkmeter.core.journal import Entry
from parkmeter.core.meter import Spec
from parkmeter.drivers.fake import FakeDriver
from parkmeter.ports import Store
from parkmeter.proxy.gate import LocalGate
from parkmeter.service.meters import MeterService


class StillClock:
    """A clock that keeps who is to be called instead of calling."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.now(UTC)

    def wake(self, name: str, _at: datetime | None = None) -> None:
        """See `ports.Clock`."""
        self.woken.append(name)


class Nobody:
    """A notifier without effect."""

    def send(self, entry: Entry) -> None:
        """See `ports.Notifier`."""


def service_on(
    store: Store, specs: Iterable[Spec], clock: StillClock, driver: FakeDriver | None = None
) -> MeterService:
    """Return a service whose endpoints exist in memory only."""
    return MeterService(
        {spec.name: spec for spec in specs},
        store=store,
        driver=driver or FakeDriver(clock.now),
        clock=clock,
        gate=LocalGate(clock.now),
        notifier=Nobody(),
    )
