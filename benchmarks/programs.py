"""Programs that parkmeter is compared with: found here, or installed from Python packages.

Python packages go to an environment of their own in `~/.cache/parkmeter/benchmarks` (XDG_CACHE_HOME
is honoured) and are used again from there. Nothing else is installed.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_INSTALL_SECONDS = 300
_SERVERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Folders of servers, which are not always on the PATH of a person."""


class UnavailableError(Exception):
    """Raised when a program cannot be had on this machine; says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs here."""

    path: str
    version: str


def from_system(name: str, *version: str) -> Program:
    """Return an installed program; `version` are the arguments that make it print its version.

    Raises:
        UnavailableError: When it is not installed.
    """
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_SERVERS)))
    if path is None:
        raise UnavailableError(f"it is not installed (apt-get install {name})")
    done = _run([path, *version])
    found = re.search(r"\d+\.\d[\w.+~-]*", done)
    return Program(path, found[0] if found else "unknown")


def from_python(requirement: str, command: str, *, install: bool) -> Program:
    """Return a command of a Python package, `name==version`, in an environment of its own.

    Raises:
        UnavailableError: When it is not installed there and cannot be.
    """
    name, _, version = requirement.partition("==")
    folder = cache() / "python" / re.sub(r"\W+", "-", requirement)
    done = folder / "installed"
    if not done.is_file():
        if not install:
            raise UnavailableError(f"{name} is not installed in a quick run")
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin/pip"), "install", "--quiet", requirement])
        done.touch()
    return Program(str(folder / "bin" / command), version)


def cache() -> Path:
    """Return the folder for what takes long to make and is used again."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "parkmeter" / "benchmarks"


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]} failed: {error}") from error
    words = (done.stdout + done.stderr).strip()
    if done.returncode != 0:
        last = words.splitlines()[-1] if words else f"status {done.returncode}"
        raise UnavailableError(f"{Path(command[0]).name} failed: {last}")
    return words
