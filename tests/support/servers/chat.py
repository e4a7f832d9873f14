"""A model server with OpenAI's chat: streams numbered words, one every 50 milliseconds.

`{"words": 3}` in a request sets their number. Health is 503 until `--ready-file` exists.
"""

import argparse
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

flags = argparse.ArgumentParser()
flags.add_argument("port", type=int)
flags.add_argument("--ready-file", type=Path, required=True)
given = flags.parse_args()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200 if given.ready_file.exists() else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(asked["words"]):
            self.event(json.dumps(self.piece(asked["model"], f"{number} ")))
            time.sleep(0.05)
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def piece(self, model, word):
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
        return {**chunk, "model": model, "choices": [choice]}

    def event(self, data):
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments):
        """Print nothing: clients that leave are no news here."""


Server(("127.0.0.1", given.port), Handler).serve_forever()
