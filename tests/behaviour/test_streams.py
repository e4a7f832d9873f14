"""Streams of a real gateway, read by OpenAI's own client: while it starts, and at the close."""

import json
import sys
from pathlib import Path

import openai
import pytest

from tests.support.gateway_process import TOKEN, GatewayProcess

CHAT_SERVER = Path(__file__).parents[1] / "support" / "servers" / "chat.py"
ASKED = {"model": "qwen", "messages": [{"role": "user", "content": "Count."}], "stream": True}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    state = tmp_path_factory.mktemp("streams")
    flags = ["{port}", "--ready-file", str(state / "ready")]
    command = [sys.executable, "-I", "-S", str(CHAT_SERVER), *flags]
    config = f"""
        [endpoints.qwen]
        command = {json.dumps(command)}
        loading = "messages"
        drain_seconds = 0.2
        stop_grace_seconds = 1
        initial_provision_time_minutes = 0
    """
    with GatewayProcess(state, config) as made:
        yield made.start()


@pytest.fixture
def client(gateway):
    made = openai.OpenAI(base_url=f"{gateway.url}/qwen/v1", api_key=TOKEN, max_retries=0)
    with made:
        gateway.request("POST", "/endpoints/qwen/top-ups", {"minutes": 5})
        yield made


def test_a_chat_shows_its_start_as_reasoning_and_then_the_answer(gateway, client):
    (gateway.state / "ready").unlink(missing_ok=True)
    stream = client.chat.completions.create(**ASKED, extra_body={"words": 3})
    first = next(stream).choices[0].delta
    assert first.reasoning_content.startswith("qwen")
    assert first.content is None
    (gateway.state / "ready").touch()
    deltas = [piece.choices[0].delta for piece in stream]
    assert "".join(delta.content or "" for delta in deltas) == "0 1 2 "


def test_a_chat_that_the_close_cuts_off_raises_what_happened(gateway, client):
    (gateway.state / "ready").touch()
    stream = client.chat.completions.create(**ASKED, extra_body={"words": 10_000})
    assert "0 " in (piece.choices[0].delta.content for piece in stream)
    gateway.request("POST", "/endpoints/qwen/eject")
    with pytest.raises(openai.APIError, match="holds no time") as raised:
        list(stream)
    assert raised.value.code == "meter_closed"
    assert raised.value.body["top_up"]["url"] == f"{gateway.url}/endpoints/qwen/top-ups"
    with pytest.raises(openai.APIStatusError) as closed:
        client.chat.completions.create(**ASKED)
    assert closed.value.status_code == 402
    assert closed.value.response.headers["x-should-retry"] == "false"
