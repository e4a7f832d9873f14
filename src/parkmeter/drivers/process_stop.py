"""The end of a run: requested from its leash, done without one that hangs, or cleared away."""

import os
import time

from parkmeter.leash.deadline import deadline_of
from parkmeter.leash.files import (
    FAILED,
    Content,
    Files,
    read_json,
    remove,
    ring,
    take_lock,
    write_json,
    write_over,
)
from parkmeter.leash.processes import kill, kill_leftovers, process_of


def request_stop(files: Files, record: Content) -> None:
    """Write the request and ring; either suffices.

    Raises:
        OSError: neither was possible.

    """
    run = record["run"]
    if record.get("damaged"):  # its id is not known, but the leash knows its deadline
        version = (read_json(files.deadline) or {}).get("version", 1 << 62)
        write_over(files.deadline, deadline_of(time.time(), version))
        ring(files.bell, b"deadline\n")
        return
    try:
        write_json(files.stop, {"run": run, "at": time.time()})
    except OSError:
        if not ring(files.bell, run.encode()):
            raise
    else:
        ring(files.bell, run.encode())


def end_without_leash(files: Files, record: Content) -> None:
    """Kill a leash that hangs, and all processes of its run: the next look finds no leash."""
    leash = process_of(record.get("leash", 0))
    if leash is not None and leash.start == record.get("leash_start"):
        kill([leash.pid])
    kill_leftovers(record, files.lock, lock_is_held=True)


def remove_failed(files: Files) -> None:
    """Remove the record of a failed run, unless a new leash has just replaced it."""
    lock = take_lock(files.lock)
    if lock is None:
        return
    record = read_json(files.record)
    if record is not None and record.get("state") == FAILED:
        remove(files.record)
    os.close(lock)
