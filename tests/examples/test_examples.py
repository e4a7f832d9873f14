"""Every example's parkmeter.toml, unchanged: topped up, prompted, streamed from, ejected, gone."""

import json
import os
import signal
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema
import pytest

from parkmeter.config.schema import config_schema
from tests.examples.conftest import EXAMPLES
from tests.support.gateway_process import alive, eventually

STORY = "Once upon a time"
CHAT = {"messages": [{"role": "user", "content": "A story, please."}]}


def chat(model: str) -> dict:
    return {"model": model, **CHAT}


def events(body: bytes) -> list[dict]:
    lines = [line.removeprefix(b"data:").strip() for line in body.splitlines() if line]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def chat_text(answer: dict) -> str:
    return answer["choices"][0]["message"]["content"]


def chat_pieces(body: bytes) -> list[str]:
    return [piece["choices"][0]["delta"]["content"] for piece in events(body)]


@dataclass(frozen=True)
class Example:
    name: str
    endpoint: str
    prompt: dict
    text: object
    stream_path: str = ""
    streamed: dict = field(default_factory=dict)
    pieces: object = None


def openai_example(name: str, endpoint: str, model: str) -> Example:
    streamed = {**chat(model), "stream": True}
    path = "/v1/chat/completions"
    return Example(name, endpoint, chat(model), chat_text, path, streamed, chat_pieces)


EVERY = [
    openai_example("vllm", "qwen", "Qwen/Qwen2.5-7B-Instruct"),
    openai_example("docker", "qwen", "Qwen/Qwen2.5-7B-Instruct"),
    openai_example("llama.cpp", "gemma", "ggml-org/gemma-3-4b-it-GGUF"),
    Example(
        "tgi",
        "mistral",
        {"inputs": "Hello", "parameters": {"max_new_tokens": 4}},
        lambda answer: answer["generated_text"],
        "/generate_stream",
        {"inputs": "Hello"},
        lambda body: [piece["token"]["text"] for piece in events(body)],
    ),
    Example(
        "ollama",
        "ollama",
        {"model": "llama3.2", "prompt": "Hello", "stream": False},
        lambda answer: answer["response"],
        "/api/generate",
        {"model": "llama3.2", "prompt": "Hello"},
        lambda body: [json.loads(line)["response"] for line in body.splitlines()][:-1],
    ),
    Example(
        "script", "echo", {"text_inputs": STORY[::-1]}, lambda answer: answer["generated_texts"][0]
    ),
]


def test_every_example_is_among_those_that_are_tried():
    found = {file.parent.name for file in EXAMPLES.glob("*/parkmeter.toml")}
    assert found == {example.name for example in EVERY}


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/parkmeter.toml")), ids=str)
def test_every_example_fits_the_schema_that_it_names(file: Path):
    text = file.read_text()
    named = text.splitlines()[0].removeprefix("#:schema ")
    assert json.loads((file.parent / named).read_text()) == config_schema()
    jsonschema.Draft202012Validator(config_schema()).validate(tomllib.loads(text))


@pytest.mark.parametrize("tried", EVERY, ids=lambda tried: tried.name)
def test_an_example_is_topped_up_prompted_and_ejected(example, daemon, tried):
    gateway = example(tried.name)
    name = tried.endpoint
    assert gateway.request("POST", f"/prod/{name}", tried.prompt).status == 402
    assert gateway.request("POST", f"/endpoints/{name}/top-ups", {"minutes": 10}).status == 201
    answer = gateway.request("POST", f"/prod/{name}", tried.prompt, {"Prefer": "wait=60"})
    assert answer.status == 200, answer.body
    assert tried.text(answer.json) == STORY
    if tried.stream_path:
        path = f"/prod/{name}{tried.stream_path}"
        streamed = gateway.request("POST", path, tried.streamed)
        assert streamed.headers["transfer-encoding"] == "chunked"
        assert "".join(tried.pieces(streamed.body)) == STORY
        assert len(tried.pieces(streamed.body)) == 4
    server = gateway.records()[0]["server"]
    assert bool(daemon.containers) == (tried.name == "docker")
    assert gateway.request("POST", f"/endpoints/{name}/eject").status == 200
    gateway.until("stopped", name, seconds=40)
    eventually(lambda: not alive(server))
    assert daemon.containers == {}
    assert gateway.request("POST", f"/prod/{name}", tried.prompt).status == 402


def test_a_container_is_stopped_even_when_its_client_was_killed(example, daemon):
    gateway = example("docker")
    gateway.request("POST", "/endpoints/qwen/top-ups", {"minutes": 10})
    gateway.until("running", "qwen")
    (container,) = daemon.containers.values()
    (record,) = gateway.records()
    os.kill(record["server"], signal.SIGKILL)
    eventually(lambda: container.poll() is not None, seconds=30)
