"""moto over HTTP, on connections that stay open: a new one for each call costs more than the call.

Knows how to serve moto in a thread of this process; not which services are asked, nor for what.
"""

import functools
import io
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote_to_bytes

from moto.server import DomainDispatcherApplication, create_backend_app

from simulator.moto_speedups import quicken

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application."""


class Moto(DomainDispatcherApplication):
    """moto as an application. Not from several threads at once: its dictionaries do not bear it."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        quicken()
        # moto looks through its own folder and some hundred patterns for it, at each request.
        self.get_backend_for_host = functools.cache(super().get_backend_for_host)


@contextmanager
def moto_server() -> Iterator[str]:
    """The URL of a moto server in this process, until the block ends."""
    moto, one_at_a_time = Moto(), threading.Lock()

    def serial(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with one_at_a_time:
            return list(moto(environ, start_response))

    with Server(serial) as server:
        yield server.url


class Server:
    """Serves an application at `url` while it is entered, each connection in a thread."""

    def __init__(self, application: Application) -> None:
        handler = type("Handler", (_Handler,), {"application": staticmethod(application)})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        # By this name, because moto tells services apart by host and knows no bare addresses.
        self.url = f"http://localhost:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    application: Application

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet an answer

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def answer(self) -> None:
        said: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_error: Any) -> None:
            said[:] = [status, headers]

        # Whole, so that the next request on this connection begins where this one ends.
        body = b"".join(self.application(self._environ(), start_response))
        status, headers = said
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_words: object) -> None:
        """A line for each request would bury what a failing test has to say."""

    def _environ(self) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        body = self._body()
        environ = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": self.path,
            "REQUEST_URI": self.path,
            "REMOTE_ADDR": self.client_address[0],
            "SERVER_NAME": "localhost",
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
        }
        for name, value in self.headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        environ["CONTENT_LENGTH"] = str(len(body))
        return environ

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(pieces)
