"""Protocol between `parkmeter reload` and a running gateway: SIGHUP one way, a file back.

The gateway's process id is in the lock file that it holds; the outcome of the reload is written to
`<state>/reload.json`, so that no token is needed: write access to the folder is the permission.
Knows neither settings nor what a reload does.
"""

import contextlib
import json
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from parkmeter.errors import NoGatewayError, ParkmeterError
from parkmeter.state_folder import LockHolder, StateFolder, write_private

log = logging.getLogger(__name__)

ANSWER_WITHIN = 30.0
"""Seconds for the gateway to answer: new meters wait for the store, ten seconds at worst."""

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a reload: applied as a whole, or nothing was changed. `lines` are for people.

    `code` is that of the error where it was not applied. `began`: seconds of the machine's
    monotonic clock, by which a requester recognises the answer to its own request.
    """

    applied: bool
    lines: tuple[str, ...]
    code: str | None = None
    began: float = 0.0


class Reloader:
    """The gateway's side: runs one reload after the other, on a thread of its own."""

    def __init__(self, folder: StateFolder, apply: Callable[[], list[str]]) -> None:
        self._folder = folder
        self._apply = apply
        # Its put() may be called in a signal handler that interrupts another put().
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="reload", daemon=True)

    def start(self) -> None:
        """Start the thread; earlier requests are handled now."""
        self._thread.start()

    def request(self) -> None:
        """Request a reload of the configuration; return at once, also in a signal handler."""
        self._requests.put(True)

    def stop(self) -> None:
        """Stop the thread; return when a running reload is done, within its time limit."""
        self._requests.put(False)
        self._thread.join(ANSWER_WITHIN)

    def _serve(self) -> None:
        while self._requests.get():
            outcome = self._outcome()
            summary = "; ".join(outcome.lines)
            log.warning("reload: %s%s", "" if outcome.applied else "nothing was changed: ", summary)
            with contextlib.suppress(OSError):  # a full disk: it is in the log
                write_private(self._folder.reload_file, json.dumps(asdict(outcome)) + "\n")

    def _outcome(self) -> Outcome:
        began = time.monotonic()
        try:
            return Outcome(applied=True, lines=tuple(self._apply()), began=began)
        except ParkmeterError as error:
            lines = tuple(error.detail.splitlines())
            return Outcome(applied=False, lines=lines, code=error.code, began=began)
        except Exception:
            log.exception("the reload failed")
            lines = ("The reload failed; the gateway's log says why.",)
            return Outcome(applied=False, lines=lines, code="internal", began=began)


def reload_gateway(folder: StateFolder, within: float = ANSWER_WITHIN) -> Outcome:
    """Request a reload from the gateway of this folder, and wait for the outcome.

    Raises:
        NoGatewayError: there is none, it ended, or did not answer `within` seconds.

    """
    requested, holder = time.monotonic(), _holder(folder)
    if holder is None:
        raise NoGatewayError(
            f"No gateway is running in {folder.path}, so there is nothing to reload. "
            "Name another folder with --state or PARKMETER_STATE."
        )
    _send_hangup(folder, holder)
    while time.monotonic() < requested + within:
        outcome = _read(folder)
        if outcome is not None and outcome.began >= requested:
            return outcome
        if _holder(folder) != holder:
            raise NoGatewayError(f"The gateway in {folder.path} ended before it could reload.")
        time.sleep(_POLL_SECONDS)
    raise NoGatewayError(
        f"The gateway in {folder.path} (process {holder.process}) did not reload within "
        f"{within:g} s. It may be ending; `parkmeter doctor` shows more."
    )


def _holder(folder: StateFolder) -> LockHolder | None:
    try:
        return folder.holder()
    except OSError as error:
        raise NoGatewayError(f"{folder.lock_file} cannot be read: {error.strerror}.") from error


def _send_hangup(folder: StateFolder, holder: LockHolder) -> None:
    """Send SIGHUP to that process, and to no other that may have its id by now."""
    try:
        if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal"):
            process = os.pidfd_open(holder.process)
            try:
                if _holder(folder) == holder:  # so it was alive when it was opened
                    signal.pidfd_send_signal(process, signal.SIGHUP)
            finally:
                os.close(process)
        else:  # macOS
            os.kill(holder.process, signal.SIGHUP)
    except ProcessLookupError:
        pass  # it ended just now; the next read of the lock shows it
    except PermissionError:
        raise NoGatewayError(
            f"The gateway in {folder.path} runs as another user. Run the reload as that user."
        ) from None


def _read(folder: StateFolder) -> Outcome | None:
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        document = json.loads(folder.reload_file.read_text())
        lines = tuple(map(str, document["lines"]))
        return Outcome(**document | {"lines": lines, "began": float(document["began"])})
    return None
