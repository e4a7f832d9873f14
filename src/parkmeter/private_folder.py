"""Folders that belong to one user: created so, or made so before anything in them is trusted.

In a folder that other users may write, a symbolic link of theirs would lead our writes to any file.
"""

import logging
import os
import shlex
import stat
from pathlib import Path

from parkmeter.errors import ConfigError

log = logging.getLogger(__name__)

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_private(folder: Path, *below: Path) -> None:
    """Create a folder for this user alone, or take away the right of others to write it.

    `below`: folders in it, which are created too. What others have put into a folder that they
    could write is not used.

    Raises:
        ConfigError: others may write a folder of another user, or have written into it.
        OSError: it cannot be created or read.

    """
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir(exist_ok=True, mode=0o755)
    for path in (folder, *below):
        # The mode holds for what is created here, whatever the umask is.
        path.mkdir(exist_ok=True, mode=0o700)
        _close(path)


def _close(path: Path) -> None:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if not mode & _OTHERS_MAY_WRITE:
        return
    if found.st_uid != os.geteuid():
        raise ConfigError(
            f"The state folder {path} belongs to another user and others may write it (mode "
            f"{mode:03o}), so they could replace its files. Name a folder of your own with "
            f"--state or PARKMETER_STATE, such as {path / 'parkmeter'}."
        )
    trusted = (found.st_uid, 0)
    foreign = [entry for entry in sorted(path.iterdir()) if entry.lstat().st_uid not in trusted]
    if foreign:
        names = ", ".join(entry.name for entry in foreign[:3])
        raise ConfigError(
            f"Others could write {path} (mode {mode:03o}), and {names} in it belongs to another "
            f"user. Look at it, remove it, then: chmod go-w {shlex.quote(str(path))}"
        )
    path.chmod(mode & ~_OTHERS_MAY_WRITE)
    log.warning("%s could be written by others (mode %03o); closed to them", path, mode)
