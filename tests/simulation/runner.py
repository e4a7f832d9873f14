"""One history from one seed: some thousand steps, then everything heals and must come to rest."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from parkmeter.core.events import EVENTS
from parkmeter.core.meter import Meter, Phase, is_open, latest_close
from parkmeter.ports import Store
from parkmeter.service.changes import Actor
from parkmeter.stores.dynamodb import DynamoStore
from parkmeter.stores.dynamodb_outbox import DynamoOutbox
from parkmeter.stores.memory import MemoryStore
from parkmeter.stores.sqlite import SqliteStore
from simulator.deployment import dynamodb_client, make_tables
from simulator.moto_server import moto_server
from tests.simulation.invariants import Violation
from tests.simulation.outbox import ClaimedFollower, Follower, PlacedFollower
from tests.simulation.receipts import check_receipt
from tests.simulation.requests import Requests
from tests.simulation.rules import NAMES, History, draw_spec, step
from tests.simulation.scheduler import FAULTS, Verdict
from tests.simulation.world import MINUTE, SECOND, Chances, Deployment, World

ENOUGH = 5
"""Violations after which a soak ends."""

STORES = ("memory", "sqlite", "moto")

MakeFollower = Callable[[World], Follower]


@dataclass(slots=True)
class Outcome:
    """The result of one history. `disturbed_calls`: port calls before everything healed."""

    seed: int
    store: str
    deployment: Deployment
    steps: int
    calls: int
    disturbed_calls: int
    faults: int
    violation: str | None
    lines: list[str] = field(default_factory=list)

    def replay(self, of: int) -> str:
        """Return the command that runs the history again and prints it."""
        return (
            f"python -m tests.simulation --seed {self.seed} --store {self.store} "
            f"--deployment {self.deployment} --steps {of} --print"
        )


@contextmanager
def stores(kind: str) -> Iterator[Callable[[], tuple[Store, MakeFollower]]]:
    """Yield a function that makes an empty store of this kind, and a follower of its journal."""
    match kind:
        case "memory":
            yield lambda: (MemoryStore(), PlacedFollower)
        case "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                made: list[SqliteStore] = []

                def sqlite() -> tuple[Store, MakeFollower]:
                    for one in made:
                        one.close()
                    made[:] = [SqliteStore(Path(folder, f"{random.getrandbits(64)}.sqlite"))]
                    return made[0], PlacedFollower

                yield sqlite
                for one in made:
                    one.close()
        case "moto":
            with moto_server() as url:
                client = dynamodb_client(url)

                def dynamo() -> tuple[Store, MakeFollower]:
                    tables = make_tables(client)
                    store = DynamoStore(client, tables, posts=EVENTS, pause=lambda _seconds: None)
                    outbox = DynamoOutbox(client, tables.meters)
                    return store, lambda world: ClaimedFollower(world, outbox)

                yield dynamo
                client.close()
        case _:
            raise ValueError(f"{kind} is no store; there are {', '.join(STORES)}")


def run(
    chance: Random,
    make: Callable[[], tuple[Store, MakeFollower]],
    deployment: Deployment,
    steps: int,
    *,
    chances: Chances | None = None,
    exact: tuple[int, Verdict] | None = None,
) -> tuple[World, str | None]:
    """Run one history; return its world, and the promises that were broken."""
    store, follower_of = make()
    if chances is None:
        chances = Chances(park=chance.choice((0, 0.1, 0.4)), fault=chance.choice((0, 0.02, 0.1)))
    world = World(chance, store, deployment, chances, exact)
    world.specs = {name: draw_spec(chance, name) for name in NAMES}
    world.initial = {"alpha": chance.choice((0, 10)) * MINUTE}
    history = History(world, Requests(world), follower_of(world))
    try:
        for gateway in world.gateways:
            gateway.boot()
        for number in range(1, steps + 1):
            world.step = number
            step(history)
            world.check()
        world.step = steps + 1
        _come_to_rest(history)
    except Violation as broken:
        return world, str(broken)
    finally:
        world.close()
    return world, None


def run_seed(
    seed: int,
    kind: str,
    make: Callable[[], tuple[Store, MakeFollower]],
    deployment: Deployment,
    steps: int,
    *,
    exact: tuple[int, Verdict] | None = None,
    chances: Chances | None = None,
) -> Outcome:
    """Run the history of a seed."""
    world, violation = run(Random(seed), make, deployment, steps, exact=exact, chances=chances)
    return Outcome(
        seed=seed,
        store=kind,
        deployment=deployment,
        steps=min(world.step, steps),
        calls=world.scheduler.calls,
        disturbed_calls=world.disturbed_calls,
        faults=world.scheduler.faults,
        violation=violation,
        lines=[
            f"{number:5} {time:%d %H:%M:%S.%f} {title:32} {text}"
            for number, time, title, text in world.lines
        ],
    )


# ── The end ─────────────────────────────────────────────────────────────────────────────────────


def _come_to_rest(history: History) -> None:
    """Heal everything and wait: what is open serves, what is closed is gone, and money adds up."""
    world = history.world
    world.calm, world.scheduler.exact = True, None
    world.disturbed_calls = world.scheduler.calls
    world.note("everything heals")
    world.disk.full = world.disk.lost = False
    for task in list(world.parked):
        if task in world.parked:
            world.resume(task)
    world.driver.heal()
    world.driver.start_takes = world.driver.stop_takes = SECOND
    for gateway in world.gateways:
        for _, permit in gateway.requests:
            permit.release()
        gateway.requests.clear()
        if gateway.up:
            gateway.clock.deaf = False
            gateway.reload()
        else:
            gateway.boot()
    _slow_looks(world, hours=True)
    world.advance(7 * MINUTE)
    world.check()
    _judge_rest(world)
    world.check()
    _slow_looks(world, hours=False)
    world.advance(MINUTE)
    admin = Actor("z", "zoe")
    for name in world.specs:
        world.do(
            world.gateways[0],
            f"eject {name}",
            lambda name=name: world.gateways[0].service.eject(name, admin),
            world.judge,
        )
    world.advance(2 * MINUTE)
    world.check()
    for name in NAMES:
        meter = world.checks.meters.get(name, Meter(name))
        if world.driver.phase(name) is not Phase.ABSENT:
            world.checks.fail(f"{name}: ejected, and it is {world.driver.phase(name)}")
        if name in world.specs and not meter.settled:
            world.checks.fail(f"{name}: ejected, gone and not settled: {meter}")
        if name in world.specs and world.ejects.of(name) is not None:
            world.checks.fail(f"{name}: an eject is not recorded: {world.ejects.of(name)}")
    for name in world.specs:
        world.do(
            world.gateways[0],
            f"receipt {name}",
            lambda name=name: world.gateways[0].service.receipt(name),
            lambda task, name=name: check_receipt(world, name, task),
        )
    history.follower.finish()
    world.check()


def _slow_looks(world: World, *, hours: bool) -> None:
    """Configure looks once a minute, so that the rest takes few of them."""
    world.specs = {
        name: replace(
            spec,
            look_again=MINUTE,
            idle=None,
            hours=spec.hours if hours else None,
        )
        for name, spec in world.specs.items()
    }
    for gateway in world.gateways:
        gateway.reload()


def _judge_rest(world: World) -> None:
    """Judge a deployment that nothing has disturbed for some minutes."""
    present = world.driver.present()
    for name in NAMES:
        meter = world.checks.meters.get(name, Meter(name))
        spec, phase = world.specs.get(name), world.driver.phase(name)
        changed = max(meter.set_at, meter.opened_at)
        if spec is None:
            if phase is not Phase.ABSENT:
                world.checks.fail(f"{name}: not configured, and it is {phase}")
        elif is_open(meter, world.time):
            waits = spec.device is not None and any(
                other != name and other in world.specs and world.specs[other].device == spec.device
                for other in present
            )
            recent = world.time - changed < 2 * MINUTE
            if phase is not Phase.READY and not waits and not recent:
                world.checks.fail(f"{name}: open, and it is {phase}: {meter}")
        elif world.time > latest_close(meter) + spec.drain + 10 * SECOND and (
            phase is not Phase.ABSENT or not meter.settled
        ):
            world.checks.fail(f"{name}: closed, and it is {phase}: {meter}")


# ── Many histories ──────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Totals:
    """The sums of many histories."""

    seconds: float = 0.0
    histories: int = 0
    steps: int = 0
    calls: int = 0
    faults: int = 0
    violations: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.histories += 1
        self.steps += outcome.steps
        self.calls += outcome.calls
        self.faults += outcome.faults
        if outcome.violation:
            self.violations.append(outcome)


def soak(kind: str, steps: int, length: int, first_seed: int = 1) -> Totals:
    """Run histories of `length` steps, by turns of both deployments, until there are `steps`."""
    totals, seed, began = Totals(), first_seed, time.monotonic()
    with stores(kind) as make:
        while totals.steps < steps:
            deployment = (Deployment.LOCAL, Deployment.CLOUD)[seed % 2]
            totals.add(run_seed(seed, kind, make, deployment, length))
            seed += 1
            if len(totals.violations) >= ENOUGH:
                break
    totals.seconds = time.monotonic() - began
    return totals


def every_call(
    seed: int, kind: str, deployment: Deployment, steps: int, most: int = 1 << 30
) -> Totals:
    """Run one history over and over, each time with one fault at one port call, in turn.

    `most`: at most about this number of histories, evenly spread over the calls and faults.
    """
    totals, quiet, began = Totals(), Chances(), time.monotonic()
    with stores(kind) as make:
        calls = run_seed(seed, kind, make, deployment, steps, chances=quiet).disturbed_calls
        cases = [(number, verdict) for number in range(1, calls + 1) for verdict in FAULTS]
        for case in cases[:: max(1, len(cases) // most) | 1]:  # odd, so that each fault comes
            totals.add(run_seed(seed, kind, make, deployment, steps, exact=case, chances=quiet))
    totals.seconds = time.monotonic() - began
    return totals
