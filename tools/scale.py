"""Writes the tables of docs/scale.md from a simulation, or with --check fails where one is stale.

The calls of a run are those that the real clock makes in wound time (tests/cloud/scale); money is
their number times a price. What is assumed of use is said here, once.
"""

import logging
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.scale.fleet import OF_SAGEMAKER, ONE_CORE_MEGABYTES, Fleet
from tests.support.scale.toll import Quota

FILE = Path(__file__).parents[1] / "docs" / "scale.md"

SIZES = (100, 1_000, 10_000, 1_000_000)
"""Meters, of which one in ten is unsettled."""

SSM_A_SECOND = 40
SECONDS_A_MONTH = 730 * 3600
TICKS = SECONDS_A_MONTH / 60


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars in us-east-1, and where that is from."""

    dollars: float
    unit: str
    source: str


MEMORY = "memory"
_SINCE_THE_CUT = "quoted 2025-07, after the cut of 2024-11"
PRICES = {
    "Lambda, arm64": Price(0.0000133334, "GB-second", "price tables quoted 2024 and 2026-05"),
    "Lambda, a call": Price(0.20e-6, "call", "aws.amazon.com/lambda/pricing as read 2026-09-20"),
    "DynamoDB, reading": Price(0.125e-6, "unit of 4 KB", _SINCE_THE_CUT),
    "DynamoDB, writing": Price(0.625e-6, "unit of 1 KB", _SINCE_THE_CUT),
    "DynamoDB, keeping": Price(0.25, "GB-month", MEMORY),
    "SSM, beyond 40 calls/s": Price(0.05e-4, "call", MEMORY),
    "SSM, advanced parameter": Price(0.05, "month", MEMORY),
    "API Gateway, REST": Price(3.50e-6, "call", "quoted 2025-05 and 2026"),
    "CloudWatch, metric": Price(0.30, "month", MEMORY),
    "CloudWatch, alarm": Price(0.10, "month", MEMORY),
    "CloudWatch, logs": Price(0.50, "GB", "quoted 2026"),
}

# ── What is assumed of one unsettled meter and a day ────────────────────────────────────────────

LIVES = 2
TOP_UPS = 4
REQUESTS = 1_000
"""Prompts and looks at the status together, through API Gateway."""

PROMPT_SECONDS = 1.0
"""That a prompt keeps its function (1 GB) waiting for the model."""

MOMENTS_OF_A_LIFE = 4
"""Two warnings, the close, the end of the drain: a run near one of them stays for it."""

RUNS_OF_A_LIFE = 8
"""By name: for top-ups, for SageMaker's events, for the published expiry."""

COMMITS_OF_A_LIFE = 10
WRITE_UNITS = 10
"""Of a commit: meter, line and key, in a transaction, which counts twice."""

GIGABYTES_A_METER = 0.5e-3
"""A year's journal, about."""

GPU_DOLLARS = 1.41
"""An hour of ml.g5.xlarge (memory): what all this watches."""


# ── The simulation ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Tick:
    """A run of the clock with nothing due."""

    calls: int
    ssm: int
    seconds: float
    processor: float


@cache
def quiet(unsettled: int, ssm_a_second: int = SSM_A_SECOND) -> Tick:
    """As simulated."""
    fleet = Fleet(quotas={"GetParameters": Quota(ssm_a_second)})
    fleet.running(unsettled, lambda _: 3600)
    (tick,) = fleet.minutes(1)
    fleet.threads.end()
    calls = tick.toll.calls
    used = tick.toll.processor.used
    return Tick(calls.total(), calls["GetParameters"], tick.seconds, used)


