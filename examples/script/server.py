"""All that parkmeter needs of a server: GET /ping answers 200, POST /invocations takes prompts."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """A model that reverses the prompt."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the health check; a server that loads a model answers 503 until it is loaded."""
        self._answer(200 if self.path == "/ping" else 404, {})

    def do_POST(self) -> None:
        """Answer one prompt: `{"text_inputs": …}`, as `parkmeter invoke` sends it."""
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not isinstance(prompt, dict) or not isinstance(prompt.get("text_inputs"), str):
            self._answer(400, {"error": "text_inputs is missing"})
            return
        self._answer(200, {"generated_texts": [prompt["text_inputs"][::-1]]})

    def _answer(self, status: int, document: dict[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
