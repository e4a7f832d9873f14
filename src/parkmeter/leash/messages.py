"""What a leash says to people: why something ended, why something could not begin."""

import signal
import time


def why_not(error: OSError) -> str:
    """Why something could not be spawned, for people."""
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"not found: {error.filename}"
    if isinstance(error, PermissionError) and error.filename is not None:
        return f"not allowed to execute: {error.filename}"
    return error.strerror or str(error)


def describe(code: int) -> str:
    """How a server ended by itself; a negative code is a signal."""
    if code == 0:
        return "it ended by itself (exit code 0)"
    if code > 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code == signal.SIGKILL:
        return f"killed by {name}, perhaps because the machine ran out of memory"
    return f"killed by {name}"


def utc() -> str:
    """The time now, for a log."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