def ended(closes_in: Callable[[int], float], a_second: float | None) -> tuple[str, ...]:
    """A thousand that end: median and last stop, longest run, calls, refusals."""
    quotas = {"GetParameters": Quota(SSM_A_SECOND)}
    if a_second is not None:
        quotas |= {operation: Quota(a_second) for operation in OF_SAGEMAKER}
    fleet = Fleet(quotas=quotas, events=True)
    fleet.running(1_000, closes_in)
    ticks = fleet.minutes(3)
    fleet.threads.end()
    late, longest = fleet.lateness(), max(tick.seconds for tick in ticks)
    calls, refused = fleet.calls.total(), fleet.throttled.total()
    middle = late[len(late) // 2]
    return f"{middle:.1f} s", f"{late[-1]:.1f} s", f"{longest:.0f} s", f"{calls:,}", f"{refused:,}"


# ── The tables ──────────────────────────────────────────────────────────────────────────────────


def ticks() -> str:
    """What a run with nothing due takes."""
    rows = [
        (f"{n:,}", f"{t.calls:,}", f"{t.ssm:,}", f"{t.seconds:.1f} s", f"{t.processor:.2f} s")
        for n in (10, 100, 1_000, MOST_OF_A_CLOCK)
        for t in [quiet(n)]
    ]
    return _table(("unsettled", "calls", "of them SSM", "takes", "processor"), rows)


def stops() -> str:
    """A thousand endpoints that end."""
    rows = [
        ("within a minute, evenly", "none", *ended(lambda n: 0.06 * n, None)),
        ("in the same second", "none", *ended(lambda _: 10, None)),
        ("in the same second", "20/s each", *ended(lambda _: 10, 20)),
    ]
    head = (
        "a thousand end",
        "SageMaker's limit",
        "median late",
        "last late",
        "longest run",
        "calls",
    )
    return _table((*head, "refused"), rows)


def money() -> str:
    """A month, by service."""
    names = ("Lambda: clock", "Lambda: requests", "DynamoDB", "SSM", "API Gateway", "CloudWatch")
    columns = [_month(meters) for meters in SIZES]
    rows = [(name, *(_dollars(column[at]) for column in columns)) for at, name in enumerate(names)]
    rows.append(("**all of it**", *(f"**{_dollars(sum(column))}**" for column in columns)))
    gpus = [meters / 10 * GPU_DOLLARS * 730 for meters in SIZES]
    rows.append(("what the endpoints cost", *map(_dollars, gpus)))
    return _table(("a month", *(f"{meters:,} meters" for meters in SIZES)), rows)


def _month(meters: int) -> list[float]:
    unsettled, days = meters / 10, 730 / 24
    shards = clocks(meters)
    simulated = min(1_000, round(unsettled / shards))
    tick, scale = quiet(simulated), unsettled / shards / simulated
    lives = LIVES * unsettled * days
    requests = REQUESTS * unsettled * days
    # Near a moment a run stays for it; how many are near one follows from how many there are.
    busy = 1 - math.exp(-lives * MOMENTS_OF_A_LIFE / SECONDS_A_MONTH * 75 / shards)
    run = tick.seconds * scale * (1 - busy) + (75 + tick.seconds * scale) * busy
    gigabytes = ONE_CORE_MEGABYTES / 1024
    by_name = RUNS_OF_A_LIFE * lives
    clock = (TICKS * shards * run + by_name * 0.3) * gigabytes * _price("Lambda, arm64")
    clock += (TICKS * shards + by_name) * _price("Lambda, a call")
    served = requests * (PROMPT_SECONDS * _price("Lambda, arm64") + _price("Lambda, a call"))
    reads = 2 * unsettled * TICKS + 2 * requests + 5 * by_name
    writes = (COMMITS_OF_A_LIFE * lives + TOP_UPS * unsettled * days) * WRITE_UNITS
    dynamodb = reads * _price("DynamoDB, reading") + writes * _price("DynamoDB, writing")
    dynamodb += meters * GIGABYTES_A_METER * _price("DynamoDB, keeping")
    asked = unsettled / 5 * TICKS
    ssm = asked * _price("SSM, beyond 40 calls/s") if unsettled / 5 / 15 > SSM_A_SECOND else 0
    ssm += max(0, 2 * meters - 10_000) * _price("SSM, advanced parameter")
    watched = shards * (2 * _price("CloudWatch, metric") + 3 * _price("CloudWatch, alarm"))
    # A kilobyte for each run and each request.
    logs = (TICKS * shards + by_name + requests) * 1e-6 * _price("CloudWatch, logs")
    return [clock, served, dynamodb, ssm, requests * _price("API Gateway, REST"), watched + logs]


def clocks(meters: int) -> int:
    """How many of them see all unsettled meters in the 15 s by which runs overlap."""
    return math.ceil(meters / 10 / MOST_OF_A_CLOCK)


MOST_OF_A_CLOCK = 2_500
"""See the first table: they take most of the 15 s, nearly all of it SSM's."""


def prices() -> str:
    """Where each is from."""
    rows = [
        (name, f"${one.dollars:.10f}".rstrip("0"), one.unit, one.source)
        for name, one in PRICES.items()
    ]
    return _table(("price", "us-east-1", "for a", "source"), rows)


def _price(name: str) -> float:
    return PRICES[name].dollars


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount < 10 else f"${amount:,.0f}"  # noqa: PLR2004 (readable)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


TABLES: dict[str, Callable[[], str]] = {
    "ticks": ticks,
    "stops": stops,
    "money": money,
    "prices": prices,
}


def filled(text: str) -> str:
    """The page with its tables written anew, each between its two marks."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}: written by tools/scale.py -->\n", f"\n<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = before + begin + make() + end + after
    return text


def main() -> int:
    """Write, or check; the exit code."""
    logging.disable(logging.CRITICAL)  # thousands of refusals
    text = FILE.read_text(encoding="utf-8")
    now = filled(text)
    if "--check" in sys.argv[1:]:
        if text != now:
            print("docs/scale.md is stale. Run `make docs`.", file=sys.stderr)
        return int(text != now)
    FILE.write_text(now, encoding="utf-8")
    print("\n".join(line for line in now.splitlines() if line.startswith("|")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
