"""The containers behind endpoints: a server of canned answers, or a real model server process.

An endpoint gets InService only when its container answers `GET /ping`, as on SageMaker.
"""

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

STOP_GRACE = 30
"""Seconds from SIGTERM to SIGKILL, as when SageMaker takes an instance away."""


class Container(Protocol):
    """The one container of one endpoint, which exists from its creation on."""

    @property
    def address(self) -> str:
        """Return host:port."""

    def healthy(self) -> bool:
        """Return whether it answers `GET /ping` with 200."""

    def close(self) -> None:
        """Stop it."""


Launch = Callable[[str], Container]
"""Creates the container of the endpoint of this name; returns at once."""


class _CannedAnswers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/ping" else 404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = {
            "path": self.path,
            "body": body[:1000].decode("utf-8", "replace"),
            "content_type": self.headers.get("Content-Type"),
            "accept": self.headers.get("Accept"),
        }
        try:
            prompt = json.loads(body)
        except ValueError:
            prompt = {}
        # A test gets any status it needs: {"answer_with": 500, "text_inputs": …}
        status = prompt.get("answer_with", 200) if isinstance(prompt, dict) else 200
        answer = {"generated_texts": ["a canned answer"], "seen": seen}
        if status != HTTPStatus.OK:
            answer = {"error": "as requested"}
        self._answer(status, json.dumps(answer).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        pass


class Canned:
    """A container that answers at once, always the same, with a copy of the request.

    The server is created at the first call: most endpoints of most tests have none.
    """

    def __init__(self) -> None:
        self._server: ThreadingHTTPServer | None = None
        self._creating = threading.Lock()

    @property
    def address(self) -> str:
        with self._creating:
            if self._server is None:
                self._server = ThreadingHTTPServer(("127.0.0.1", 0), _CannedAnswers)
                self._server.daemon_threads = True
                serve, options = self._server.serve_forever, {"poll_interval": 0.01}
                threading.Thread(target=serve, kwargs=options, daemon=True).start()
            return f"127.0.0.1:{self._server.server_port}"

    def healthy(self) -> bool:
        return True

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class Process:
    """A container that is a server process; `{port}` in its command is replaced by a free port.

    Its output goes to our standard error, as a program may read our standard output.
    """

    def __init__(self, command: Sequence[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [part.replace("{port}", str(port)) for part in command], stdout=sys.__stderr__
        )

    def healthy(self) -> bool:
        connection = http.client.HTTPConnection(self.address, timeout=2)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def canned(_endpoint: str) -> Container:
    """Launch a server of canned answers."""
    return Canned()


def embedded_model(_endpoint: str) -> Container:
    """Launch parkmeter's own model server with the model it ships."""
    server = (sys.executable, "-m", "parkmeter.model_server")
    return Process((*server, "--model", "demo", "--port", "{port}"))
