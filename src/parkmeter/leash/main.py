"""Start of a leash: read the orders, take the lock, answer the driver, then supervise.

Knows the protocol between driver and leash; `supervise` does the work.
"""

import contextlib
import json
import os
import sys
import time

from parkmeter.leash import processes
from parkmeter.leash.files import (
    CLEARING,
    FINAL,
    HELD,
    REFUSED,
    STARTED,
    STOPPED,
    Files,
    has_reader,
    read_record,
    take_lock,
)
from parkmeter.leash.supervise import SHORT_NAP, Leash

LOCK_WITHIN = 1.0
"""Seconds to retry taking the lock: `is_locked` shares it for some microseconds."""


def main() -> None:
    """Carry out the orders on stdin. The answer is sent once the record can be read."""
    orders = json.load(sys.stdin)
    files = Files(orders["folder"], orders["name"])
    clearing = orders["do"] == "clear"
    lock = _take_lock(files, clearing=clearing)
    record = read_record(files.record)
    unfinished = record.get("state", STOPPED) not in FINAL
    if lock is None or clearing != unfinished:
        _answer(HELD)
        return
    leash = Leash(orders, files, record, lock)
    try:
        if clearing:
            leash.mark_clearing()
            _answer(CLEARING)
            leash.clear()
        elif why := _start(leash):
            os.close(lock)  # first: on reading the answer, the driver must find nothing
            _answer(REFUSED, why)
        else:
            _answer(STARTED)
            leash.guard()
    except Exception:  # noqa: BLE001 (whatever it is, the server must not survive it)
        leash.abandon()
    os._exit(0)  # the interpreter's shutdown would hold the lock longer


def _start(leash: Leash) -> str:
    """Start the server; return the reason if it could not be spawned, else an empty string."""
    try:
        leash.start()
    except OSError as error:
        return processes.describe_spawn_error(error)
    return ""


def _take_lock(files: Files, *, clearing: bool) -> int | None:
    give_up = time.monotonic() + LOCK_WITHIN
    while (lock := take_lock(files.lock)) is None:
        if has_reader(files.bell) or time.monotonic() >= give_up:
            return None
        if clearing and (record := read_record(files.record)):
            # A process that outlived its leash may have inherited the lock.
            processes.kill_leftovers(record, files.lock, lock_is_held=True)
        time.sleep(SHORT_NAP / 4)
    return lock


def _answer(answer: str, why: str = "") -> None:
    """Send the answer to the driver, which may be dead by now, and detach from its streams."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps({"answer": answer, "why": why}).encode() + b"\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(nowhere, handle)
    os.close(nowhere)
