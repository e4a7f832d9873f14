"""Exact versions of all that `make run` installs, with the hashes of all their files.

    python -m tools.pins             # write packaging/requirements-run.txt again; versions stay
    python -m tools.pins --upgrade   # with the newest versions that pyproject.toml allows
    python -m tools.pins --check     # exits with 1 if the file does not fit pyproject.toml

Writing needs uv (`.venv/bin/pip install uv`), whose resolver answers for every Python and platform
at once; so one file serves them all. It has no download addresses: where packages come from is the
installing machine's business, what they contain is not. Checking needs no network.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILE = ROOT / "packaging" / "requirements-run.txt"
EXTRA = "t5"
"""The extra that `make run` installs: the embedded model server."""

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("linux", "darwin")

_EDITABLE = "editables~=0.3"
"""Required by hatchling for an editable install, which pyproject.toml cannot say."""

_HEADER = """\
# All that `make run` installs, for every Python and platform: exact versions, hashes of all files.
# Written by `python -m tools.pins`; do not edit.
"""
_ADDRESS = re.compile(r"://|--(?:extra-)?index-url|--find-links|--trusted-host")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
_ANY_HASH = re.compile(r"--hash=\S*")


@dataclass(frozen=True, slots=True)
class Pin:
    """One version of one package, and where it is for."""

    requirement: Requirement
    hashes: int

    @property
    def name(self) -> str:
        """Return the name as package indexes compare it."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """Return the only version that is allowed."""
        (specifier,) = self.requirement.specifier
        return specifier.version


def pins_in(text: str) -> list[Pin]:
    """Return the pins of a requirements file with hashes."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [
        Pin(Requirement(_ANY_HASH.sub("", line)), len(_HASH.findall(line)))
        for line in joined
        if line.strip()
    ]


def wanted() -> list[Requirement]:
    """Return the requirements of the project, of that extra and of its build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extra = project["project"]["optional-dependencies"][EXTRA]
    lines = [
        *project["project"]["dependencies"],
        *extra,
        *project["build-system"]["requires"],
        _EDITABLE,
    ]
    return [Requirement(line) for line in lines]


def faults(text: str) -> Iterator[str]:
    """Find what is wrong with a requirements file, each in one sentence."""
    if _ADDRESS.search(text):
        yield "It has a download address."
    pins = pins_in(text)
    for pin in pins:
        if not pin.hashes:
            yield f"{pin.name} {pin.version} has no hash."
    for python in PYTHONS:
        for platform in PLATFORMS:
            yield from _unmet(pins, python, platform)


def _unmet(pins: list[Pin], python: str, platform: str) -> Iterator[str]:
    where = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "extra": "",
    }
    chosen: dict[str, Pin] = {}
    for pin in pins:
        if pin.requirement.marker is None or pin.requirement.marker.evaluate(where):
            if pin.name in chosen:
                yield f"{pin.name} has two versions on Python {python}, {platform}."
            chosen[pin.name] = pin
    for requirement in wanted():
        if requirement.marker is not None and not requirement.marker.evaluate(where):
            continue
        found = chosen.get(canonicalize_name(requirement.name))
        version = found.version if found else "is missing and"
        if found is None or not requirement.specifier.contains(version):
            where_ = f"Python {python}, {platform}"
            yield f"{requirement.name} {version} does not fit {requirement} on {where_}."


def write(*, upgrade: bool) -> None:
    """Resolve the requirements, and write the file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    build = "\n".join([*project["build-system"]["requires"], _EDITABLE])
    command = ["uv", "pip", "compile", "pyproject.toml", "-", "--output-file", str(FILE)]
    command += [
        "--extra",
        EXTRA,
        "--universal",
        "--python-version",
        PYTHONS[0],
        "--generate-hashes",
    ]
    command += ["--no-config", "--no-header", "--no-annotate", "--quiet"]
    if upgrade:
        command.append("--upgrade")
    try:
        subprocess.run(command, cwd=ROOT, input=build, text=True, check=True)  # noqa: S603
    except FileNotFoundError:
        raise SystemExit("uv is not installed: .venv/bin/pip install uv") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(error.returncode) from None
    FILE.write_text(_HEADER + FILE.read_text(encoding="utf-8"), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write or check the file; return the exit code."""
    if arguments not in ([], ["--upgrade"], ["--check"]):
        raise SystemExit(__doc__)
    if arguments != ["--check"]:
        write(upgrade=bool(arguments))
    text = FILE.read_text(encoding="utf-8")
    found = list(faults(text))
    for fault in found:
        print(f"{FILE.relative_to(ROOT)}: {fault}")
    print(f"{len(pins_in(text))} versions, {len(_HASH.findall(text))} hashes")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
