"""Pages that promise something name the test that holds it; each named test is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (
    "docs/security.md",
    "docs/reliability.md",
    "docs/backup-and-upgrade.md",
    "docs/aws-operations.md",
)
_NAMED = re.compile(r"\b(tests/[\w/]+\.py)::(\w+)(?:::(\w+))?")


@cache
def names_in(file: str) -> frozenset[str]:
    """Return the tests of a file, and of classes in it, by name."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, functions) and node.name.startswith("test_")
    ) | frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


@pytest.mark.parametrize("page", PAGES)
def test_every_test_named_on_a_page_is_there(page):
    named = _NAMED.findall((ROOT / page).read_text(encoding="utf-8"))
    missing = [
        f"{file}::{name}"
        for file, *names in named
        for name in filter(None, names)
        if not (ROOT / file).is_file() or name not in names_in(file)
    ]
    assert missing == []


@pytest.mark.parametrize("page", ["docs/security.md", "docs/reliability.md"])
def test_a_page_of_promises_names_tests(page):
    assert len(_NAMED.findall((ROOT / page).read_text(encoding="utf-8"))) > 10
