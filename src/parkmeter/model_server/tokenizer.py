"""A model folder's tokenizer, and the text of tokens that arrive one by one.

Knows neither engines nor conversions.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from parkmeter.model_server.errors import CannotLoadError

FILE = "tokenizer.json"
# The decoded form of bytes that are not (yet) a character.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return the folder's tokenizer, with padding and truncation off.

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
    except Exception as error:  # the library raises bare Exception
        raise CannotLoadError(f"its {FILE} is not a tokenizer: {error}") from error
    # Some published files still have the settings of their last training run.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class TextStream:
    """The text of one row as it grows, in pieces whose concatenation is the whole text.

    Decoding all tokens for each new one would take quadratic time, so only a window is decoded: the
    tokens of the last piece, which determine how the next one is joined to it, and those after it.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._window = 0
        self._emitted = 0

    def add(self, token: int) -> str:
        """Add a token; return the text it adds, empty while a character is incomplete."""
        self._tokens.append(token)
        before = self._decode(self._tokens[self._window : self._emitted])
        after = self._decode(self._tokens[self._window :])
        if after.endswith(REPLACEMENT) or len(after) <= len(before):
            return ""
        self._window, self._emitted = self._emitted, len(self._tokens)
        return after[len(before) :]
