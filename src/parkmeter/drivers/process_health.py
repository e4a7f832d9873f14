"""Health checks of local servers. Knows the status line of HTTP, not processes."""

import re
import socket
import threading
import time
from dataclasses import dataclass, field

from parkmeter.descriptor_reserve import DescriptorReserve

PATIENCE = 0.5
"""Seconds that a call waits for an answer. The clock observes all endpoints, and one that hangs or
drips must not delay the others, or the shutdown of the gateway, for longer. A slower answer is
awaited on a thread of its own, and a later call finds it."""

PAUSE = 1.0
"""Seconds without another request after a timeout: ten connections a second help neither a server
that is loading its model nor the clock."""

_OK = re.compile(rb"HTTP/1\.\d 200[ \r\n]")
_STALE = 60.0
"""Seconds after which an answer that no call has fetched is dropped."""

_LONGEST_LINE = 1024
"""Bytes. A server whose first line is longer does not speak HTTP."""


@dataclass(slots=True)
class _Request:
    """A health request whose result no call has fetched yet; `sent_at` is monotonic."""

    sent_at: float
    answered: threading.Event = field(default_factory=threading.Event)
    passed: bool = False


class HealthCheck:
    """Health requests to local servers: the pending ones, and pauses. Thread-safe.

    `reserve`: descriptors for the time when the process has none left, so that a server is not
    taken for one that does not answer.
    """

    def __init__(self, reserve: DescriptorReserve | None = None) -> None:
        self._reserve = reserve or DescriptorReserve(0)
        self._not_before: dict[str, float] = {}
        self._pending: dict[str, _Request] = {}
        self._lock = threading.Lock()

    def passes(self, run: str, port: int, path: str, timeout: float) -> bool:
        """Return whether `GET path` answers 200 within `timeout` seconds; block for at most 0.5 s.

        A slower answer is found by a later call. A run has at most one request pending.
        """
        now = time.monotonic()
        with self._lock:
            self._drop_expired(now)
            if run in self._not_before:
                return False
            request, patience = self._pending.get(run), 0.0
            if request is None:
                request, patience = _Request(now), PATIENCE
                # A daemon: a server that hangs must not delay the shutdown of the gateway.
                threading.Thread(
                    target=self._send,
                    args=(request, run, port, path, now + timeout),
                    name=f"health of port {port}",
                    daemon=True,
                ).start()
                # After the start, which may fail: no answer would ever end a pending request.
                self._pending[run] = request
        if not request.answered.wait(patience):
            return False
        with self._lock:
            self._pending.pop(run, None)
        return request.passed

    def _drop_expired(self, now: float) -> None:
        """Drop expired entries of all runs: no call for an ended run will ever do it."""
        self._not_before = {run: until for run, until in self._not_before.items() if now < until}
        self._pending = {
            run: request
            for run, request in self._pending.items()
            if not request.answered.is_set() or now - request.sent_at < _STALE
        }

    def _send(self, request: _Request, run: str, port: int, path: str, deadline: float) -> None:
        try:
            server = self._reserve.run(socket.socket)
            request.passed = _OK.match(_first_line(server, port, path, deadline)) is not None
        except TimeoutError:
            with self._lock:
                self._not_before[run] = time.monotonic() + PAUSE
                self._pending.pop(run, None)
        except OSError:  # not listening yet
            pass
        finally:
            request.answered.set()


def _first_line(server: socket.socket, port: int, path: str, deadline: float) -> bytes:
    """Return the answer up to at least the end of its first line; less if it ends before.

    Raises:
        TimeoutError: the line is incomplete at the deadline (monotonic).
        OSError: the connection was refused, or it broke.

    """
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    line = b""
    with server:
        server.settimeout(_left(deadline))
        server.connect(("127.0.0.1", port))
        server.sendall(request.encode())
        while b"\n" not in line and len(line) < _LONGEST_LINE:
            server.settimeout(_left(deadline))
            piece = server.recv(_LONGEST_LINE)
            if not piece:
                break
            line += piece
    return line


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
