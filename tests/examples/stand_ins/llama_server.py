"""Stands in for llama.cpp's `llama-server`."""

import argparse

from serving import STORY, chat, event, loading_for, serve

flags = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False)
flags.add_argument("-hf", "--hf-repo")
flags.add_argument("-m", "--model")
flags.add_argument("--host", default="127.0.0.1")
flags.add_argument("--port", type=int, default=8080)
flags.add_argument("-c", "--ctx-size", type=int)
flags.add_argument("-ngl", "--n-gpu-layers", type=int)
given = flags.parse_args()


def completion(handler, body):
    words = STORY[: body.get("n_predict", len(STORY))]
    if body.get("stream"):
        last = len(words) - 1
        handler.stream(event({"content": w, "stop": n == last}) for n, w in enumerate(words))
    else:
        handler.answer(200, {"content": "".join(words), "stop": True})


routes = {
    ("GET", "/health"): loading_for(0.7),
    ("POST", "/completion"): completion,
    ("POST", "/v1/chat/completions"): chat(given.hf_repo or given.model),
}
serve(given.host, given.port, routes)
