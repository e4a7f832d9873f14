"""The folder a local gateway works in: its lock, and what the command line finds there.

One gateway a folder: the lock is the operating system's, so it is gone with its process however
that ended.
"""

import fcntl
import json
import os
from pathlib import Path

from parkmeter.client_file import NAME, ClientFile, read_client_file
from parkmeter.errors import ConfigError, StateLockedError


class StateFolder:
    """A state folder held by this process from `lock` until `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.path / "parkmeter.sqlite"

    @property
    def endpoints(self) -> Path:
        """Where the process driver keeps what belongs to its endpoints."""
        return self.path / "endpoints"

    @property
    def models(self) -> Path:
        """Where models are kept after download and conversion."""
        return self.path / "models"

    @property
    def client_file(self) -> Path:
        """What the command line reads."""
        return self.path / NAME

    @property
    def token_file(self) -> Path:
        """The token alone, for a shell: `TOKEN=$(cat …)`."""
        return self.path / "token"

    def lock(self) -> None:
        """Take the folder.

        Raises:
            StateLockedError: another gateway has it; names that one's URL.
            ConfigError: the folder cannot be made or written.

        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.path / "gateway.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(
                f"The state folder {self.path} cannot be used: {error.strerror}. "
                "Name another one with --state or PARKMETER_STATE."
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 4096).decode(errors="replace").strip()
            os.close(handle)
            raise StateLockedError(
                f"Another gateway works in {self.path}: {holder or 'it is just starting'}. "
                "Use that one, stop it, or name another folder with --state or PARKMETER_STATE."
            ) from None
        os.ftruncate(handle, 0)
        self._lock = handle

    def write_holder(self, url: str) -> None:
        """Say where the gateway that has the folder answers, for others who want it."""
        assert self._lock is not None  # noqa: S101 (after `lock`)
        os.pwrite(self._lock, url.encode(), 0)

    def release(self) -> None:
        """Let the folder go."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def client(self) -> ClientFile | None:
        """What `client.json` says; None if it is missing or unreadable."""
        return read_client_file(self.path)

    def write_client(self, client: ClientFile) -> None:
        """Write `client.json` and `token`, readable by their owner only, never half."""
        _write(self.token_file, client.token + "\n")
        _write(self.client_file, json.dumps({"url": client.url, "token": client.token}) + "\n")


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
