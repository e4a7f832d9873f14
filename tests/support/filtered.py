"""A program under a filter of system calls, as systemd sets one up: what is not named gets EPERM.

    python filtered.py NAMES PROGRAM [ARGUMENT …]

NAMES: system calls, separated by commas. Needs libseccomp, which comes with systemd.
"""

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
LIBRARY = "libseccomp.so.2"


def is_possible() -> bool:
    """Return whether this machine can filter."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return sys.platform == "linux"


def calls_in(words: list[str]) -> set[str]:
    """Return the system calls that the words of a unit's `SystemCallFilter=` name."""
    found: set[str] = set()
    for word in words:
        if word.startswith("@"):
            listed = subprocess.run(
                ["systemd-analyze", "syscall-filter", word],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            ).stdout.split("\n")
            inner = [line.strip() for line in listed[1:]]
            found |= calls_in([line for line in inner if line and not line.startswith("#")])
        else:
            found.add(word)
    return found


def through(words: list[str]) -> tuple[str, ...]:
    """Return the beginning of a command line that runs the rest of it under this filter."""
    return (sys.executable, str(Path(__file__)), ",".join(sorted(calls_in(words))))


def _filter(names: list[str]) -> None:
    library = ctypes.CDLL(LIBRARY, use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(REFUSE)))
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # else of another architecture
            library.seccomp_rule_add(context, ctypes.c_uint32(ALLOW), number, 0)
    if library.seccomp_load(context):
        raise SystemExit("the filter could not be loaded")


if __name__ == "__main__":
    _filter(sys.argv[1].split(","))
    os.execv(sys.argv[2], sys.argv[2:])
