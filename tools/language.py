"""The language gate: docstrings, comments, messages and pages in plain technical English.

    python -m tools.language

Counts docstring summaries that open with a question word, and listed words in docstrings, comments,
messages and pages. Where a limit is exceeded, prints the places as `file:line: text`; exits with 1.
Messages are the strings with blanks in the product; pages are Markdown and the dashboard. Exempt:
code in Markdown, names, strings of tests and tools.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

OPENINGS = ("what", "who", "whether", "when", "how", "where", "which", "why")
"""A summary says what a function does or a class is: it opens with a verb or a noun."""

WORDS = {
    "whoever": "hides the actor; name it: the caller, the client, the user",
    "somebody": "hides the actor; name it, or use the passive",
    "nobody": "hides the actor; name the thing that is missing",
    "told": "makes objects speak; say notified, sent, given, passed or returned",
    "anew": "archaic; say again, or name what is created",
    "so many": "hides the number; name the parameter or the unit",
}
"""Listed words, each with its reason."""

_LISTED = re.compile(r"\b(?:" + "|".join(WORDS).replace(" ", r"\s+") + r")\b", re.IGNORECASE)
_OPENS = re.compile(r"\A\W*(?:" + "|".join(OPENINGS) + r")\b", re.IGNORECASE)
_CODE = re.compile(r"^( *)(```+|~~~+).*?(?:^ *\2|\Z)|(`+)[^`]+?\3", re.DOTALL | re.MULTILINE)
_SKIPPED = re.compile(r"\..*|build|dist|vendor|cdk\.out|node_modules|__pycache__")
_PRODUCT = ("src", "stacks", "app.py")
_PAGES = ("docs", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(slots=True)
class Measure:
    """The texts of one kind, and the places of those that break a rule.

    `limit` is a share from 0 to 1.
    """

    name: str
    limit: float
    texts: int = 0
    places: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Return whether the share of texts that break the rule is within the limit."""
        return len(self.places) <= self.limit * self.texts

    def add(self, file: Path, line: int, text: str, rule: re.Pattern[str]) -> None:
        """Count a text that begins on `line`; note the first place where `rule` matches."""
        self.texts += 1
        if found := rule.search(text):
            line += text.count("\n", 0, found.start())
            begin = text.rfind("\n", 0, found.start()) + 1
            shown = text[begin:].partition("\n")[0].strip()
            self.places.append(f"{file}:{line}: {shown}")

    def __str__(self) -> str:
        share = len(self.places) / max(self.texts, 1)
        counts = f"{len(self.places):5,} of {self.texts:6,}"
        return f"{self.name:<45} {counts} {share:6.1%} (limit {self.limit:.0%})"


class Gate:
    """The measures of one tree of files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._openings = Measure("summaries that open with a question word", 0.02)
        self._docstrings = Measure("docstrings with a listed word", 0.01)
        self._comments = Measure("comments with a listed word", 0.01)
        self._messages = Measure("messages with a listed word", 0.0)
        self._pages = Measure("paragraphs of pages with a listed word", 0.0)
        docstrings, others = (self._openings, self._docstrings), (self._messages, self._pages)
        self.measures = (*docstrings, self._comments, *others)
        for file in _files(root):
            place = file.relative_to(root)
            if file.suffix == ".py":
                self._read_python(place)
            elif file.suffix != ".md" or file.name in _PAGES or place.parts[0] in _PAGES:
                self._read_page(place)

    def _read_python(self, file: Path) -> None:
        source = (self._root / file).read_text(encoding="utf-8")
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                self._comments.add(file, token.start[0], token.string, _LISTED)
        tree = ast.parse(source)
        bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        docstrings = {id(node.body[0].value) for node in ast.walk(tree) if _is_documented(node)}
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                continue
            if id(node) in docstrings:
                summary = node.value.strip().partition("\n")[0]
                self._openings.add(file, node.lineno, summary, _OPENS)
                self._docstrings.add(file, node.lineno, node.value, _LISTED)
            elif id(node) in bare:
                self._comments.add(file, node.lineno, node.value, _LISTED)
            elif file.parts[0] in _PRODUCT and " " in node.value:
                self._messages.add(file, node.lineno, node.value, _LISTED)

    def _read_page(self, file: Path) -> None:
        text = (self._root / file).read_text(encoding="utf-8")
        if file.suffix == ".md":
            text = _CODE.sub(lambda code: "…" + "\n" * code[0].count("\n"), text)
        line = 1
        for paragraph in re.split(r"(\n\s*\n)", text):
            if paragraph.strip():
                self._pages.add(file, line, paragraph, _LISTED)
            line += paragraph.count("\n")


def _is_documented(node: ast.AST) -> bool:
    return isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None


def _files(folder: Path) -> Iterator[Path]:
    """Yield source files and pages; skip hidden, generated and vendored folders."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not _SKIPPED.fullmatch(entry.name):
            yield from _files(entry)
        elif entry.suffix in {".py", ".md", ".html", ".js"}:
            yield entry


def main(root: Path = Path(__file__).parents[1]) -> int:
    """Print the shares, and the places of each measure over its limit; return the exit code."""
    measures = Gate(root).measures
    for measure in measures:
        print(measure)
    failed = [measure for measure in measures if not measure.passed]
    for measure in failed:
        print(f"\n{measure.name}:", *measure.places, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
