"""Stands in for TGI's `text-generation-launcher`: a parent, with a shard that heeds no SIGTERM."""

import argparse
import os
import signal
import time

from serving import STORY, event, serve

flags = argparse.ArgumentParser(prog="text-generation-launcher", allow_abbrev=False)
flags.add_argument("--model-id", required=True)
flags.add_argument("--hostname", default="0.0.0.0")
flags.add_argument("-p", "--port", type=int, default=3000)
given = flags.parse_args()


def health(handler, _):
    time.sleep(0.8)  # it generates a token
    handler.answer(200, b"")


def generate(handler, body):
    count = body.get("parameters", {}).get("max_new_tokens", 20)
    handler.answer(200, {"generated_text": "".join(STORY[:count])})


def generate_stream(handler, body):
    assert body["inputs"]

    def pieces():
        for number, text in enumerate(STORY):
            whole = "".join(STORY) if number == len(STORY) - 1 else None
            token = {"id": number, "text": text, "logprob": -0.1, "special": False}
            yield event({"index": number, "token": token, "generated_text": whole}, b"data:")

    handler.stream(pieces())


if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)
routes = {
    ("GET", "/health"): health,
    ("POST", "/generate"): generate,
    ("POST", "/generate_stream"): generate_stream,
}
serve(given.hostname, given.port, routes)
