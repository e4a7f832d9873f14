"""Runs the benchmarks and prints a table for each, then what was promised and whether it is kept.

    python -m benchmarks [NAME…] [--quick] [--rounds N] [--results FILE]
    python -m benchmarks compare --against REVISION

All of them take about a quarter of an hour on two quiet cores, and write `benchmarks/RESULTS.md`.
Names run only those. `--quick` exercises every path in seconds; its figures mean nothing. The
status is 1 when one failed; a promise that is missed fails nothing.
"""

import argparse
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import page, runner, scenes
from benchmarks.figures import Effort
from benchmarks.machine import described, revision
from benchmarks.promises import judge

_HERE = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Run, print, write; return the status for the shell."""
    known = (*scenes.ALL, *scenes.ON_REQUEST)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--quick", action="store_true", help="the shortest form of each")
    parser.add_argument("--rounds", type=int, help="interleaved rounds, instead of each's own")
    parser.add_argument("--against", default="", metavar="REVISION", help="for compare; HEAD")
    parser.add_argument("--results", type=Path, metavar="FILE", help="write the page there")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(known):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    whole = not options.names and not options.quick
    results = options.results or (_HERE / "RESULTS.md" if whole else None)

    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    facts = {
        "Measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by `{command}`",
        "Machine": described(),
        "Revision": revision(),
    }
    print("\n".join(f"{name}: {fact}" for name, fact in facts.items()), flush=True)
    effort = Effort(options.quick, options.rounds, options.against)
    outcomes = []
    for scene in options.names or scenes.ALL:
        outcomes.append(runner.run(scene, effort))
        print(f"\n{page.section(outcomes[-1])}", flush=True)
    verdicts = judge(outcomes)
    if verdicts:
        print(f"\n{page.promised(verdicts)}")
    if results is not None:
        notes = (_HERE / "notes.md").read_text(encoding="utf-8")
        results.write_text(page.page(outcomes, verdicts, facts, notes), encoding="utf-8")
        print(f"\nwritten to {results}")
    return 1 if any(outcome.failure for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
