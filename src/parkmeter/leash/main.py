"""How a leash begins: its orders, the lock, the answer to the driver, then the work.

Knows what driver and leash say to each other; the work itself is in `supervise`.
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
    hold,
    read_json,
    somebody_hears,
)
from parkmeter.leash.messages import why_not
from parkmeter.leash.supervise import SHORT_NAP, Leash

LOCK_WITHIN = 1.0
"""Seconds to try for the lock, which anybody who tests it shares for some microseconds."""


def main() -> None:
    """Follow the orders on stdin. The answer comes when the record is there to be read."""
    orders = json.load(sys.stdin)
    files = Files(orders["folder"], orders["name"])
    clearing = orders["do"] == "clear"
    lock = _take_lock(files, clearing=clearing)
    record = read_json(files.record) or {}
    unfinished = record.get("state", STOPPED) not in FINAL
    if lock is None or clearing != unfinished:
        _answer(HELD)
        return
    leash = Leash(orders, files, record, lock)
    try:
        if clearing:
            leash.begin_to_clear()
            _answer(CLEARING)
            leash.clear()
        elif why := _refusal(leash):
            os.close(lock)  # first, so that who hears the answer finds nothing there
            _answer(REFUSED, why)
        else:
            _answer(STARTED)
            leash.guard()
    except Exception:  # noqa: BLE001 (whatever it is, the server must not outlive it)
        leash.abandon()
    os._exit(0)  # tidying up the interpreter would hold the lock for longer


def _refusal(leash: Leash) -> str:
    """Start; if that was not possible, why not."""
    try:
        leash.start()
    except OSError as error:
        return why_not(error)
    return ""


def _take_lock(files: Files, *, clearing: bool) -> int | None:
    give_up = time.monotonic() + LOCK_WITHIN
    while (lock := hold(files.lock)) is None:
        if somebody_hears(files.bell) or time.monotonic() >= give_up:
            return None
        if clearing and (record := read_json(files.record)):
            # What has outlived its leash may have inherited the lock from it.
            processes.kill_left_of(record, lock_is_held=True)
        time.sleep(SHORT_NAP / 4)
    return lock


def _answer(answer: str, why: str = "") -> None:
    """Tell the driver, which may be dead by now, and let go of all that came from it."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps({"answer": answer, "why": why}).encode() + b"\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(nowhere, handle)
    os.close(nowhere)
