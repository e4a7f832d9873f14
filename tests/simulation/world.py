"""A deployment in one thread of time: gateways, a store, a driver, and the clock they live by.

Nothing in it is random but what `chance` decides, so one seed is one history.
"""

import itertools
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from types import SimpleNamespace
from typing import Any

from parkmeter.core.meter import ZERO, Elapsed, Phase, Spec, is_open
from parkmeter.errors import (
    DriverError,
    EndpointUnreachableError,
    StoreBusyError,
    UnknownEndpointError,
)
from parkmeter.ports import Store
from parkmeter.proxy.gate import LocalGate, Permit
from parkmeter.service import changes, parking
from parkmeter.service.meters import MeterService
from parkmeter.stores.memory import MemoryEjects
from tests.simulation.interposed import (
    CloudGate,
    Disk,
    NotifierFault,
    SimClock,
    SimDriver,
    SimGate,
    SimNotifier,
    SimStore,
    Wire,
)
from tests.simulation.invariants import SECOND, Invariants, Violation
from tests.simulation.scheduler import FAULTS, Crash, LostReply, Orders, Scheduler, Task, Verdict
from tests.simulation.watched_driver import WatchedDriver

NOON = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
JUMP = 5 * SECOND
INJECTED = (StoreBusyError, LostReply, DriverError, EndpointUnreachableError, NotifierFault)
EFFECTS = ("store.commit", "store.commit", "driver.start", "driver.stop", "driver.keep", "gate")
MOST_AT_ONCE = 400
"""Reconciles at one moment; more of them are a clock that does not come to rest."""


class Deployment(StrEnum):
    """`LOCAL`: one process, its endpoints on leashes. `CLOUD`: two that know nothing of each other,
    no leashes; replies and events may get lost."""

    LOCAL = "local"
    CLOUD = "cloud"


@dataclass(frozen=True, slots=True)
class Chances:
    """How often an operation is held up, or hit by a fault, at one of its port calls."""

    park: float = 0.0
    fault: float = 0.0


