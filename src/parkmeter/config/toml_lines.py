"""On which line of a TOML text a key stands. Pure; knows TOML's grammar through tomllib alone.

tomllib tells no positions. But a line belongs to the statement before it exactly as long as that
statement is not whole yet, and tomllib knows when one is: so the text is read statement by
statement, and no second opinion on quotes, escapes and dots is needed.
"""

import tomllib
from collections.abc import Iterator, Sequence

Path = tuple[str, ...]


class Lines:
    """Where the keys of one valid TOML text stand; lines count from 1."""

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
        """The line of a key, or of the nearest section or value around it; None if there is none.

        `path` is the way to it through the document, as in `("endpoints", "qwen", "health")`.
        """
        known = (tuple(path[:length]) for length in range(len(path), 0, -1))
        return next((self._lines[part] for part in known if part in self._lines), None)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header and each `key = value`, with the number of its first line."""
    begun, number = "", 0
    # Not splitlines(): a form feed or a U+2028 in a string ends no line for TOML or an editor.
    for current, line in enumerate(text.split("\n"), start=1):
        if not begun:
            number = current
        begun += line + "\n"
        try:
            empty = not tomllib.loads(begun)
        except tomllib.TOMLDecodeError:
            continue  # an array or a long string goes on in the next line
        if not empty:
            yield number, begun
        begun = ""


def _header(content: object) -> Path:
    """`[a.b]` and `[[a.b]]` as a path."""
    path: Path = ()
    while True:
        if isinstance(content, list):
            content = content[0]
        if not isinstance(content, dict) or not content:
            return path
        ((key, content),) = content.items()
        path += (key,)


def _keys(content: dict[str, object], before: Path = ()) -> Iterator[Path]:
    """Every key that one statement names: dotted ones and those of inline tables too."""
    for key, value in content.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from _keys(value, (*before, key))
