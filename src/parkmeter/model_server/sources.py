"""Model folders for the engine: the shipped model, a folder, or a hub id; converted where needed.

``demo`` is the shipped model; a folder with model.bin is loaded as it is; a Hugging Face folder is
converted once into a cache; any other name is a hub id, downloaded into the hub's own cache first.
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from parkmeter.model_server.errors import CannotLoadError

DEMO = Path(__file__).parent / "demo"
# Weights in other formats would double the download.
DOWNLOADED = ["config.json", "tokenizer.json", "*.safetensors"]
# Bytes at each end of a weight file that identify it, with its size and time: two trainings of one
# shape differ in them, and gigabytes need not be read at every start.
SAMPLE_BYTES = 1 << 20

Report = Callable[[str], None]


def default_cache() -> Path:
    """Return the default folder of converted models."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "parkmeter" / "models"


def prepare(model: str, cache: Path, report: Report) -> Path:
    """Return a folder that the engine can load.

    Args:
        model: ``demo``, a folder or a hub id.
        cache: Folder of converted models.
        report: Called with lines of progress.

    Raises:
        CannotLoadError: There is no such model, it is no T5, or the result cannot be kept.
    """
    folder = DEMO if model == "demo" else Path(model).expanduser()
    if (folder / "model.bin").is_file():
        return folder
    if model == "demo":
        raise CannotLoadError("the shipped model is missing from this installation")
    if folder.is_file():
        raise CannotLoadError("it is a file; --model takes the folder that contains it")
    if not folder.is_dir():
        if folder.is_absolute() or model.startswith((".", "~")):
            raise CannotLoadError("there is no such folder")
        folder = _download(model, report)
    return _converted(folder.resolve(), cache, report)


def _download(model: str, report: Report) -> Path:
    """Return the folder of a model on the hub; files already in the hub's cache are reused."""
    from huggingface_hub import errors, snapshot_download  # noqa: PLC0415 (slow to import)

    report(f"requesting {model} from the hub")
    try:
        return Path(snapshot_download(model, allow_patterns=DOWNLOADED))
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:  # also: no access
        raise CannotLoadError(
            "there is no such folder, and no such model on the hub (private and gated ones need "
            "access and HF_TOKEN)"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        reason = "there is no such folder or downloaded model, and the hub cannot be reached"
        raise CannotLoadError(reason) from error
    except Exception as error:  # the client passes on errors of several HTTP libraries
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CannotLoadError(f"the download failed: {reason}") from error


def _converted(folder: Path, cache: Path, report: Report) -> Path:
    """Return the converted model of `folder`, converting it now if it is not in the cache.

    A model in the cache is complete: it is written beside its place and renamed. Other processes
    that need the same model wait for it.
    """
    from parkmeter.model_server import conversion  # noqa: PLC0415 (slow to import)

    conversion.read_config(folder)
    kept = cache / _identity(folder, conversion.REVISION)
    if kept.is_dir():
        return kept
    unfinished = kept.with_name(f"{kept.name}.unfinished")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with kept.with_name(f"{kept.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if kept.is_dir():
                return kept
            began = time.monotonic()
            try:
                # Under the lock: what is there was left by a killed conversion.
                shutil.rmtree(unfinished, ignore_errors=True)
                conversion.convert(folder, unfinished, report=report)
                for file in unfinished.iterdir():
                    with file.open("rb") as stream:
                        os.fsync(stream.fileno())
                unfinished.rename(kept)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise CannotLoadError(f"the converted model cannot be kept: {error}") from error
    report(f"converted in {time.monotonic() - began:.1f} s, kept in {kept}")
    return kept


def _identity(folder: Path, revision: int) -> str:
    """Return the cache's name of the model in `folder`, also of a copy with the same times."""
    from parkmeter.model_server.weights import weight_files  # noqa: PLC0415 (slow to import)

    digest = hashlib.sha256(f"{revision} int8".encode())
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
