"""A control group (cgroup v2) per run, where the system has delegated one to parkmeter.

No process leaves it by forking, a session of its own, or closing its files: what is in it belongs
to the run. Its use is optional: without delegation a run is known by its session, its environment
and the lock that it inherited.
"""
# pathlib would lengthen every start by a fifth.
# ruff: noqa: PTH102, PTH106, PTH110, PTH116, PTH118, PTH123

import contextlib
import os
import signal

_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
_DELEGATED = ("user.delegate", "trusted.delegate")
"""Attributes by which systemd marks a group that it leaves to a service (`Delegate=yes`)."""


def own_group() -> str | None:
    """Return the folder of this process's group if it was delegated, else None."""
    try:
        with open("/proc/self/cgroup") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    path = next((line[3:] for line in lines if line.startswith("0::")), None)
    if path is None:
        return None
    for mount in _MOUNTS:
        folder = os.path.normpath(mount + path)
        if os.path.exists(f"{folder}/cgroup.procs"):
            return folder if _is_delegated(folder) else None
    return None


def make_group(name: str) -> str | None:
    """Return the folder of a new group below the own one; None where that is not permitted."""
    own = own_group()
    if own is None:
        return None
    folder = os.path.join(own, name)
    try:
        os.mkdir(folder)
    except OSError:
        return None
    return folder


def enter(folder: str) -> None:
    """Put this process into a group; one that cannot is left where it is."""
    with contextlib.suppress(OSError), open(f"{folder}/cgroup.procs", "wb", buffering=0) as file:
        file.write(b"0")


def kill_group(folder: str) -> bool:
    """Kill every process of a group and of groups that it made; return whether there were any."""
    if not _is_populated(folder):
        return False
    try:
        with open(f"{folder}/cgroup.kill", "wb", buffering=0) as file:
            file.write(b"1")
    except OSError:  # before Linux 5.14
        for group in _with_groups_below(folder):
            for pid in _members(group):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
    return True


def remove_group(folder: str) -> None:
    """Remove an empty group, and those below it."""
    for group in _with_groups_below(folder):
        with contextlib.suppress(OSError):
            os.rmdir(group)


def _is_populated(folder: str) -> bool:
    """Return whether there is a process in a group or below it: a server may make groups."""
    try:
        with open(f"{folder}/cgroup.events") as file:
            return "populated 1\n" in file.readlines()
    except OSError:
        return False


def _with_groups_below(folder: str) -> list[str]:
    """Return a group and all below it, the deepest first."""
    return [group for group, _, _ in os.walk(folder, topdown=False)]


def _members(folder: str) -> list[int]:
    try:
        with open(f"{folder}/cgroup.procs") as file:
            # 0: a process outside of this container.
            return [pid for line in file if (pid := int(line)) > 0]
    except OSError:
        return []


def _is_delegated(folder: str) -> bool:
    for attribute in _DELEGATED:
        with contextlib.suppress(OSError, AttributeError):
            if os.getxattr(folder, attribute) == b"1":
                return True
    # Delegation to a user without privileges is the ownership of the folder.
    return os.geteuid() != 0 and os.stat(folder).st_uid == os.geteuid()
