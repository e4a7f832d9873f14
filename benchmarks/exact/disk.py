"""The latency of the disk during a run: a stop waits until its intent is durable."""

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator

_EVERY = 0.02
"""Seconds between two small writes. Often enough to see a disk that stalls, no load for one."""


@contextlib.contextmanager
def watched_disk() -> Iterator[list[float]]:
    """Seconds that small durable writes to the folder of temporary files take, as they are made."""
    taken: list[float] = []
    over = threading.Event()

    def watch() -> None:
        with tempfile.TemporaryFile() as file:
            while not over.wait(_EVERY):
                file.write(b"x" * 4096)
                file.flush()
                began = time.perf_counter()
                os.fsync(file.fileno())
                taken.append(time.perf_counter() - began)

    watching = threading.Thread(target=watch, name="disk")
    watching.start()
    try:
        yield taken
    finally:
        over.set()
        watching.join()
