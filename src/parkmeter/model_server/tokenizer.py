"""Reads a model folder's tokenizer.json. Knows neither engines nor conversions."""

from pathlib import Path

from tokenizers import Tokenizer

from parkmeter.model_server.errors import CannotLoadError

FILE = "tokenizer.json"


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return the folder's tokenizer, neither padding nor truncating.

    Raises:
        CannotLoadError: The folder has none, or it cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        hint = ""
        if (folder / "spiece.model").is_file():
            hint = (
                "; spiece.model alone is not enough: write one with "
                "AutoTokenizer.from_pretrained(...).save_pretrained(...)"
            )
        raise CannotLoadError(f"it has no {FILE}{hint}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as broken:  # the library raises bare Exception
        raise CannotLoadError(f"its {FILE} is not a tokenizer: {broken}") from broken
    # Some published files carry the settings of their last training run.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
