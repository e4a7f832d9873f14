"""Import graph of a Lambda handler: the parkmeter modules and third-party packages it needs.

Read from the source without running it, so that a package holds what its handler uses and nothing
else, with no list to maintain. Imports inside functions count too. A package includes the files in
its folder that are not Python (the dashboard's).
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PROJECT = "parkmeter"
_PACKAGE = "__init__.py"


@dataclass(frozen=True, slots=True)
class Needed:
    """`files`: below the source folder, sorted. `others`: top-level third-party names."""

    files: tuple[Path, ...]
    others: frozenset[str]


def needed_by(module: str, source: Path) -> Needed:
    """Return everything that importing `module` (`parkmeter.…`) reaches in the folder `source`.

    Raises:
        ValueError: there is no such module.

    """
    if _file(module, source) is None:
        raise ValueError(f"there is no module {module} in {source}")
    seen: set[str] = set()
    others: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or (file := _file(name, source)) is None:
            continue
        seen.add(name)
        waiting += _parents(name)
        for imported in _imports(file):
            top = imported.partition(".")[0]
            if top == _PROJECT:
                waiting += [imported, *_parents(imported)]
            elif top not in sys.stdlib_module_names:
                others.add(top)
    files = {file for name in seen if (file := _file(name, source)) is not None}
    packages = [file.parent for file in files if file.name == _PACKAGE]
    files.update(data for package in packages for data in _data_files(package))
    return Needed(tuple(sorted(files)), frozenset(others))


def _imports(file: Path) -> Iterator[str]:
    """Yield the names a file imports; for `from a import b` both `a` and `a.b`."""
    for node in _run_nodes(ast.parse(file.read_bytes())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                raise ValueError(f"{file}: imports here are absolute")
            case _:
                pass


def _run_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every node below `node` but those under `if TYPE_CHECKING:`, which never run."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            children: Iterable[ast.AST] = node.orelse
        case _:
            children = ast.iter_child_nodes(node)
    for child in children:
        yield child
        yield from _run_nodes(child)


def _data_files(folder: Path) -> Iterator[Path]:
    """Yield a package's files other than Python, also in its folders that are not packages."""
    for path in folder.iterdir():
        if path.is_file() and not path.suffix.startswith(".py"):
            yield path
        elif path.is_dir() and path.name != "__pycache__" and not (path / _PACKAGE).exists():
            yield from _data_files(path)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _file(module: str, source: Path) -> Path | None:
    path = source.joinpath(*module.split("."))
    for file in (path / _PACKAGE, path.with_suffix(".py")):
        if file.is_file():
            return file
    return None
