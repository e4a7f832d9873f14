"""Whether a local server answers its health check. Knows HTTP's first line, not processes."""

import re
import socket
import threading
import time

PING_TIMEOUT = 0.5
"""Seconds for the whole check, however the answer comes: the clock looks at all endpoints in turn,
and one that hangs or drips must not hold up the others, nor the end of the gateway, for longer."""

BREATHER = 1.0
"""Seconds without another question after one that ran into the timeout: a server busy loading its
model is not helped by ten connections a second, nor is the clock."""

_OK = re.compile(rb"HTTP/1\.\d 200[ \r\n]")
_LONGEST_LINE = 1024
"""Bytes. Who has not ended the line by then does not speak HTTP."""


class HealthCheck:
    """Asks servers; remembers only whom to let breathe. From any thread."""

    def __init__(self) -> None:
        self._not_before: dict[str, float] = {}
        self._remembering = threading.Lock()

    def passes(self, run: str, port: int, path: str) -> bool:
        """Whether `GET path` answers 200 within half a second, asked now."""
        began = time.monotonic()
        with self._remembering:
            # Of all runs, not this one only: one that has ended is never asked again.
            self._not_before = {
                known: until for known, until in self._not_before.items() if began < until
            }
            if run in self._not_before:
                return False
        try:
            line = _first_line(port, path, began + PING_TIMEOUT)
        except TimeoutError:
            with self._remembering:
                self._not_before[run] = time.monotonic() + BREATHER
            return False
        except OSError:  # not listening yet
            return False
        return _OK.match(line) is not None


def _first_line(port: int, path: str, deadline: float) -> bytes:
    """What the answer begins with, as far as its first line; less if it ends before.

    Raises:
        TimeoutError: the line was not there at the deadline (monotonic).
        OSError: nobody listens, or the connection broke.

    """
    question = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    line = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_left(deadline)) as server:
        server.sendall(question.encode())
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
