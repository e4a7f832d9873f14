"""The state folder: existence, permissions and free space."""

import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from parkmeter.core.finding import Finding, good, note, wrong
from parkmeter.state_folder import StateFolder

_MB = 1_000_000
_TOO_LITTLE = 100 * _MB
"""Bytes that must be free: the journal grows by kilobytes, but a full disk stops top-ups."""
_LITTLE = 1000 * _MB


def examine(state: StateFolder) -> Iterator[Finding]:
    """Check the folder and its content."""
    path = state.path
    if not path.exists():
        yield note("state folder", f"{path} does not exist yet", "`parkmeter up` creates it.")
        return
    if not path.is_dir():
        yield wrong("state folder", f"{path} is not a folder", "Name another one with --state.")
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield wrong(
            "state folder",
            f"{path} is not writable by this user",
            f"Run as its owner, or: sudo chown -R $(id -u) {shlex.quote(str(path))}",
        )
        return
    open_to_others = sorted(_open_to_others(state))
    for found, mode in open_to_others:
        right = "700" if found.is_dir() else "600"
        yield wrong(
            "permissions",
            f"{found} is accessible to others (mode {mode:03o})",
            f"chmod {right} {shlex.quote(str(found))}"
            + ("; then create a new token" if found.name in _SECRET else ""),
        )
    if not open_to_others:
        yield good("state folder", f"{path}, private")
    yield _room(path)


_SECRET = ("client.json", "token")


def _open_to_others(state: StateFolder) -> Iterator[tuple[Path, int]]:
    """Yield the files with tokens, prompts or money that others can access, and their modes."""
    run, logs = state.endpoints / "run", state.endpoints / "logs"
    private = [state.path, run, logs, state.backups, state.link_secret_file]
    private += [state.client_file, state.token_file, state.lock_file]
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
        return wrong("disk", seen, f"Free space on the disk of {path}: a full disk stops top-ups.")
    if free < _LITTLE:
        return note("disk", seen, "Models and logs may soon not fit.")
    return good("disk", seen)
