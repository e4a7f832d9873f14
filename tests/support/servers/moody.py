"""A model server whose behaviour follows a file: `ok`, `hang`, `garbage` or `cut`.

GET is the health check; POST echoes `say`, with `more`
blanks, or streams numbered pieces and then `end`. Standard
library only. It has a worker in a session of its own, without an environment.
"""

import argparse
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

flags = argparse.ArgumentParser()
flags.add_argument("port", type=int)
flags.add_argument("--mark", required=True, help="shown by `ps`, for this and its worker")
flags.add_argument("--mood-file", type=Path, required=True)
flags.add_argument("--seen-file", type=Path, help="gets a line for each prompt that arrived")
given = flags.parse_args()
seen = None if given.seen_file is None else given.seen_file.open("ab", buffering=0)

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)", given.mark]
os.posix_spawn(SLEEP[0], SLEEP, {}, setsid=True)


def mood() -> str:
    try:
        return given.mood_file.read_text()
    except OSError:
        return "ok"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_arguments):
        pass

    def do_GET(self):
        if self.usable():
            self.answer(b"")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if seen is not None:
            seen.write(f"{asked.get('say')}\n".encode())
        time.sleep(asked.get("takes", 0))
        if not self.usable():
            return
        if "pieces" in asked:
            self.stream(asked["pieces"], asked["pause"])
        elif mood() == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        else:
            self.answer(json.dumps({"said": asked["say"]}).encode() + b" " * asked.get("more", 0))

    def usable(self) -> bool:
        """Hang or send garbage if in that mood; return True if the request is to be answered."""
        while mood() == "hang":
            time.sleep(0.05)
        if mood() == "garbage":
            self.wfile.write(b"\x00\xff garbage \r\n\r\n" * 20)
            self.close_connection = True
            return False
        return True

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, pieces: int, pause: float) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(pieces):
            if mood() == "cut":
                self.close_connection = True
                return
            self.chunk(b"%d\n" % number)
            time.sleep(pause)
        self.chunk(b"end\n")
        self.chunk(b"")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_arguments):
        """Print nothing: clients that leave are no news here."""


Server(("127.0.0.1", given.port), Handler).serve_forever()
