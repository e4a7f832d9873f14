"""The version before this one, as source: state and stacks it left behind must open unchanged."""

import functools
import io
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

REVISION = "2f464eb8aecafcbc3c389552b0ae16eabd855c3b"
"""The last commit before the source moved into packages; an ancestor of every later one."""

REPOSITORY = Path(__file__).parents[2]


def export(*paths: str) -> Path:
    """Return a folder with these files and folders of that version, made once per process.

    It is removed when the process ends, and must not be changed. Needs the repository's history.
    """
    return Path(_exported(paths).name)


@functools.cache
def _exported(paths: tuple[str, ...]) -> TemporaryDirectory[str]:
    command = ["git", "-C", str(REPOSITORY), "archive", REVISION, *paths]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    folder = TemporaryDirectory(prefix="parkmeter-before-")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder.name, filter="data")
    return folder
