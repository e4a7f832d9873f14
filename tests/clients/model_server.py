"""A model server that speaks OpenAI's and Anthropic's chat, one step at a time.

Files in `--folder` give the steps: health is 503 until there is `ready`, and a stream waits after
its first word until there is `go`. Other models than `--serves` are unknown to it.
"""

import argparse
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

flags = argparse.ArgumentParser()
flags.add_argument("port", type=int)
flags.add_argument("--folder", type=Path, required=True)
flags.add_argument("--serves", required=True)
flags.add_argument("--says", required=True, help="the words of each answer")
given = flags.parse_args()

WORDS = [word + " " for word in given.says.split()]
USED = {"prompt_tokens": 3, "completion_tokens": len(WORDS), "total_tokens": 3 + len(WORDS)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/v1/models":
            self.answer(200, {"object": "list", "data": [{"id": given.serves, "object": "model"}]})
        else:
            self.answer(200 if (given.folder / "ready").exists() else 503, {})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        routes = {"/v1/chat/completions": self.chat, "/v1/messages": self.message}
        if path == "/invocations":
            self.answer(200, {"generated_texts": ["".join(WORDS)]})
        elif asked["model"] != given.serves or path not in routes:
            self.answer(404, {"error": {"message": f"no {asked['model']} at {path}", "code": 404}})
        else:
            routes[path](asked)

    def chat(self, asked):
        common = {"id": "chatcmpl-1", "created": 1, "model": given.serves}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": "".join(WORDS)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            whole = {"object": "chat.completion", "choices": [choice], "usage": USED}
            self.answer(200, common | whole)
            return
        common["object"] = "chat.completion.chunk"
        self.begin()
        for word in self.words():
            choice = {"index": 0, "delta": {"role": "assistant", "content": word}}
            self.event(common | {"choices": [choice | {"finish_reason": None}]})
        choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        self.event(common | {"choices": [choice]})
        if asked.get("stream_options", {}).get("include_usage"):
            self.event(common | {"choices": [], "usage": USED})
        self.send(b"data: [DONE]\n\n")
        self.send(b"")

    def message(self, asked):
        used = {"input_tokens": 3, "output_tokens": len(WORDS)}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": given.serves}
        message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": used}
        if not asked.get("stream"):
            content = [{"type": "text", "text": "".join(WORDS)}]
            self.answer(200, message | {"content": content, "stop_reason": "end_turn"})
            return
        self.begin()
        self.named("message_start", message=message)
        self.named("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for word in self.words():
            delta = {"type": "text_delta", "text": word}
            self.named("content_block_delta", index=0, delta=delta)
        self.named("content_block_stop", index=0)
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        self.named("message_delta", delta=delta, usage={"output_tokens": len(WORDS)})
        self.named("message_stop")
        self.send(b"")

    def words(self):
        yield WORDS[0]
        while not (given.folder / "go").exists():
            time.sleep(0.01)
        yield from WORDS[1:]

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def event(self, document):
        self.send(f"data: {json.dumps(document)}\n\n".encode())

    def named(self, name, **members):
        document = json.dumps({"type": name, **members})
        self.send(f"event: {name}\ndata: {document}\n\n".encode())

    def send(self, piece):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments):
        """Print nothing: clients leave, and the gateway cuts streams."""


Server(("127.0.0.1", given.port), Handler).serve_forever()
