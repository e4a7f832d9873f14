"""The use cases with a real clock and store, and endpoints in memory, in this process."""

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from parkmeter.core.meter import Spec
from parkmeter.core.money import Minutes
from parkmeter.drivers.fake import FakeDriver
from parkmeter.gateway.clock import LocalClock
from parkmeter.notify.log import LogNotifier
from parkmeter.proxy.gate import LocalGate
from parkmeter.service.changes import Actor
from parkmeter.service.meters import MeterService
from parkmeter.stores.sqlite import SqliteStore
from tests.support.gateway_process import eventually

ADA = Actor("a1", "ada")
_ZERO = timedelta(0)


@dataclass(frozen=True)
class TopUp:
    """One top-up as it went, in seconds since 1970."""

    asked: float
    closes: float


@dataclass(frozen=True)
class ServiceAtWork:
    """A service at work and the driver that remembers its calls."""

    service: MeterService
    driver: FakeDriver
    names: Sequence[str]

    def top_up(self, name: str, seconds: float) -> TopUp:
        asked = time.time()
        entry = self.service.top_up(name, Minutes.of(seconds / 60), ADA).entry
        return TopUp(asked, entry.expires_at.timestamp())

    def first(self, method: str, since: float) -> dict[str, float]:
        """Return the time of the first such call for each endpoint, after `since`."""
        found: dict[str, float] = {}
        for call in list(self.driver.calls):
            if call.method == method and call.at.timestamp() >= since:
                found.setdefault(call.name, call.at.timestamp())
        return found


@contextlib.contextmanager
def service_at_work(count: int) -> Iterator[ServiceAtWork]:
    """Run `count` endpoints that start and stop at once and have no leash."""
    names = [f"model-{number}" for number in range(count)]
    clock = LocalClock()
    driver = FakeDriver(clock.now, _ZERO, _ZERO, leash=False)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "parkmeter.sqlite")
        service = MeterService(
            {name: Spec(name, startup_credit=_ZERO) for name in names},
            store=store,
            driver=driver,
            clock=clock,
            gate=LocalGate(clock.now, on_idle=clock.wake),
            notifier=LogNotifier(),
        )
        service.begin()
        clock.start(service.reconcile, service.sweep, service.clock_jumped)
        try:
            yield ServiceAtWork(service, driver, names)
            eventually(lambda: not driver.owned())
        finally:
            clock.stop()
            store.close()


@contextlib.contextmanager
def watched_disk() -> Iterator[list[float]]:
    """Yield the seconds that small durable writes take meanwhile, as they are made."""
    taken: list[float] = []
    over = threading.Event()

    def watch() -> None:
        with tempfile.TemporaryFile() as file:
            while not over.wait(0.02):
                file.write(b"x" * 4096)
                file.flush()
                began = time.perf_counter()
                os.fsync(file.fileno())
                taken.append(time.perf_counter() - began)

    watching = threading.Thread(target=watch, name="disk")
    watching.start()
    try:
        yield taken
    finally:
        over.set()
        watching.join()
