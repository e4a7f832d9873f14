"""Keeps converted models: each is made once, whoever asks and however often.

Knows folders and locks; what a conversion is, `conversion` knows.
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parkmeter.model_server import conversion
from parkmeter.model_server.errors import CannotLoadError
from parkmeter.model_server.weights import weight_files

# What a weight file is recognised by, besides its length and time: enough to tell two trainings of
# one shape apart, without reading gigabytes at every start.
SAMPLE_BYTES = 1 << 20


def converted(folder: Path, cache: Path, report: Callable[[str], None]) -> Path:
    """Return the converted model of the Hugging Face `folder`, made now if there is none yet.

    Processes that ask at once wait for the one that makes it. What is in the cache is whole: it is
    made beside its place and renamed.

    Raises:
        CannotLoadError: It cannot be converted, or not be kept.
    """
    conversion.read_config(folder)
    kept = cache / _identity(folder)
    if kept.is_dir():
        return kept
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(kept.with_name(f"{kept.name}.lock")):
            if not kept.is_dir():
                _make(kept, folder, report)
    except OSError as failed:
        raise CannotLoadError(f"the converted model cannot be kept: {failed}") from failed
    return kept


def _make(kept: Path, folder: Path, report: Callable[[str], None]) -> None:
    # Under the lock: what lies there was left by a conversion that was ended half-way.
    unfinished = kept.with_name(f"{kept.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    began = time.monotonic()
    try:
        conversion.convert(folder, unfinished, report=report)
        for file in unfinished.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        unfinished.rename(kept)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    report(f"converted in {time.monotonic() - began:.1f} s, kept in {kept}")


def _identity(folder: Path) -> str:
    """Return a name for what is in `folder`; a copy that kept its files' times has the same."""
    digest = hashlib.sha256(f"{conversion.REVISION} int8".encode())
    for name in ("config.json", "tokenizer.json"):
        file = folder / name
        digest.update(file.read_bytes() if file.is_file() else b"")
        digest.update(b"\0")
    for file in weight_files(folder):
        found = file.stat()
        digest.update(f"{file.name} {found.st_size} {found.st_mtime_ns}".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(SAMPLE_BYTES))
            stream.seek(max(0, found.st_size - SAMPLE_BYTES))
            digest.update(stream.read(SAMPLE_BYTES))
    name = re.sub(r"[^\w.-]+", "-", folder.name).strip("-.") or "model"
    return f"{name[:40]}-{digest.hexdigest()[:16]}"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold `lock` among processes; the system lets go of it when this one dies."""
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
