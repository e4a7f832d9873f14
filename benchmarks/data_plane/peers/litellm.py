"""LiteLLM's proxy, one worker: its master key, and the stub as an OpenAI-compatible model.

It does more than the others for a request: it reads it, chooses a model and reads the answer.
"""

import json
from dataclasses import replace

from benchmarks.data_plane.peer import Ground, Peer, Program
from benchmarks.data_plane.questions import Question
from benchmarks.data_plane.sources import from_python

_KEY = "sk-benchmark-benchmark"
_PROMPT = {"model": "stub", "messages": [{"role": "user", "content": "Tell of the weather."}]}
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # the prices come with it; nothing is fetched
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
}


def _find(*, install: bool) -> Program:
    found = from_python(("litellm[proxy]==1.106.2",), "litellm", "litellm", install=install)
    return replace(found, environment=_ENVIRONMENT)


def _command(program: Program, ground: Ground) -> list[str]:
    upstream = f"http://127.0.0.1:{ground.upstream}/v1"
    parameters = {"model": "openai/stub", "api_base": upstream, "api_key": "none"}
    configuration = {
        "model_list": [{"model_name": "stub", "litellm_params": parameters}],
        "general_settings": {"master_key": _KEY},
    }
    file = ground.folder / "litellm.yaml"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    command = [program.path, "--config", str(file), "--host", "127.0.0.1"]
    return [*command, "--port", str(ground.port), "--num_workers", "1"]


LITELLM = Peer(
    "LiteLLM",
    _find,
    _command,
    Question("/v1/chat/completions", json.dumps(_PROMPT).encode(), _KEY),
    least_seconds=5.0,
)
