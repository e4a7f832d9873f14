"""Runs the benchmarks one after the other and prints what they claim in one table.

    python -m benchmarks [NAME…] [--smoke] [--results FILE]

All of them in their full form take about half an hour, and write `benchmarks/RESULTS.md`. Names
run only those; what is then written goes to `--results` alone. The status is 1 when one failed;
a target that is missed is shown in the table and fails nothing.
"""

import argparse
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.running import results, scripts
from benchmarks.running.machine import described, load_average

_HERE = Path(__file__).parent


def main() -> int:
    """Run, print, write; the status for the shell."""
    known = scripts.found()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--smoke", action="store_true", help="the shortest form of each")
    parser.add_argument("--results", type=Path, help="write the page of results there")
    options = parser.parse_args()
    if unknown := set(options.names) - set(known):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    whole = not options.names and not options.smoke
    page = options.results or (_HERE / "RESULTS.md" if whole else None)

    facts = {
        "Date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Command": f"`{shlex.join(['python', '-m', 'benchmarks', *sys.argv[1:]])}`",
        **described(),
    }
    for name, fact in facts.items():
        print(f"{name}: {fact}")
    outcomes = []
    for script in options.names or known:
        print(f"\n── {script} (load {load_average()}) ──", flush=True)
        outcomes.append(scripts.run(script, smoke=options.smoke))
    print(f"\n{results.table(outcomes)}")
    if page is not None:
        by_hand = [(_HERE / name).read_text("utf-8") for name in ("reading.md", "profiles.md")]
        page.write_text(results.page(outcomes, facts, *by_hand), encoding="utf-8")
        print(f"\nwritten to {page}")
    return 1 if any(outcome.failure for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
