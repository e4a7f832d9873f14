"""The ports as a simulated gateway has them: each call may fail, be held up, or be its last.

Every call asks the scheduler for its fate first. The invariants hear of each effect at once, also
of one whose reply is lost. Reading the time and waking the clock touch nothing outside the process:
they neither fail nor interrupt.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from parkmeter.core.decision import Observed
from parkmeter.core.device import Claim
from parkmeter.core.due_queue import DueQueue
from parkmeter.core.journal import Entry
from parkmeter.core.ledger import Mark, PricedRun
from parkmeter.core.meter import Meter, Spec
from parkmeter.core.status import View
from parkmeter.drivers.fake import FakeDriver
from parkmeter.errors import DriverError, StoreBusyError
from parkmeter.ports import Budget, Gate, Store
from tests.simulation.invariants import Invariants
from tests.simulation.scheduler import LostReply, Scheduler, Verdict

_Result = TypeVar("_Result")


class NotifierFault(Exception):  # noqa: N818
    """Raised by a notifier that cannot take an entry."""


def _unreachable() -> Exception:
    return DriverError("The provider cannot be reached.")


@dataclass(frozen=True, slots=True)
class Wire:
    """Makes the calls of all ports of one gateway. `note` adds a line to the history.

    `loses`: whether a commit may take effect without its reply, as over a network.
    """

    scheduler: Scheduler
    checks: Invariants
    note: Callable[[str], None]
    loses: bool

    def call(
        self,
        what: str,
        effect: Callable[[], _Result],
        fails: Callable[[], Exception] | None = None,
        loses: Callable[[], Exception] | None = None,
    ) -> _Result:
        """Make a call as far as its fate allows; without `fails` or `loses` it cannot."""
        verdict = self.scheduler.reach(what)
        if verdict is Verdict.LOSE and loses is None:
            verdict = Verdict.FAIL
        if verdict is Verdict.GO:
            self.note(what)
        else:
            self.note(f"{what}  << {verdict}")
        if verdict is Verdict.CRASH:
            raise self.scheduler.crash()
        if verdict is Verdict.FAIL and fails is not None:
            raise fails()
        result = effect()
        if verdict is Verdict.CRASH_AFTER:
            raise self.scheduler.crash()
        if verdict is Verdict.LOSE and loses is not None:
            raise loses()
        return result


class SimClock:
    """`ports.Clock` of one gateway; `deaf`: what wakes it gets lost."""

    def __init__(self, time: Callable[[], datetime], scheduler: Scheduler) -> None:
        self.deaf = False
        self._queue = DueQueue()
        self._woken: list[tuple[datetime, str]] = []
        self._time = time
        self._scheduler = scheduler

    def now(self) -> datetime:
        now = self._time()
        if (task := self._scheduler.current) is not None:
            task.facts["now"] = now
            task.facts.setdefault("began", now)
        return now

    def wake(self, name: str, at: datetime | None = None) -> None:
        task = self._scheduler.current
        sweeps = task is not None and task.title.endswith("sweep")  # it reconciles by itself
        if sweeps or not self.deaf:
            self._woken.append((at or self._time(), name))

    @property
    def queue(self) -> DueQueue:
        """The names that are due; those of one moment in their order, whatever order they came in.

        A sweep wakes the names of a set, which is in another order in each process.
        """
        for at, name in sorted(self._woken):
            self._queue.add(name, at)
        self._woken.clear()
        return self._queue


@dataclass(slots=True)
class Disk:
    """The state of the store's disk. `full`: nothing is written; `lost`: nothing is read, either.

    Both last until they are reset, longer than the fault of one call.
    """

    full: bool = False
    lost: bool = False


class SimStore:
    """`ports.Store`."""

    def __init__(self, wire: Wire, store: Store, disk: Disk) -> None:
        self._wire = wire
        self._store = store
        self._disk = disk

    def load(self, name: str) -> Meter:
        meter = self._read(f"store.load {name}", lambda: self._store.load(name))
        self._wire.checks.read(meter)
        return meter

    def meters(self, names: Collection[str]) -> dict[str, Meter]:
        return self._read("store.meters", lambda: self._store.meters(names))

    def unsettled(self) -> Iterable[str]:
        return self._read("store.unsettled", lambda: sorted(self._store.unsettled()))

    def holder(self, device: str) -> str | None:
        return self._read(f"store.holder {device}", lambda: self._store.holder(device))

    def entry(self, name: str, key: str, since: datetime) -> Entry | None:
        return self._read(f"store.entry {name}", lambda: self._store.entry(name, key, since))

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        return self._read(f"store.journal {name}", lambda: self._store.journal(name, limit, before))

    def marks(self, name: str, moment: datetime | None) -> tuple[Mark | None, Mark | None]:
        return self._read(f"store.marks {name}", lambda: self._store.marks(name, moment))

    def past_runs(self, name: str, begin: datetime, end: datetime) -> list[PricedRun]:
        return self._read(
            f"store.past_runs {name}", lambda: self._store.past_runs(name, begin, end)
        )

    def add_marks(self, name: str, marks: Sequence[Mark], last: int) -> bool:
        def effect() -> bool:
            if self._disk.full:
                raise StoreBusyError
            return self._store.add_marks(name, marks, last)

        return self._read(f"store.add_marks {name}", effect)

    def commit(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None = None,
        claim: Claim | None = None,
    ) -> Meter:
        def effect() -> Meter:
            if self._disk.full:
                raise busy()
            committed = self._store.commit(meter, entries, budget, claim)
            self._wire.checks.committed(committed, entries, budget, claim)
            return committed

        kinds = ", ".join(f"{entry.kind} {entry.key}" for entry in entries)
        taken = "" if claim is None else f" claiming {claim.device}"

        def busy() -> StoreBusyError:
            self._wire.checks.refused(meter)
            return StoreBusyError()

        return self._wire.call(
            f"store.commit {meter.name} v{meter.version + 1} {meter.run.phase} "
            f"until {meter.expires_at:%d %H:%M:%S.%f} [{kinds}]{taken}",
            effect,
            busy,
            LostReply if self._wire.loses else None,
        )

    def _read(self, what: str, effect: Callable[[], _Result]) -> _Result:
        def found() -> _Result:
            if self._disk.lost:
                raise StoreBusyError
            return effect()

        return self._wire.call(what, found, StoreBusyError)


class SimDriver:
    """`ports.Driver`."""

    def __init__(self, wire: Wire, driver: FakeDriver) -> None:
        self._wire = wire
        self._driver = driver

    def observe(self, spec: Spec) -> Observed:
        return self._wire.call(
            f"driver.observe {spec.name}", lambda: self._driver.observe(spec), _unreachable
        )

    def start(self, spec: Spec, variant: str, until: datetime, version: int) -> None:
        def effect() -> None:
            self._wire.checks.starting(spec, version)
            self._driver.start(spec, variant, until, version)
            self._wire.checks.kept(spec)

        self._act(
            f"driver.start {spec.name} {variant} until {until:%d %H:%M:%S} v{version}", effect
        )

    def keep(self, spec: Spec, until: datetime, version: int) -> None:
        def effect() -> None:
            self._driver.keep(spec, until, version)
            self._wire.checks.kept(spec)

        try:
            self._act(f"driver.keep {spec.name} until {until:%d %H:%M:%S} v{version}", effect)
        except DriverError:
            self._wire.checks.unkept.add(spec.name)
            raise

    def stop(self, spec: Spec) -> None:
        def effect() -> None:
            self._wire.checks.stopping(spec)
            self._driver.stop(spec)

        self._act(f"driver.stop {spec.name}", effect)

    def owned(self) -> Iterable[str]:
        return self._wire.call("driver.owned", self._driver.owned, _unreachable)

    def _act(self, what: str, effect: Callable[[], None]) -> None:
        self._wire.call(what, effect, _unreachable, _unreachable)


class SimGate:
    """`ports.Gate` of one gateway over the gate it has."""

    def __init__(self, wire: Wire, gate: Gate) -> None:
        self._wire = wire
        self._gate = gate

    def show(self, view: View) -> None:
        what = f"gate.show {view.name} v{view.version} {view.status}"
        self._wire.call(what, lambda: self._gate.show(view))

    def in_flight(self, name: str) -> int | None:
        return self._gate.in_flight(name)

    def last_prompt(self, name: str) -> datetime | None:
        return self._gate.last_prompt(name)


class CloudGate:
    """`ports.Gate` of a deployment whose prompts pass elsewhere; `used_at` has the last ones."""

    def __init__(self, used_at: dict[str, datetime]) -> None:
        self._used_at = used_at

    def show(self, view: View) -> None:
        """Show nothing: each prompt reads the meter."""

    def in_flight(self, name: str) -> int | None:
        return None

    def last_prompt(self, name: str) -> datetime | None:
        return self._used_at.get(name)


class SimNotifier:
    """`ports.Notifier`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def send(self, entry: Entry) -> None:
        self._wire.call(
            f"notifier.send {entry.endpoint} {entry.kind}",
            lambda: None,
            NotifierFault,
            NotifierFault,
        )
