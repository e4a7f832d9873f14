"""The core with a real clock, a real store and fake endpoints in this very process."""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks.exact.running import TopUp, until
from parkmeter.core.meter import Spec
from parkmeter.core.money import Minutes
from parkmeter.drivers.fake import FakeDriver
from parkmeter.gateway.clock import LocalClock
from parkmeter.notify.log import LogNotifier
from parkmeter.proxy.gate import LocalGate
from parkmeter.service.changes import Actor
from parkmeter.service.meters import MeterService
from parkmeter.stores.sqlite import SqliteStore

ZERO = timedelta(0)
ADA = Actor("a1", "ada")


@dataclass(frozen=True, slots=True)
class Inside:
    """A service at work and the driver that remembers its calls."""

    service: MeterService
    driver: FakeDriver
    names: Sequence[str]

    def top_up(self, name: str, seconds: float) -> TopUp:
        """Without HTTP."""
        asked = time.time()
        entry = self.service.top_up(name, Minutes.of(seconds / 60), ADA).entry
        return TopUp(asked, time.time(), entry.expires_at.timestamp())

    def first(self, method: str, since: float) -> dict[str, float]:
        """Return the time of the first such call for each endpoint, after `since`."""
        found: dict[str, float] = {}
        for call in list(self.driver.calls):
            if call.method == method and call.at.timestamp() >= since:
                found.setdefault(call.name, call.at.timestamp())
        return found


@contextlib.contextmanager
def inside(count: int) -> Iterator[Inside]:
    """Run `count` endpoints that start and stop at once and have no leash."""
    names = [f"model-{number}" for number in range(count)]
    clock = LocalClock()
    driver = FakeDriver(clock.now, ZERO, ZERO, leash=False)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "parkmeter.sqlite")
        service = MeterService(
            {name: Spec(name, startup_credit=ZERO) for name in names},
            store=store,
            driver=driver,
            clock=clock,
            gate=LocalGate(clock.now, on_idle=clock.wake),
            notifier=LogNotifier(),
        )
        service.begin()
        clock.start(service.reconcile, service.sweep, service.clock_jumped)
        try:
            yield Inside(service, driver, names)
            until(lambda: not driver.owned())
        finally:
            clock.stop()
            store.close()
