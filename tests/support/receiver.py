"""A real HTTP receiver of webhooks on loopback that can be down, slow, or hang."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Delivery:
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


@dataclass
class Inbox:
    """All received deliveries; `troubles` are the next answers, after them 204 to all."""

    url: str = ""
    got: list[Delivery] = field(default_factory=list)
    troubles: list[Reply] = field(default_factory=list)

    def of_type(self, kind: str) -> list[Delivery]:
        return [delivery for delivery in self.got if delivery.json.get("type") == kind]


def status(code: int, **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return reply


def hang(released: threading.Event) -> Reply:
    """Give no answer until it is released."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        released.wait(30)

    return reply


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Send a head that never ends, a little of it every tenth of a second."""
    with contextlib.suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(300):
            handler.wfile.write(b"X-%d: y\r\n" % number)
            time.sleep(0.1)


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Accept, with a body that does not end."""
    with contextlib.suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(300):
            handler.wfile.write(b"x" * 1000)
            time.sleep(0.1)


@contextlib.contextmanager
def receiver(port: int = 0) -> Iterator[Inbox]:
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            inbox.got.append(Delivery(dict(self.headers), body))
            reply = inbox.troubles.pop(0) if inbox.troubles else status(204)
            reply(self)

        def log_message(self, *words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    inbox.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
