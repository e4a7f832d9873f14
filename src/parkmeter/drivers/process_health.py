"""Whether a local server answers its health check. Knows HTTP's first line, not processes."""

import re
import socket
import threading
import time
from dataclasses import dataclass, field

PATIENCE = 0.5
"""Seconds that a look waits for an answer. The clock looks at all endpoints, and one that hangs or
drips must not hold up the others, nor the end of the gateway, for longer. An answer that may take
longer is waited for on a thread of its own, and a later look finds it."""

BREATHER = 1.0
"""Seconds without another question after one that ran into the timeout: a server busy loading its
model is not helped by ten connections a second, nor is the clock."""

_OK = re.compile(rb"HTTP/1\.\d 200[ \r\n]")
_STALE = 60.0
"""Seconds after which an answer that nobody came for is forgotten."""

_LONGEST_LINE = 1024
"""Bytes. Who has not ended the line by then does not speak HTTP."""


@dataclass(slots=True)
class _Question:
    """One that was asked and not yet seen answered: when (monotonic), and what came of it."""

    asked_at: float
    answered: threading.Event = field(default_factory=threading.Event)
    passed: bool = False


class HealthCheck:
    """Asks servers; remembers only whom to let breathe and whom it has asked. From any thread."""

    def __init__(self) -> None:
        self._not_before: dict[str, float] = {}
        self._asked: dict[str, _Question] = {}
        self._remembering = threading.Lock()

    def passes(self, run: str, port: int, path: str, timeout: float) -> bool:
        """Whether `GET path` answered 200 within `timeout` seconds; takes half a second at most.

        A slower answer is found by a later call. One question is under way per run, never two.
        """
        now = time.monotonic()
        with self._remembering:
            self._forget(now)
            if run in self._not_before:
                return False
            question, patience = self._asked.get(run), 0.0
            if question is None:
                question, patience = _Question(now), PATIENCE
                self._asked[run] = question
                # A daemon: a server that hangs must not keep the gateway from ending.
                threading.Thread(
                    target=self._ask,
                    args=(question, run, port, path, now + timeout),
                    name=f"health of port {port}",
                    daemon=True,
                ).start()
        if not question.answered.wait(patience):
            return False
        with self._remembering:
            self._asked.pop(run, None)
        return question.passed

    def _forget(self, now: float) -> None:
        """Of all runs, not of one only: one that has ended is never asked about again."""
        self._not_before = {run: until for run, until in self._not_before.items() if now < until}
        self._asked = {
            run: question
            for run, question in self._asked.items()
            if not question.answered.is_set() or now - question.asked_at < _STALE
        }

    def _ask(self, question: _Question, run: str, port: int, path: str, deadline: float) -> None:
        try:
            question.passed = _OK.match(_first_line(port, path, deadline)) is not None
        except TimeoutError:
            with self._remembering:
                self._not_before[run] = time.monotonic() + BREATHER
                self._asked.pop(run, None)
        except OSError:  # not listening yet
            pass
        finally:
            question.answered.set()


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
