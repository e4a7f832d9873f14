"""Stands in for `ollama serve`, which takes its address from the environment only."""

import argparse
import json
import os

from serving import STORY, serve

flags = argparse.ArgumentParser(prog="ollama", allow_abbrev=False)
flags.add_argument("command", choices=["serve"])
flags.parse_args()
host, _, port = os.environ.get("OLLAMA_HOST", "127.0.0.1:11434").rpartition(":")
assert os.environ["OLLAMA_KEEP_ALIVE"] == "-1"


def generate(handler, body):
    if not body.get("stream", True):
        handler.answer(200, {"model": body["model"], "response": "".join(STORY), "done": True})
        return
    lines = [{"model": body["model"], "response": word, "done": False} for word in STORY]
    lines.append({"model": body["model"], "response": "", "done": True, "done_reason": "stop"})
    handler.stream((json.dumps(line).encode() + b"\n" for line in lines), "application/x-ndjson")


routes = {
    ("GET", "/"): lambda handler, _: handler.answer(200, b"Ollama is running", "text/plain"),
    ("GET", "/api/version"): lambda handler, _: handler.answer(200, {"version": "0.12.0"}),
    ("POST", "/api/generate"): generate,
}
serve(host, int(port), routes)
