"""Base of the stand-ins: a small HTTP server, and OpenAI's chat protocol. Standard library."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STORY = ["Once", " upon", " a", " time"]


class Handler(BaseHTTPRequestHandler):
    """Looks routes up in `routes`: `(method, path) -> function(handler, body)`."""

    protocol_version = "HTTP/1.1"
    routes = {}

    def do_GET(self):
        self._route(None)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        self._route(json.loads(self.rfile.read(length) or b"null"))

    def _route(self, body):
        known = self.routes.get((self.command, self.path))
        if known is None:
            self.answer(404, {"detail": "Not Found"})
        else:
            known(self, body)

    def answer(self, status, document, content_type="application/json"):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, pieces, content_type="text/event-stream"):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
            time.sleep(0.05)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


def serve(host, port, routes):
    handler = type("Routed", (Handler,), {"routes": routes})
    ThreadingHTTPServer((host, port), handler).serve_forever()


def loading_for(seconds):
    """A health check as servers have that answer before their model is loaded."""
    born = time.monotonic()

    def health(handler, _):
        if time.monotonic() - born < seconds:
            error = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
            handler.answer(503, {"error": error})
        else:
            handler.answer(200, {"status": "ok"})

    return health


def chat(model):
    """`POST /v1/chat/completions` as OpenAI's client expects it, whole and streamed."""

    def completions(handler, body):
        if body["model"] != model:
            message = f"The model `{body['model']}` does not exist."
            error = {"message": message, "type": "NotFoundError", "param": None, "code": 404}
            handler.answer(404, {"error": error})
            return
        assert body["messages"], "a chat has messages"
        common = {"id": "chatcmpl-1", "created": int(time.time()), "model": model}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(STORY)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
            whole = {"object": "chat.completion", "choices": [choice], "usage": usage}
            handler.answer(200, common | whole)
            return

        def pieces():
            for number, word in enumerate(STORY):
                delta = {"content": word} | ({"role": "assistant"} if number == 0 else {})
                last = number == len(STORY) - 1
                choice = {"index": 0, "delta": delta, "finish_reason": "stop" if last else None}
                yield event(common | {"object": "chat.completion.chunk", "choices": [choice]})
            yield b"data: [DONE]\n\n"

        handler.stream(pieces())

    return completions


def models(model):
    """`GET /v1/models`."""
    listed = {"object": "list", "data": [{"id": model, "object": "model", "owned_by": "x"}]}
    return lambda handler, _: handler.answer(200, listed)


def event(document, prefix=b"data: "):
    return prefix + json.dumps(document).encode() + b"\n\n"
