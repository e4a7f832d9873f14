"""The table of a run."""

import os
import statistics
from collections import Counter
from pathlib import Path

from tests.chaos.ledger import LATE, LOST, ORPHAN, OWN_5XX, PROMISES, Ledger

COLUMNS = (LOST, LATE, ORPHAN, OWN_5XX)


def report(ledger: Ledger, faults: Counter[str]) -> str:
    """Return the run as text: a table in Markdown, answers, and each broken promise in full."""
    heads = ["fault", "times", *COLUMNS, "recovery p50", "recovery max"]
    rows = [heads, ["---"] * len(heads)]
    rows += [_row(ledger, fault, times) for fault, times in faults.items()]
    every = [seconds for some in ledger.recoveries.values() for seconds in some]
    broken = Counter(promise for promise, _, _ in ledger.broken)
    sums = [str(broken[column]) for column in COLUMNS]
    rows.append(["all", str(faults.total()), *sums, *_times(every)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", f"acknowledged top-ups: {len(ledger.promises)}", "", "answers:"]
    lines += [
        f"  {count:7} {kind}: {what}" for (kind, what), count in sorted(ledger.answers.items())
    ]
    lines += ["", *(f"{promise}: {broken[promise]}" for promise in PROMISES)]
    lines += [
        f"BROKEN {promise} [{during}] {details}" for promise, during, details in ledger.broken
    ]
    return "\n".join(lines)


def _row(ledger: Ledger, fault: str, times: int) -> list[str]:
    broken = Counter(promise for promise, during, _ in ledger.broken if during == fault)
    cells = [str(broken[column]) for column in COLUMNS]
    return [fault, str(times), *cells, *_times(ledger.recoveries.get(fault, []))]


def _times(seconds: list[float]) -> list[str]:
    if not seconds:
        return ["", ""]
    return [f"{statistics.median(seconds):.1f} s", f"{max(seconds):.1f} s"]


def machine() -> str:
    """Return the size of this machine."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    version = Path("/proc/sys/kernel/osrelease")
    kernel = version.read_text().strip() if version.exists() else ""
    return f"{os.cpu_count()} cores, {pages / 2**30:.0f} GiB, {kernel}"
