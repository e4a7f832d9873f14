"""The state folder: whether it is there, closed to others, writable, and has room."""

import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from parkmeter.doctor.finding import Finding, good, note, wrong
from parkmeter.state_folder import StateFolder

_MB = 1_000_000
_TOO_LITTLE = 100 * _MB
"""A journal grows by kilobytes, but a full disk stops top-ups: so much must be free."""
_LITTLE = 1000 * _MB


def examine(state: StateFolder) -> Iterator[Finding]:
    """Look at the folder and what lies in it."""
    path = state.path
    if not path.exists():
        yield note("state folder", f"{path} is not there yet", "`parkmeter up` makes it.")
        return
    if not path.is_dir():
        yield wrong("state folder", f"{path} is no folder", "Name another one with --state.")
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield wrong(
            "state folder",
            f"{path} cannot be written by this user",
            f"Run as its owner, or: sudo chown -R $(id -u) {shlex.quote(str(path))}",
        )
        return
    open_to_others = sorted(_open_to_others(state))
    for found, mode in open_to_others:
        right = "700" if found.is_dir() else "600"
        yield wrong(
            "permissions",
            f"{found} may be used by others (mode {mode:03o})",
            f"chmod {right} {shlex.quote(str(found))}"
            + ("; then make a new token" if found.name in _SECRET else ""),
        )
    if not open_to_others:
        yield good("state folder", f"{path}, closed to others")
    yield _room(path)


_SECRET = ("client.json", "token")


def _open_to_others(state: StateFolder) -> Iterator[tuple[Path, int]]:
    """What holds tokens, prompts or money and is not its owner's alone; with its mode."""
    run, logs = state.endpoints / "run", state.endpoints / "logs"
    private = [state.path, run, logs, state.client_file, state.token_file, state.lock_file]
    for path in (*private, *state.path.glob(f"{state.store.name}*")):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue
        if mode & 0o077:
            yield path, mode


def _room(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    seen = f"{free / _MB:,.0f} MB free"
    if free < _TOO_LITTLE:
        return wrong("disk", seen, f"Make room on the disk of {path}: a full one stops top-ups.")
    if free < _LITTLE:
        return note("disk", seen, "Soon there is no room for models and logs.")
    return good("disk", seen)
