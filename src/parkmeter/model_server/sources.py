"""Finds what ``--model`` names and makes a folder the engine can load of it.

``demo`` is the shipped model; a folder with model.bin is loaded as it is; a Hugging Face folder is
converted first; anything else is taken for a hub id and downloaded before that.
"""

import os
from collections.abc import Callable
from pathlib import Path

from parkmeter.model_server.errors import CannotLoadError

DEMO = Path(__file__).parent / "demo"


def default_cache() -> Path:
    """Return where converted models are kept unless told otherwise."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "parkmeter" / "models"


def prepare(model: str, cache: Path, report: Callable[[str], None]) -> Path:
    """Return a folder the engine can load.

    Args:
        model: ``demo``, a folder or a hub id.
        cache: Where converted models are kept.
        report: Is told of the progress, one line at a time.

    Raises:
        CannotLoadError: There is no such model, or it is of another kind.
    """
    folder = DEMO if model == "demo" else Path(model).expanduser()
    if (folder / "model.bin").is_file():
        return folder
    if model == "demo":
        raise CannotLoadError("the shipped model is missing from this installation")
    if folder.is_file():
        raise CannotLoadError("it is a file; --model takes the folder it lies in")
    if not folder.is_dir():
        if folder.is_absolute() or model.startswith((".", "~")):
            raise CannotLoadError("there is no such folder")
        from parkmeter.model_server.hub import download  # noqa: PLC0415 (slow, seldom needed)

        folder = download(model, report)
    from parkmeter.model_server.cache import converted  # noqa: PLC0415 (slow, seldom needed)

    return converted(folder.resolve(), cache, report)
