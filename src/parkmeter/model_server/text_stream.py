"""Turns tokens that arrive one by one into pieces of text whose concatenation is the whole text.

Knows a tokenizer's ``decode`` and nothing of engines or HTTP.
"""

from collections.abc import Callable, Sequence

# What decoding gives for bytes that are not (yet) a character.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Pieces:
    """The text of one row as it grows.

    Decoding all tokens again for each new one would take time growing with the square of the
    length, so only a window is decoded: the tokens of the last piece, which settle how a token is
    joined to the one before, and those after it.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._window = 0
        self._told = 0

    def add(self, token: int) -> str:
        """Take one more token; return the text it adds, empty while a character is incomplete."""
        self._tokens.append(token)
        before = self._decode(self._tokens[self._window : self._told])
        after = self._decode(self._tokens[self._window :])
        if after.endswith(REPLACEMENT) or len(after) <= len(before):
            return ""
        self._window, self._told = self._told, len(self._tokens)
        return after[len(before) :]
