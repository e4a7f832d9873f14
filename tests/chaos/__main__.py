"""`python -m tests.chaos --seed N --minutes M`: exit code 1 if a promise was broken."""

import argparse
import random
import shlex
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.report import machine, report
from tests.chaos.run import Plan, run

flags = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
flags.add_argument("--seed", type=int, default=random.randrange(1 << 32))
flags.add_argument("--minutes", type=float, default=10)
flags.add_argument("--only", action="append", choices=list(FAULTS), help="this fault; repeatable")
flags.add_argument("--longest", type=float, default=8, help="seconds of one fault")
flags.add_argument("--pairs", type=float, default=0.25, help="share of two faults at once")
given = flags.parse_args()

asked = sys.argv[1:] if "--seed" in sys.argv else ["--seed", str(given.seed), *sys.argv[1:]]
command = shlex.join(["python", "-m", "tests.chaos", *asked])
print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}: {command}", flush=True)
began = time.monotonic()
plan = Plan(
    given.seed,
    given.minutes * 60,
    tuple(given.only or FAULTS),
    longest=given.longest,
    pairs=given.pairs,
)
folder = Path(tempfile.mkdtemp(prefix="parkmeter-chaos-"))
ledger, counts = run(
    plan, folder, lambda line: print(f"{time.monotonic() - began:6.1f} {line}", flush=True)
)
print(report(ledger, counts))
print(f"the gateway's output: {folder}/gateway.out")
sys.exit(bool(ledger.broken))