class Gateway:
    """One process. `up`: it exists; `running`: its clock was started."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.up = False
        self.running = False
        self.specs: dict[str, Spec] = {}
        self.reloads = 0
        self.requests: list[tuple[str, Permit]] = []
        self.service: MeterService
        self.clock: SimClock
        self.gate: LocalGate | CloudGate
        self.next_sweep = ZERO
        self.sweeping = False
        self._wall = world.time
        self._ticks = ZERO

    def boot(self) -> None:
        """Begin a new process: provision, show the meters, then start the clock."""
        world = self.world
        wire = Wire(
            world.scheduler, world.checks, world.note, loses=world.deployment is Deployment.CLOUD
        )
        self.clock = SimClock(lambda: world.time, world.scheduler)
        if world.deployment is Deployment.LOCAL:
            self.gate = LocalGate(lambda: world.time, on_idle=self.clock.wake)
        else:
            self.gate = CloudGate(world.used_at)
        local = {"elapsed": lambda: Elapsed("boot", world.elapsed), "ejects": world.ejects}
        self.service = MeterService(
            {},
            store=SimStore(wire, world.store, world.disk),
            driver=SimDriver(wire, world.driver),
            clock=self.clock,
            gate=SimGate(wire, self.gate),
            notifier=SimNotifier(wire),
            **(local if world.deployment is Deployment.LOCAL else {}),
        )
        self.up, self.running, self.sweeping, self.requests = True, False, False, []
        world.do(self, "start", self._configure, self._booted)

    def reload(self) -> None:
        """Put the configuration in force."""
        self.world.do(self, "reload", self._configure, self.world.judge)

    def run_due(self) -> None:
        """Start everything that is due now, as the clock of a gateway does."""
        world = self.world
        jump = (world.time - self._wall) - (world.elapsed - self._ticks)
        self._wall, self._ticks = world.time, world.elapsed
        if world.deployment is Deployment.LOCAL and abs(jump) > JUMP:
            self.next_sweep = world.elapsed
            world.do(self, "clock jumped", lambda: self.service.clock_jumped(jump), world.judge)
        if self.running and world.elapsed >= self.next_sweep and not self.sweeping:
            self.next_sweep = world.elapsed + MINUTE
            self.sweeping = True
            world.do(self, "sweep", self.service.sweep, self._swept)
        for _ in range(MOST_AT_ONCE):
            name = self.clock.queue.take(world.time) if self.running else None
            if name is None:
                return
            self.reconcile(name)
        world.checks.fail(f"{self.name}: the clock does not come to rest at {world.time}")

    def reconcile(self, name: str) -> None:
        """Reconcile a name that the queue has handed out."""

        def then(task: Task) -> None:
            self.world.judge(task)
            if self.running:
                again = task.result if task.error is None else self.world.time + SECOND
                self.clock.queue.done(name, again)

        self.world.do(self, f"reconcile {name}", lambda: self.service.reconcile(name), then)

    def next_due(self) -> datetime | None:
        """Return when `run_due` has something to do."""
        if not self.running:
            return None
        due = (
            [self.world.time + (self.next_sweep - self.world.elapsed)] if not self.sweeping else []
        )
        if (first := self.clock.queue.next_due()) is not None:
            due.append(first)
        return min(due, default=None)

    def _configure(self) -> None:
        world = self.world
        self.specs = dict(world.specs)
        self.reloads += 1
        self.service.configure(self.specs)
        for name in self.specs:
            try:
                self.service.provision(name, world.initial.get(name, ZERO))
            except UnknownEndpointError:  # another reload, which a gateway has not, removed it
                continue
            except StoreBusyError:
                continue
        self.service.begin()

    def _booted(self, task: Task) -> None:
        self.world.judge(task)
        if task.error is not None:  # it ends with a message
            self.world.kill(self)
            return
        self.running = True
        self._wall, self._ticks = self.world.time, self.world.elapsed
        self.next_sweep = self.world.elapsed

    def _swept(self, task: Task) -> None:
        self.sweeping = False
        self.world.judge(task)


@dataclass
class World:
    """Everything of one history. `calm`: nothing fails and nothing is delayed."""

    chance: Random
    store: Store
    deployment: Deployment
    chances: Chances = field(default_factory=Chances)
    exact: tuple[int, Verdict] | None = None

    def __post_init__(self) -> None:
        self.time = NOON + self.chance.randrange(10**6) * timedelta(microseconds=1)
        self.elapsed = ZERO
        self.calm = False
        self.disturbed_calls = 0
        self.step = 0
        self.lines: list[tuple[int, datetime, str, str]] = []
        self.specs: dict[str, Spec] = {}
        self.initial: dict[str, timedelta] = {}
        self.used_at: dict[str, datetime] = {}
        self.parked: list[Task] = []
        self.scheduler = Scheduler(self.exact)
        local = self.deployment is Deployment.LOCAL
        self.disk = Disk()
        self.ejects = MemoryEjects()  # as durable as its file
        self.checks = Invariants(
            self.scheduler,
            lambda: self.time,
            lambda: self.elapsed,
            exclusive=local,
            ejects=self.ejects,
        )
        self.driver = WatchedDriver(lambda: self.time, leash=local)
        self.driver.cut_off = self.checks.cut_off
        self.checks.driver = self.driver
        self.gateways = [Gateway(self, name) for name in ("A" if local else "AB")]
        self._log = _Log(self.checks)
        logging.getLogger("parkmeter").addHandler(self._log)
        # Keys that the service makes up are random; here they are numbers.
        numbers = itertools.count(1)
        self._secrets = changes.secrets
        changes.secrets = SimpleNamespace(token_hex=lambda _size: f"made-up-{next(numbers)}")
        # The threads of an orderly end would run in any order.
        self._at_once, parking._AT_ONCE = parking._AT_ONCE, 1

    def close(self) -> None:
        """End the threads; the store stays open."""
        logging.getLogger("parkmeter").removeHandler(self._log)
        changes.secrets = self._secrets
        parking._AT_ONCE = self._at_once
        for gateway in self.gateways:
            self.kill(gateway)
        self.scheduler.close()

    # ── Operations ───────────────────────────────────────────────────────────────────────────────

    def do(
        self,
        gateway: Gateway,
        title: str,
        work: Callable[[], object],
        then: Callable[[Task], None],
        risk: float = 1.0,
    ) -> Task:
        """Begin an operation of a gateway; `then` gets it when it is over, or was killed.

        `risk`: how much oftener than others it is held up, or hit by a fault.
        """
        task = Task(f"{gateway.name}: {title}", gateway, work)
        task.facts |= {
            "then": then,
            "now": self.time,
            "risk": risk,
            "reloads": gateway.reloads,
            "steps_back": self.checks.steps_back,
        }
        self.resume(task)
        return task

    def resume(self, task: Task) -> None:
        """Run an operation up to its end, or to where it is held up."""
        orders = self._orders(task)
        self.scheduler.run(task, orders)
        if not task.done:
            task.facts["held up"] = True
            if task not in self.parked:
                self.parked.append(task)
            return
        if task in self.parked:
            self.parked.remove(task)
        if isinstance(task.error, Crash):
            self.note(f"{task.title}: killed")
            self.kill(task.owner)
        task.facts["then"](task)

    def kill(self, gateway: Gateway) -> None:
        """End a process at once, with everything it was doing."""
        gateway.up = gateway.running = False
        for name, _ in gateway.requests:
            self.checks.used_at[name] = self.time
        gateway.requests.clear()
        for task in [task for task in self.parked if task.owner is gateway]:
            self.parked.remove(task)
            self.scheduler.kill(task)
            task.facts["then"](task)

    def judge(self, task: Task) -> None:
        """Pass errors that were injected; any other one is a violation."""
        if task.error is None or isinstance(task.error, (Crash, *INJECTED)):
            return
        text = "".join(traceback.format_exception(task.error))
        self.checks.fail(f"{task.title}: {text}")

    # ── Time ─────────────────────────────────────────────────────────────────────────────────────

    def run_due(self) -> None:
        """Do everything that is due at this moment."""
        for gateway in self.gateways:
            if gateway.up and gateway.running:
                gateway.run_due()

    def advance(self, amount: timedelta) -> None:
        """Let time pass; everything that falls due is done at its moment."""
        until = self.elapsed + amount
        self.run_due()
        while self.elapsed < until:
            dues = [due for gateway in self.gateways if (due := gateway.next_due()) is not None]
            to = min((max(due - self.time, ZERO) for due in dues), default=amount)
            self._move(min(to, until - self.elapsed))
            self.run_due()

    def set_clock(self, by: timedelta) -> None:
        """Set the wall clock, without time passing."""
        self.time += by
        self.checks.steps_back += by < ZERO
        self.driver.present()
        self.run_due()

    def _move(self, amount: timedelta) -> None:
        self.time += amount
        self.elapsed += amount
        self.driver.present()  # transitions are made at their time
        self.checks.time_passed(self._hindered(), self.specs)

    def _hindered(self) -> set[str]:
        """Return the endpoints that something keeps from being stopped."""
        present = self.driver.present()
        if self.disk.lost or (self.disk.full and self.deployment is Deployment.CLOUD):
            return set(present)
        if self.parked or not any(gateway.running for gateway in self.gateways):
            return set(present)
        refuses = self.driver.refuses()
        return set(present) if "" in refuses else refuses

    # ── The record ───────────────────────────────────────────────────────────────────────────────

    def note(self, text: str) -> None:
        """Add a line to the history."""
        task = self.scheduler.current
        self.lines.append((self.step, self.time, task.title if task is not None else "", text))

    def check(self) -> None:
        """Check what holds after every step.

        Raises:
            Violation: names the broken promises.

        """
        self.checks.compare(self.store, self.specs.keys() | self.checks.meters.keys())
        if self.checks.violations:
            raise Violation("\n".join(self.checks.violations))

    def open(self, name: str) -> bool:
        """Return whether a meter is open."""
        meter = self.checks.meters.get(name)
        return meter is not None and is_open(meter, self.time)

    def serves(self, name: str) -> bool:
        """Return whether an endpoint is ready."""
        return self.driver.phase(name) in {Phase.READY, Phase.BUSY}

    def _orders(self, task: Task) -> Orders:
        """Return how far an operation runs now. Every other time a call with an effect is hit."""
        if self.calm:
            return Orders()
        lot, chance = self.chance.random() / task.facts["risk"], self.chance
        if lot >= self.chances.park + self.chances.fault:
            return Orders()
        then = Verdict.PARK if lot < self.chances.park else chance.choice(FAULTS)
        if chance.random() < 0.5:
            return Orders(chance.randrange(10), then)
        return Orders(chance.choice((0, 0, 1)), then, chance.choice(EFFECTS))


class _Log(logging.Handler):
    """An error in the log that was not injected is a violation: a handler has hidden it."""

    def __init__(self, checks: Invariants) -> None:
        super().__init__(logging.ERROR)
        self._checks = checks

    def emit(self, record: Any) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not isinstance(error, INJECTED):
            self._checks.fail(f"logged: {self.format(record)}")
