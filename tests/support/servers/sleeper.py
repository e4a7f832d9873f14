"""A model server whose prompts set the duration of their answers: `{"seconds": 2}`.

They also set what it prints: `{"say": "hello", "times": 3}` prints "hello 0" to "hello 2". With
`"pieces": 5` the answer is streamed in 5 pieces over that time.

`/ping` answers 503 for the first `--ready-after` seconds; it crashes after `--exit-after` seconds.
"""

import argparse
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

flags = argparse.ArgumentParser()
flags.add_argument("port", type=int)
flags.add_argument("--ready-after", type=float, default=0)
flags.add_argument("--exit-after", type=float)
given = flags.parse_args()
born = time.monotonic()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        ready = time.monotonic() - born >= given.ready_after
        self.answer(200 if ready else 503, {"ready": ready})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for number in range(asked.get("times", 0)):
            sys.stdout.write(f"{asked['say']} {number}\n")
        sys.stdout.flush()
        if "pieces" in asked:
            self.stream(asked["pieces"], asked["seconds"])
            return
        time.sleep(asked.get("seconds", 0))
        self.answer(200, {"slept": asked.get("seconds", 0), "path": self.path})

    def stream(self, pieces, seconds):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(pieces):
            piece = b"%d\n" % number
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(seconds / pieces)
        self.wfile.write(b"0\r\n\r\n")

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if given.exit_after is not None:

    def crash():
        sys.stderr.write("out of memory, as always\n")
        sys.stderr.flush()
        os._exit(7)

    threading.Timer(given.exit_after, crash).start()
ThreadingHTTPServer(("127.0.0.1", given.port), Handler).serve_forever()
