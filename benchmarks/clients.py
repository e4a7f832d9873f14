"""Our own clients, for what wrk does not do: streams, routes of the control plane, pauses.

They speak HTTP/1.1 by hand, over sockets, because their own time must not count.
"""

import json
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.requests import TOKEN

_PATIENCE = 60.0


class RefusedError(Exception):
    """Raised when a request was not answered with success: such a run measures nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request as it went: seconds until its answer was whole, and until its body began."""

    seconds: float
    first: float
    body: bytes


def request(
    method: str, path: str, document: object = None, *lines: str, token: str = TOKEN
) -> bytes:
    """Return a request with this JSON document and further header lines, as on the wire."""
    body = b"" if document is None else json.dumps(document).encode()
    head = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {token}"]
    head += ["Content-Type: application/json", *lines, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


class Client:
    """A connection that is kept, with one request under way at most."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._began = self._first = 0.0

    def ask(self, message: bytes) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            RefusedError: When that is no success.
        """
        self.send(message)
        while (answer := self.receive()) is None:
            pass
        return answer

    def send(self, message: bytes) -> None:
        """Send a request."""
        self._received, self._first, self._began = b"", 0.0, time.perf_counter()
        self.socket.sendall(message)

    def receive(self) -> Answer | None:
        """Read once; return the answer if it is whole."""
        more = self.socket.recv(1 << 20)
        now = time.perf_counter()
        self._received += more
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not more or (end and not head.startswith(b"HTTP/1.1 2")):
            raise RefusedError(f"{head[:300]!r} {body[:300]!r}")
        if body and not self._first:
            self._first = now - self._began
        _, has_length, rest = head.lower().partition(b"\r\ncontent-length:")
        if has_length:
            whole = bool(end) and len(body) >= int(rest.partition(b"\r\n")[0])
        else:
            whole = body.endswith(b"0\r\n\r\n")
        return Answer(now - self._began, self._first, body) if whole else None

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


def ask(port: int, message: bytes) -> Answer:
    """Ask once, on a connection of its own, as a command line does."""
    client = Client(port)
    try:
        return client.ask(message)
    finally:
        client.close()


def closed_loop(
    port: int,
    messages: Iterable[bytes],
    seconds: float,
    check: Callable[[Answer], bool] = lambda _: True,
) -> list[Answer]:
    """Return all answers to clients that never pause, one for each message, started together.

    Requests under way at the end are waited for, so that all work is counted.

    Raises:
        RefusedError: When an answer is no success, or not as `check` wants it.
    """
    answers: list[Answer] = []
    with ExitStack() as closing, selectors.DefaultSelector() as ready:
        under_way = 0
        for message in messages:
            client = Client(port)
            closing.callback(client.close)
            ready.register(client.socket, selectors.EVENT_READ, (client, message))
            client.send(message)
            under_way += 1
        end = time.perf_counter() + seconds
        while under_way:
            if not (events := ready.select(_PATIENCE)):
                raise RefusedError(f"{under_way} requests were not answered")
            for key, _ in events:
                client, message = key.data
                if (answer := client.receive()) is None:
                    continue
                if not check(answer):
                    raise RefusedError(f"not as it should be: {answer.body[-300:]!r}")
                answers.append(answer)
                if time.perf_counter() < end:
                    client.send(message)
                else:
                    under_way -= 1
    return answers
