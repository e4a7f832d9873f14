"""The start of one process of a run: its place, its user, and its end with its leash."""
# pathlib would lengthen every start by a fifth.
# ruff: noqa: PTH123

import contextlib
import os
import resource
import subprocess
import sys
from dataclasses import dataclass

from parkmeter.leash import processes
from parkmeter.leash.control_group import enter
from parkmeter.leash.files import Content

_OOM_SCORE = 200
"""Added to what the system thinks of a server when memory runs out, of at most 1000: it goes before
its leash. Raising one's own needs no privilege; lowering that of the leash would."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The settings that all processes of a run share.

    `group`: the folder of its control group. `open_files`: its limit (soft), None: the leash's own.
    """

    output: int
    folder: str | None
    environment: dict[str, str]
    user: Content | None
    group: str | None
    open_files: int | None


def spawn(
    command: list[str], around: Surroundings, inherited: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own.

    Raises:
        OSError: it could not be started.

    """
    leash = os.getpid()

    def prepare() -> None:
        # In this order: the group and the score need the leash's rights, and a change of user
        # clears the signal on the death of the parent.
        if around.group is not None:
            enter(around.group)
        _raise_oom_score()
        _limit_open_files(around.open_files)
        if around.user is not None:
            os.setgroups(around.user["groups"])
            os.setgid(around.user["gid"])
            os.setuid(around.user["uid"])
        processes.die_with(leash)

    return subprocess.Popen(  # noqa: S603 (starting the configured command is the purpose)
        command,
        stdin=subprocess.DEVNULL,
        stdout=around.output,
        stderr=around.output,
        pass_fds=inherited,
        cwd=around.folder,
        env=around.environment,
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509 (one thread only)
    )


def _raise_oom_score() -> None:
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "r+b") as file:
        score = int(file.read())
        file.seek(0)
        file.write(b"%d" % min(1000, score + _OOM_SCORE))


def _limit_open_files(limit: int | None) -> None:
    """Set the soft limit: `select`, and programs that close all files, need it as it was."""
    if limit is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):  # lowered meanwhile
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
