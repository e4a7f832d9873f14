"""Downloads a model from the Hugging Face hub into the hub's own cache, T5's files only."""

from collections.abc import Callable
from pathlib import Path

from parkmeter.model_server.errors import CannotLoadError

# Weights in other formats would double the download.
WANTED = ("config.json", "tokenizer.json", "*.safetensors", "*.safetensors.index.json")


def download(model: str, report: Callable[[str], None]) -> Path:
    """Return the folder of the hub's `model`; what is there already is not downloaded again.

    Raises:
        CannotLoadError: There is no such model, no access to it, or no way to the hub.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415 (slow to import)
    from huggingface_hub.errors import (  # noqa: PLC0415
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    report(f"asking the hub for {model}")
    try:
        return Path(snapshot_download(model, allow_patterns=list(WANTED)))
    except GatedRepoError as gated:
        raise CannotLoadError(
            "its owner grants access on request; ask on its page and set HF_TOKEN"
        ) from gated
    except RepositoryNotFoundError as missing:
        raise CannotLoadError(
            "there is no such folder, and the hub knows no such model"
        ) from missing
    except HFValidationError as wrong:
        raise CannotLoadError("there is no such folder, and it is not a hub id") from wrong
    except LocalEntryNotFoundError as offline:
        raise CannotLoadError(
            "there is no such folder, it is not in the local hub cache, and the hub cannot be "
            "reached"
        ) from offline
    except Exception as failed:  # the client lets errors of several HTTP libraries through
        reason = str(failed).strip().splitlines() or [type(failed).__name__]
        raise CannotLoadError(f"the download failed: {reason[0]}") from failed
