"""One run: a schedule of faults from a seed, the load, the watcher, and the final comparison."""

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.faults import FAULTS, raise_own_limit, together
from tests.chaos.ledger import ORPHAN, UNRECOVERED, Ledger
from tests.chaos.load import Load
from tests.chaos.watch import Watcher
from tests.chaos.world import World, wait_for

RECOVERED_WITHIN = 120.0
GONE_WITHIN = 20.0
"""Seconds after the orderly end of the gateway, which leaves slow servers to their leashes."""


@dataclass(frozen=True)
class Plan:
    """A plan of a run.

    `shortest`, `longest`: seconds of a fault. `pairs`: the share of two faults at once.
    """

    seed: int
    seconds: float
    faults: Sequence[str] = tuple(FAULTS)
    shortest: float = 0.5
    longest: float = 8.0
    pairs: float = 0.25


def run(plan: Plan, folder: Path, say=lambda _: None) -> tuple[Ledger, Counter[str]]:
    """Carry out a plan in an empty folder; return the counts, and how often each fault was."""
    raise_own_limit()
    ledger, counts = Ledger(), Counter[str]()
    with World(folder, ledger) as world:
        _work(plan, world, ledger, say, counts)
        world.end()
        if not wait_for(lambda: not world.running(), GONE_WITHIN):
            ledger.breaks(ORPHAN, f"after the end: {world.running()}")
        ledger.check(world.journals)
    return ledger, counts


def _work(plan: Plan, world: World, ledger: Ledger, say, counts: Counter[str]) -> None:
    chance = random.Random(plan.seed)
    with Load(world, ledger, plan.seed) as load:
        if missing := load.until_recovered(RECOVERED_WITHIN, "start"):
            raise RuntimeError(f"the gateway did not start: {missing}\n{world.out.read_text()}")
        give_up = time.monotonic() + plan.seconds
        with Watcher(world, ledger) as watcher:
            for number, faults in enumerate(_schedule(plan, chance)):
                if time.monotonic() >= give_up:
                    break
                seconds = chance.uniform(plan.shortest, plan.longest)
                say(f"{' + '.join(faults)} for {seconds:.1f} s")
                counts[faults[0]] += 1
                ledger.fault_begins(faults[0])
                with together(faults, world, chance, seconds):
                    pass
                ledger.fault_ends()
                began = time.monotonic()
                missing = load.until_recovered(RECOVERED_WITHIN, f"after-{number}")
                ledger.recovered(faults[0], time.monotonic() - began)
                if missing:
                    ledger.breaks(UNRECOVERED, f"{RECOVERED_WITHIN:g} s after {faults}: {missing}")
                with suppress(sqlite3.Error):
                    ledger.check(world.journals)
                time.sleep(chance.uniform(0.2, 1.0))
            if not watcher.looks:
                raise RuntimeError("the watcher saw nothing")


def _schedule(plan: Plan, chance: random.Random) -> Iterator[list[str]]:
    """Yield faults, each kind as often as any other, some with a second one."""
    while True:
        for fault in chance.sample(plan.faults, len(plan.faults)):
            second = chance.choice(plan.faults)
            yield [fault, second] if second != fault and chance.random() < plan.pairs else [fault]
