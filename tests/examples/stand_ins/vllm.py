"""Stands in for `vllm serve MODEL`, and for the entry point of its image (`--model MODEL`)."""

import argparse
import sys

from serving import chat, models, serve

flags = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
if "--model" not in sys.argv:
    flags.add_argument("command", choices=["serve"])
    flags.add_argument("model")
else:
    flags.add_argument("--model", required=True)
flags.add_argument("--host", default="127.0.0.1")
flags.add_argument("--port", type=int, default=8000)
flags.add_argument("--gpu-memory-utilization", type=float)
flags.add_argument("--max-model-len", type=int)
given = flags.parse_args()
routes = {
    ("GET", "/health"): lambda handler, _: handler.answer(200, b""),
    ("GET", "/v1/models"): models(given.model),
    ("POST", "/v1/chat/completions"): chat(given.model),
}
serve(given.host, given.port, routes)
