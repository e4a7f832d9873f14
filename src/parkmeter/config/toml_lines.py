"""Line numbers of the keys of a TOML text. Pure; leaves TOML's grammar to tomllib.

tomllib reports no positions. But a line belongs to the statement before it exactly as long as that
statement is incomplete, and tomllib knows when one is complete: so the text is read statement by
statement, without a second implementation of quotes, escapes and dots.
"""

import tomllib
from collections.abc import Iterator, Sequence

Path = tuple[str, ...]


class Lines:
    """The lines of the keys of one valid TOML text, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        section: Path = ()
        for number, statement in _statements(text):
            content = tomllib.loads(statement)
            if statement.lstrip().startswith("["):
                section = _header(content)
                paths = [section[:length] for length in range(1, len(section) + 1)]
            else:
                paths = [section + path for path in _keys(content)]
            for path in paths:
                self._lines.setdefault(path, number)

    def of(self, path: Sequence[str]) -> int | None:
        """Return the line of a key, or of the nearest section or value around it, or None.

        `path` leads to it through the document, as in `("endpoints", "qwen", "health")`.
        """
        prefixes = (tuple(path[:length]) for length in range(len(path), 0, -1))
        return next((self._lines[part] for part in prefixes if part in self._lines), None)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each header and each `key = value`, with the number of its first line."""
    statement, number = "", 0
    # Not splitlines(): a form feed or a U+2028 in a string ends no line for TOML or an editor.
    for current, line in enumerate(text.split("\n"), start=1):
        if not statement:
            number = current
        statement += line + "\n"
        try:
            empty = not tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # an array or a long string continues in the next line
        if not empty:
            yield number, statement
        statement = ""


def _header(content: object) -> Path:
    """Return `[a.b]` or `[[a.b]]` as a path."""
    path: Path = ()
    while True:
        if isinstance(content, list):
            content = content[0]
        if not isinstance(content, dict) or not content:
            return path
        ((key, content),) = content.items()
        path += (key,)


def _keys(content: dict[str, object], before: Path = ()) -> Iterator[Path]:
    """Yield every key of one statement, including dotted ones and those of inline tables."""
    for key, value in content.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from _keys(value, (*before, key))
