"""The state folder of a local gateway: its lock, and the files that the command line reads.

One gateway per folder: the lock is the operating system's, so it is gone with its process however
that ended. The folder is its owner's alone; see `private_folder`.
"""

import fcntl
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from parkmeter.client_file import NAME, ClientFile, read_client_file
from parkmeter.errors import ConfigError, ParkmeterError
from parkmeter.private_folder import make_private

_LOCK_WITHIN = 0.5
"""Seconds to try for a lock whose holder has not written its note: it may only be reading."""

_LONGEST_NOTE = 16384
"""Bytes of a gateway's note in its lock file, the longest path included."""

_SECRET_BYTES = 32


class StateLockedError(ParkmeterError):
    """Raised when another gateway is running in this state folder."""

    code = "state_locked"
    title = "Another gateway uses this state folder"


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The gateway that holds a state folder: its address, process and configuration file.

    `config`: None if it runs without one, with the endpoint of the demo.
    """

    url: str
    process: int
    config: Path | None = None


class StateFolder:
    """A state folder; held by this process from `lock` until `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._watched: dict[Path, os.stat_result] = {}

    @property
    def store(self) -> Path:
        """Return the store's file."""
        return self.path / "parkmeter.sqlite"

    @property
    def endpoints(self) -> Path:
        """Return the folder of the process driver's files."""
        return self.path / "endpoints"

    @property
    def models(self) -> Path:
        """Return the folder of downloaded and converted models."""
        return self.path / "models"

    @property
    def backups(self) -> Path:
        """Return the folder of the store's backups."""
        return self.path / "backups"

    @property
    def client_file(self) -> Path:
        """Return the file that the command line reads."""
        return self.path / NAME

    @property
    def token_file(self) -> Path:
        """Return the file with the token alone, for a shell: `TOKEN=$(cat …)`."""
        return self.path / "token"

    @property
    def reload_file(self) -> Path:
        """Return the file with the result of the last reload; see `gateway.reload`."""
        return self.path / "reload.json"

    @property
    def unrecorded_file(self) -> Path:
        """Return the file of ejects that the store could not record yet."""
        return self.path / "unrecorded.json"

    @property
    def lock_file(self) -> Path:
        """Return the file that a running gateway locks, with a note of which one it is."""
        return self.path / "gateway.lock"

    def lock(self) -> None:
        """Lock the folder for this process.

        Raises:
            StateLockedError: another gateway has it; names its URL.
            ConfigError: the folder cannot be made or written.

        """
        try:
            older = [folder for folder in (self.models, self.backups) if folder.exists()]
            files = self.endpoints, self.endpoints / "run", self.endpoints / "logs"
            make_private(self.path, *files, *older)
            handle = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigError(
                f"The state folder {self.path} cannot be used: {error.strerror}. "
                "Name another one with --state or PARKMETER_STATE."
            ) from error
        if not _locked(handle, fcntl.LOCK_EX, within=_LOCK_WITHIN):
            holder = _holder_in(handle)
            os.close(handle)
            raise StateLockedError(
                f"Another gateway is running in {self.path}: "
                f"{holder.url if holder else 'it is just starting'}. "
                "Use that one, stop it, or name another folder with --state or PARKMETER_STATE."
            )
        os.ftruncate(handle, 0)
        self._lock = handle
        self.reload_file.unlink(missing_ok=True)
        self.watch(self.path, self.lock_file)

    def watch(self, *paths: Path) -> None:
        """Remember which files these are, for `missing`."""
        self._watched |= {path: path.stat() for path in paths}

    def missing(self) -> Path | None:
        """Return a watched path at which there is nothing now, or another file; None if all are.

        Raises:
            OSError: that cannot be said now.

        """
        for path, known in self._watched.items():
            try:
                if not os.path.samestat(path.stat(), known):
                    return path
            except (FileNotFoundError, NotADirectoryError):
                return path
        return None

    def write_holder(self, url: str, config: Path | None = None) -> None:
        """Write the note of the gateway that has the folder; see `LockHolder`."""
        assert self._lock is not None  # noqa: S101 (after `lock`)
        file = None if config is None else str(config.absolute())
        document = {"url": url, "process": os.getpid(), "config": file}
        os.pwrite(self._lock, json.dumps(document).encode(), 0)

    def holder(self) -> LockHolder | None:
        """Return the gateway that works here; None if there is none, or it has no address yet.

        Raises:
            OSError: the lock file is there and may not be read.

        """
        try:
            handle = os.open(self.lock_file, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            # Shared for some microseconds, in which a gateway that starts retries.
            return None if _locked(handle, fcntl.LOCK_SH) else _holder_in(handle)
        finally:
            os.close(handle)

    def release(self) -> None:
        """Release the folder."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    @property
    def link_secret_file(self) -> Path:
        """Return the file of the secret that signs extend links."""
        return self.path / "link-secret"

    def link_secret(self) -> bytes:
        """Return the secret that signs extend links, created at the first call. After `lock`."""
        with suppress(OSError, ValueError):
            known = bytes.fromhex(self.link_secret_file.read_text())
            if len(known) >= _SECRET_BYTES:
                return known
        return self._new_link_secret()

    def rotate_link_secret(self) -> None:
        """Replace the secret that signs extend links, so that those already sent stop working.

        Raises:
            ConfigError: there is no such folder, or it cannot be written.

        """
        try:
            self._new_link_secret()
        except OSError as error:
            raise ConfigError(
                f"{self.link_secret_file} cannot be written: {error.strerror}. "
                "Name another folder with --state or PARKMETER_STATE."
            ) from error

    def _new_link_secret(self) -> bytes:
        made = secrets.token_bytes(_SECRET_BYTES)
        write_private(self.link_secret_file, made.hex() + "\n")
        return made

    def client(self) -> ClientFile | None:
        """Return the content of `client.json`; None if it is missing or unreadable."""
        return read_client_file(self.path)

    def write_client(self, client: ClientFile) -> None:
        """Write `client.json` and `token`, readable by their owner only, never half."""
        write_private(self.token_file, client.token + "\n")
        write_private(
            self.client_file, json.dumps({"url": client.url, "token": client.token}) + "\n"
        )


def _locked(handle: int, kind: int, within: float = 0.0) -> bool:
    """Return whether this process got the lock; a holder for longer than `within` s has a note."""
    give_up = time.monotonic() + within
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up or _holder_in(handle):
                return False
            time.sleep(0.01)
        else:
            return True


def _holder_in(handle: int) -> LockHolder | None:
    with suppress(ValueError, LookupError, TypeError, OverflowError, RecursionError):
        document = dict(json.loads(os.pread(handle, _LONGEST_NOTE, 0)))
        config = document.get("config")
        return LockHolder(
            url=str(document["url"]),
            process=int(document["process"]),
            config=None if config is None else Path(config),
        )
    return None


def write_private(path: Path, text: str) -> None:
    """Replace a file in one piece, readable by its owner only."""
    new = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(new, flags, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
