"""Mistakes in a configuration, as text: where, what is wrong, and what would be right.

Knows pydantic's errors and the sources of settings, not the settings themselves.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import ErrorDetails

from parkmeter.config.toml_lines import Lines
from parkmeter.errors import ConfigError

Path = tuple[str, ...]

SEVERAL_MISTAKES = "several_mistakes"
"""Type of an error that stands for several, because a validator of the whole can raise only one:
its context has `mistakes`, as `(path, message, value)`."""

NO_ENDPOINT = "No endpoint yet: add [endpoints.NAME] with `model` or `command`."


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake. `given` is the value as it was found, None if there is none."""

    source: str
    line: int | None
    key: str
    message: str
    given: str | None = None

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        key = f"{self.key}: " if self.key else ""
        given = f" (given: {self.given})" if self.given is not None else ""
        return f"{where}: {key}{self.message}{given}"


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of settings: a file with its text, or none, and values from elsewhere."""

    name: str
    text: str = ""
    elsewhere: Mapping[Path, str] | None = None
    """Sources of settings that are not in the file: `PARKMETER_PORT`, `--port`."""
    is_secret: Callable[[Path], bool] = lambda _: False
    """Tells whether the value of a setting must not be repeated."""


def config_error(
    errors: Iterable[ErrorDetails], origin: Origin, settings_in: Callable[[Path], Iterable[str]]
) -> ConfigError:
    """Return pydantic's errors as one, one a line, in the order of the file.

    `settings_in` returns the names of the settings that a section may have.
    """
    return error_of(
        _mistake(path, message, given, origin)
        for error in errors
        for path, message, given in _messages(error, settings_in)
    )


def error_of(mistakes: Iterable[Mistake]) -> ConfigError:
    """Return these mistakes as one error; its data lists them."""
    found = sorted(mistakes, key=lambda mistake: mistake.line or 0)
    return ConfigError(
        "\n".join(map(str, found)),
        mistakes=[
            {"source": m.source, "line": m.line, "key": m.key, "wrong": m.message, "given": m.given}
            for m in found
        ],
    )


def _mistake(path: Path, message: str, given: object, origin: Origin) -> Mistake:
    other = (origin.elsewhere or {}).get(path)
    line = None if other else Lines(origin.text).of(path)
    # A whole section or list is not repeated: the line shows it.
    plain = isinstance(given, str | int | float) and not origin.is_secret(path)
    shown = repr(given) if plain else None
    return Mistake(other or origin.name, line, ".".join(map(_quoted, path)), message, shown)


def _quoted(part: str) -> str:
    """Return a key as TOML spells it."""
    bare = part and all(
        letter.isascii() and (letter.isalnum() or letter in "-_") for letter in part
    )
    return part if bare else f'"{part}"'


def _messages(
    error: ErrorDetails, settings_in: Callable[[Path], Iterable[str]]
) -> Sequence[tuple[Path, str, object]]:
    context: dict[str, Any] = error.get("ctx", {})
    if error["type"] == SEVERAL_MISTAKES:
        return list(context["mistakes"])
    path = tuple(map(str, error["loc"]))
    if error["type"] == "missing" and path == ("endpoints",):
        return [((), NO_ENDPOINT, None)]
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], settings_in(path[:-1]), n=1)
        suggestion = f"; did you mean {near[0]!r}?" if near else ""
        return [(path, "there is no such setting" + suggestion, error["input"])]
    pattern = _MESSAGES.get(error["type"])
    message = pattern.format(**context) if pattern else error["msg"].removeprefix("Value error, ")
    return [(path, message, error["input"])]


_A_LIST = 'must be a list in brackets, for example ["serve", "--port", "{{port}}"] or [10, 2]'
_A_NUMBER = "must be a number"
_A_WHOLE_NUMBER = "must be a whole number"
_MESSAGES = {
    "decimal_parsing": "must be a number of dollars",
    "decimal_type": "must be a number of dollars",
    "dict_type": 'must be a section, or {{NAME = "value"}}',
    "finite_number": "must be a finite number",
    "float_parsing": _A_NUMBER,
    "float_type": _A_NUMBER,
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "int_from_float": _A_WHOLE_NUMBER,
    "int_parsing": _A_WHOLE_NUMBER,
    "int_type": _A_WHOLE_NUMBER,
    "literal_error": "must be one of {expected}",
    "less_than_equal": "must be {le:g} or less",
    "missing": "is missing",
    "model_type": "must be a section in brackets",
    "path_type": "must be a path, in quotes",
    "string_type": "must be text, in quotes",
    "tuple_type": _A_LIST,
}
"""Our text for pydantic's types of errors."""
