"""File descriptors of this process: their limit, how many are open, how they are shared out."""

import contextlib
import errno
import os
import resource
from dataclasses import dataclass

_MAC_LIMIT = 10_240
"""macOS names a hard limit of infinity and then refuses all over this one."""

_RESERVE = 256
"""Kept from clients: SQLite's connections (three each), leashes, logs, notifications."""

_MOST_CONNECTIONS = 10_000
_PER_PEER = 4
"""Part of all connections that one peer may have without a valid token: one divided by this."""

_FOLDERS = ("/proc/self/fd", "/dev/fd")


def raise_limit() -> int:
    """Raise the limit on open files as far as this process may; return the one before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, _MAC_LIMIT):
        if soft != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > soft):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                break
    return soft


def limit() -> int:
    """Return the limit on open files."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def open_count() -> int | None:
    """Return the number of open files; None where the system does not say."""
    for folder in _FOLDERS:
        try:
            return len(os.listdir(folder)) - 1  # noqa: PTH208 (less the one that lists them)
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                return limit()  # none is left even to count them
    return None


@dataclass(frozen=True, slots=True)
class Share:
    """Connections that clients may have: in all, and each peer without a valid token."""

    connections: int
    per_peer: int


def share(descriptors: int, connections: int | None, per_peer: int | None) -> Share:
    """Return the limits of client connections under a limit of `descriptors`.

    Each may need a second descriptor, for its model server. What the settings ask for beyond that
    is not given: it would be taken from the store and the leashes.
    """
    reserve = min(_RESERVE, descriptors // 2)
    fits = max(16, (descriptors - reserve) // 2)
    most = min(fits, _MOST_CONNECTIONS if connections is None else connections)
    return Share(most, min(most, per_peer or max(8, most // _PER_PEER)))
