"""A whole parkmeter on a wound clock: the real core, a store, and a driver without endpoints."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Elapsed, Price, Spec
from parkmeter.core.money import Dollars, Minutes
from parkmeter.core.status import View
from parkmeter.drivers.fake import FakeDriver
from parkmeter.ports import Store, UnrecordedEjects
from parkmeter.service.changes import Actor
from parkmeter.service.meters import MeterService
from parkmeter.stores.memory import MemoryStore

NOON = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
ADA = Actor("a1", "ada")
BOB = Actor("b2", "bob")


@dataclass
class WoundClock:
    """`ports.Clock` that moves only when wound, from one due time to the next."""

    time: datetime = NOON
    set_by: timedelta = timedelta(0)
    boot: str = "first"
    due: dict[str, datetime] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.time

    def elapsed(self) -> Elapsed | None:
        """Return the time since the boot, which setting the clock does not change."""
        return Elapsed(self.boot, self.time - NOON - self.set_by) if self.boot else None

    def set(self, by: timedelta) -> None:
        """Set the wall clock."""
        self.time += by
        self.set_by += by

    def wake(self, name: str, at: datetime | None = None) -> None:
        when = at or self.time
        self.due[name] = min(when, self.due.get(name, when))


@dataclass
class TestGate:
    """`ports.Gate` that a test fills with requests; `prompts`: names of those being prompted."""

    __test__ = False

    now: Callable[[], datetime]
    prompts: set[str] = field(default_factory=set)
    requests: dict[str, int | None] = field(default_factory=dict)
    asked_at: dict[str, datetime] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)

    def show(self, view: View) -> None:
        present = self.views.get(view.name)
        if present is None or view.version >= present.version:
            self.views[view.name] = view

    def in_flight(self, name: str) -> int | None:
        return self.requests.get(name, 0)

    def last_prompt(self, name: str) -> datetime | None:
        return self.now() if name in self.prompts else self.asked_at.get(name, NOON)


@dataclass
class Memo:
    """`ports.Notifier` that remembers."""

    sent: list[Entry] = field(default_factory=list)

    def send(self, entry: Entry) -> None:
        self.sent.append(entry)


class World:
    """One deployment; `wind` lets time pass."""

    def __init__(
        self, *specs: Spec, store: Store | None = None, ejects: UnrecordedEjects | None = None
    ) -> None:
        self.ejects = ejects
        self.clock = WoundClock()
        self.gate = TestGate(self.clock.now)
        self.notifier = Memo()
        self.store: Store = store or MemoryStore()
        self.driver = FakeDriver(self.clock.now, leash=False)
        self.specs = {spec.name: spec for spec in specs or (Spec("flan-t5"),)}
        self.service = self.another_service()

    def another_service(self) -> MeterService:
        """Return the service of a restarted gateway, which keeps only store and endpoints."""
        self.clock.due.clear()
        return MeterService(
            self.specs,
            store=self.store,
            driver=self.driver,
            clock=self.clock,
            gate=self.gate,
            notifier=self.notifier,
            elapsed=self.clock.elapsed,
            ejects=self.ejects,
        )

    @property
    def now(self) -> datetime:
        return self.clock.time

    def wind(self, amount: timedelta) -> None:
        """Let time pass; everything that falls due is done at its moment."""
        until = self.clock.time + amount
        for _ in range(1_000_000):
            name = min(self.clock.due, key=self.clock.due.__getitem__, default=None)
            if name is None or self.clock.due[name] > until:
                break
            self.clock.time = max(self.clock.time, self.clock.due.pop(name))
            again = self.service.reconcile(name)
            if again is not None:
                self.clock.wake(name, again)
        else:
            raise AssertionError("the clock does not come to rest")
        self.clock.time = until

    def top_up(self, minutes: float | Dollars = 10, key: str | None = None) -> Entry:
        amount = minutes if isinstance(minutes, Dollars) else Minutes.of(minutes)
        return self.service.top_up("flan-t5", amount, ADA, key).entry

    def status(self, name: str = "flan-t5") -> str:
        return self.service.report(name).shown.status

    def left(self, name: str = "flan-t5") -> timedelta:
        return self.service.report(name).left

    def lines(self, name: str = "flan-t5") -> list[Kind]:
        """Return the kinds of the journal's entries, oldest first."""
        return [entry.kind for entry in self.service.journal(name, 1000)][::-1]

    def calls(self, *methods: str) -> list[str]:
        """Return the calls of these methods of the driver, in order."""
        return [call.method for call in self.driver.calls if call.method in methods]


def spec(price_per_hour: Decimal | None = None, **changes: object) -> Spec:
    """Return a spec with at most one price: that of its first variant."""
    made = replace(Spec("flan-t5"), **changes)
    if price_per_hour is None:
        return made
    return replace(made, prices={made.variants[0]: Price(price_per_hour, "configuration")})
