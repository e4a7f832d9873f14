"""What is wrong in a configuration, in words for people: where it stands, what, and what is right.

Knows pydantic's findings and where settings come from, not which settings there are.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import ErrorDetails

from parkmeter.config.toml_lines import Lines
from parkmeter.errors import ConfigError

Path = tuple[str, ...]

FOUND_TOGETHER = "found_together"
"""Type of a finding that stands for several: its context has `findings`, as `(path, what is wrong,
what was given)`. A validator of the whole can raise only one."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to put right. `given` is the value as it was found, None if there is none."""

    source: str
    line: int | None
    key: str
    wrong: str
    given: str | None = None

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        key = f"{self.key}: " if self.key else ""
        given = f" (given: {self.given})" if self.given is not None else ""
        return f"{where}: {key}{self.wrong}{given}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where settings came from: a file with its text, or none, and values from elsewhere."""

    name: str
    text: str = ""
    elsewhere: Mapping[Path, str] | None = None
    """What gave a setting instead of the file: `PARKMETER_PORT`, `--port`."""
    is_secret: Callable[[Path], bool] = lambda _: False
    """Whether the value of a setting must not be repeated."""


def refusal(
    findings: Iterable[ErrorDetails], origin: Origin, known: Callable[[Path], Iterable[str]]
) -> ConfigError:
    """All findings as one error, one a line, in the order of the file.

    `known` names the settings that may stand in a section.
    """
    return error_of(
        _mistake(path, wrong, given, origin)
        for finding in findings
        for path, wrong, given in _said(finding, known)
    )


def error_of(mistakes: Iterable[Mistake]) -> ConfigError:
    """These mistakes as one error; its data has them one by one."""
    found = sorted(mistakes, key=lambda mistake: mistake.line or 0)
    return ConfigError(
        "\n".join(map(str, found)),
        mistakes=[
            {"source": m.source, "line": m.line, "key": m.key, "wrong": m.wrong, "given": m.given}
            for m in found
        ],
    )


def _mistake(path: Path, wrong: str, given: object, origin: Origin) -> Mistake:
    other = (origin.elsewhere or {}).get(path)
    line = None if other else Lines(origin.text).of(path)
    # A whole section or list is not repeated: the line shows it.
    plain = isinstance(given, str | int | float) and not origin.is_secret(path)
    shown = repr(given) if plain else None
    return Mistake(other or origin.name, line, ".".join(map(_quoted, path)), wrong, shown)


def _quoted(part: str) -> str:
    """A key as it must be written in TOML."""
    bare = part and all(
        letter.isascii() and (letter.isalnum() or letter in "-_") for letter in part
    )
    return part if bare else f'"{part}"'


def _said(
    finding: ErrorDetails, known: Callable[[Path], Iterable[str]]
) -> Sequence[tuple[Path, str, object]]:
    context: dict[str, Any] = finding.get("ctx", {})
    if finding["type"] == FOUND_TOGETHER:
        return list(context["findings"])
    path = tuple(map(str, finding["loc"]))
    if finding["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], known(path[:-1]), n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        return [(path, "there is no such setting" + meant, finding["input"])]
    pattern = _WRONG.get(finding["type"])
    wrong = pattern.format(**context) if pattern else finding["msg"].removeprefix("Value error, ")
    return [(path, wrong, finding["input"])]


_A_LIST = 'must be a list in brackets, for example ["serve", "--port", "{{port}}"] or [10, 2]'
_A_NUMBER = "must be a number"
_A_WHOLE_NUMBER = "must be a whole number"
_WRONG = {
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
"""Pydantic's types of findings in our words."""
