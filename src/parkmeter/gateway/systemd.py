"""Notification of systemd about the gateway's state, if systemd started it (`Type=notify`).

A library for one datagram would be larger than the datagram.
"""

import asyncio
import contextlib
import faulthandler
import os
import socket
from collections.abc import Callable, Mapping

VARIABLE = "NOTIFY_SOCKET"
READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"

_SIGNS = 3
"""Signs of life in the time after which systemd restarts the gateway: two of them may be late."""


def notify(state: str, *, wait: bool = True) -> None:
    """Send one state; never fail, for the gateway works as well without a listening manager.

    Without `wait` it is dropped where the manager does not keep up.
    """
    address = os.environ.get(VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(wait)
        manager.connect("\0" + address[1:] if address.startswith("@") else address)
        manager.sendall(state.encode())


class Watchdog:
    """Signs of life for systemd, from the event loop, as long as `alive` returns True.

    So neither a loop that hangs nor a clock that stands still is covered up: systemd ends the
    gateway (`WatchdogSec=`) and starts another, which adopts the servers. Not needed while the
    gateway ends, for which systemd has another limit.
    """

    def __init__(self, alive: Callable[[], bool]) -> None:
        self._alive = alive

    def start(self, environment: Mapping[str, str] = os.environ) -> None:
        """Begin, if systemd watches this process; on the event loop."""
        seconds = watched_seconds(environment)
        if seconds is not None:
            # systemd ends with SIGABRT what shows no sign: the log then says where it hung.
            faulthandler.enable()
            self._sign(asyncio.get_running_loop(), seconds / _SIGNS)

    def _sign(self, loop: asyncio.AbstractEventLoop, every: float) -> None:
        loop.call_later(every, self._sign, loop, every)
        if self._alive():
            notify(ALIVE, wait=False)


def watched_seconds(environment: Mapping[str, str]) -> float | None:
    """Return the time within which systemd expects a sign of life; None if it expects none."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    process = environment.get("WATCHDOG_PID", str(os.getpid()))
    if not (microseconds.isascii() and microseconds.isdigit()) or process != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000 or None
