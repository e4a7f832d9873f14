"""The command of the simulation; see the package."""

import argparse
import logging
import sys

from tests.simulation.runner import STORES, Outcome, Totals, every_call, run_seed, soak, stores
from tests.simulation.world import Deployment

LENGTH = 500
"""Steps of one history, unless asked for otherwise."""

SOAK = {"memory": 100_000, "sqlite": 100_000, "moto": 10_000}
"""Steps of a soak of everything."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the history, or the first of a soak")
    parser.add_argument("--store", choices=STORES, help="memory, or all of them in a soak")
    parser.add_argument("--deployment", choices=[one.value for one in Deployment], default="local")
    parser.add_argument(
        "--steps", type=int, help=f"of the history ({LENGTH}), or of the whole soak"
    )
    parser.add_argument("--print", action="store_true", help="print the history")
    parser.add_argument("--soak", action="store_true", help="histories until there are --steps")
    parser.add_argument("--every-call", action="store_true", help="one fault at each call in turn")
    asked = parser.parse_args()
    logging.getLogger("parkmeter").addHandler(logging.NullHandler())
    logging.getLogger("parkmeter").propagate = False
    deployment = Deployment(asked.deployment)
    if asked.soak:
        return max(
            _print_totals(store, soak(store, asked.steps or steps, LENGTH, asked.seed), LENGTH)
            for store, steps in SOAK.items()
            if asked.store in {None, store}
        )
    store, steps = asked.store or "memory", asked.steps or LENGTH
    if asked.every_call:
        return _print_totals(store, every_call(asked.seed, store, deployment, steps), steps)
    with stores(store) as make:
        outcome = run_seed(asked.seed, store, make, deployment, steps)
    if asked.print:
        print("\n".join(outcome.lines))
    print(_summary(outcome))
    return int(outcome.violation is not None)


def _summary(outcome: Outcome) -> str:
    told = (
        f"seed {outcome.seed}, {outcome.store}, {outcome.deployment}: {outcome.steps} steps, "
        f"{outcome.calls} port calls, {outcome.faults} faults"
    )
    if outcome.violation is None:
        return f"{told}, no promise broken"
    return f"{told}\nBROKEN at step {outcome.steps}:\n{outcome.violation}"


def _print_totals(kind: str, totals: Totals, length: int) -> int:
    print(
        f"{kind:7} {totals.steps:>9,} steps {totals.histories:>7,} histories "
        f"{totals.calls:>10,} port calls {totals.faults:>8,} faults "
        f"{len(totals.violations):>3} violations {totals.seconds:>6.0f} s"
    )
    for outcome in totals.violations:
        print(f"\n{outcome.replay(length)}\n{_summary(outcome)}")
    return int(bool(totals.violations))


if __name__ == "__main__":
    sys.exit(main())
