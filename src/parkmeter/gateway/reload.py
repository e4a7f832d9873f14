"""How `parkmeter reload` and a running gateway speak with each other: SIGHUP one way, a file back.

The gateway's process is in the lock file that it holds; what came of the reload is in
`<state>/reload.json`, so that no token is needed: who may write the folder's files may do this.
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
"""Seconds that a gateway gets to answer: new meters wait for the store, ten seconds at worst."""

_LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a reload: applied whole, or nothing was changed. `lines` are for people.

    `code` is that of the error where it was not applied. `began`: seconds of the machine's
    monotonic clock, by which an asker knows that this is the answer to its own question.
    """

    applied: bool
    lines: tuple[str, ...]
    code: str | None = None
    began: float = 0.0


class Reloader:
    """The gateway's side: does one reload after the other, on a thread of its own."""

    def __init__(self, folder: StateFolder, apply: Callable[[], list[str]]) -> None:
        self._folder = folder
        self._apply = apply
        # Its put() may be called in a signal handler that interrupts another put().
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="reload", daemon=True)

    def start(self) -> None:
        """Begin; what was asked for before is done now."""
        self._thread.start()

    def ask(self) -> None:
        """Have the configuration applied anew; returns at once, also in a signal handler."""
        self._asked.put(True)

    def stop(self) -> None:
        """Do nothing more; returns when what is under way is done, within its bound."""
        self._asked.put(False)
        self._thread.join(ANSWER_WITHIN)

    def _serve(self) -> None:
        while self._asked.get():
            outcome = self._outcome()
            said = "; ".join(outcome.lines)
            log.warning("reload: %s%s", "" if outcome.applied else "nothing was changed: ", said)
            with contextlib.suppress(OSError):  # a full disk: the log has said it
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
    """Have the gateway of this folder apply its configuration anew, and wait for the outcome.

    Raises:
        NoGatewayError: there is none, it ended meanwhile, or gives no answer `within` seconds.

    """
    asked, holder = time.monotonic(), _holder(folder)
    if holder is None:
        raise NoGatewayError(
            f"No gateway works in {folder.path}, so nothing has to be reloaded: `parkmeter up` "
            "reads the configuration anew. Another folder is named by --state or PARKMETER_STATE."
        )
    _send_hangup(folder, holder)
    while time.monotonic() < asked + within:
        outcome = _read(folder)
        if outcome is not None and outcome.began >= asked:
            return outcome
        if _holder(folder) != holder:
            raise NoGatewayError(f"The gateway in {folder.path} ended before it could reload.")
        time.sleep(_LOOK_EVERY)
    raise NoGatewayError(
        f"The gateway in {folder.path} (process {holder.process}) did not reload within "
        f"{within:g} s. It may be ending; `parkmeter doctor` looks closer."
    )


def _holder(folder: StateFolder) -> LockHolder | None:
    try:
        return folder.holder()
    except OSError as error:
        raise NoGatewayError(f"{folder.lock_file} cannot be read: {error.strerror}.") from error


def _send_hangup(folder: StateFolder, holder: LockHolder) -> None:
    """SIGHUP to that process and no other that may have its number by now."""
    try:
        if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal"):
            process = os.pidfd_open(holder.process)
            try:
                if _holder(folder) == holder:  # so it lived when it was opened
                    signal.pidfd_send_signal(process, signal.SIGHUP)
            finally:
                os.close(process)
        else:  # macOS
            os.kill(holder.process, signal.SIGHUP)
    except ProcessLookupError:
        pass  # it ended just now, which the next look at the lock shows
    except PermissionError:
        raise NoGatewayError(
            f"The gateway in {folder.path} runs as another user. Reload it as that one."
        ) from None


def _read(folder: StateFolder) -> Outcome | None:
    with contextlib.suppress(OSError, ValueError, TypeError):
        document = json.loads(folder.reload_file.read_text())
        return Outcome(**document | {"lines": tuple(document["lines"])})
    return None
