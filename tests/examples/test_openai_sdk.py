"""OpenAI's own Python client, with the gateway as its base URL and a parkmeter token as its key."""

import openai
import pytest

from tests.support.gateway_process import TOKEN

MODEL = "Qwen/Qwen2.5-7B-Instruct"
STORY = [{"role": "user", "content": "A story, please."}]


@pytest.fixture
def client(example):
    gateway = example("vllm")
    with openai.OpenAI(
        base_url=f"{gateway.url}/prod/qwen/v1", api_key=TOKEN, max_retries=0
    ) as made:
        made.top_up = lambda: gateway.request("POST", "/endpoints/qwen/top-ups", {"minutes": 10})
        yield made


def test_it_chats_streams_and_lists_models(client):
    client.top_up()
    answer = client.chat.completions.create(model=MODEL, messages=STORY)  # held while it starts
    assert answer.choices[0].message.content == "Once upon a time"
    pieces = [
        piece.choices[0].delta.content
        for piece in client.chat.completions.create(model=MODEL, messages=STORY, stream=True)
    ]
    assert pieces == ["Once", " upon", " a", " time"]
    assert [model.id for model in client.models.list()] == [MODEL]


def test_a_closed_meter_and_a_wrong_token_are_its_own_errors(client):
    with pytest.raises(openai.APIStatusError) as closed:
        client.chat.completions.create(model=MODEL, messages=STORY)
    assert closed.value.status_code == 402
    assert closed.value.response.json()["code"] == "meter_closed"
    with pytest.raises(openai.PermissionDeniedError):
        client.with_options(api_key="pm_wrong").models.list()


def test_what_the_model_server_refuses_reaches_the_client_as_it_said_it(client):
    client.top_up()
    client.with_options(default_headers={"Prefer": "wait=60"}).models.list()
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="another", messages=STORY)


def test_one_address_serves_all_endpoints_by_name_or_by_the_ids_of_their_servers(example):
    gateway = example("vllm")
    front = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN, max_retries=0)
    with front as client:
        assert [model.id for model in client.models.list()] == ["qwen"]
        closed = client.models.retrieve("qwen").model_extra["parkmeter"]
        assert (closed["endpoint"], closed["status"], closed["seconds_left"]) == (
            "qwen",
            "stopped",
            0,
        )
        with pytest.raises(openai.APIStatusError, match="holds no time"):
            client.chat.completions.create(model="qwen", messages=STORY)
        gateway.request("POST", "/endpoints/qwen/top-ups", {"minutes": 10})
        waiting = client.with_options(default_headers={"Prefer": "wait=60"})
        answer = waiting.chat.completions.create(model="qwen", messages=STORY)
        assert answer.choices[0].message.content == "Once upon a time"
        assert answer.model == MODEL, "the id its server knows was put in"
        assert [model.id for model in client.models.list()] == ["qwen", MODEL]
        again = client.chat.completions.create(model=MODEL, messages=STORY)
        assert again.choices[0].message.content == "Once upon a time"
        with pytest.raises(openai.NotFoundError, match="It may use: qwen"):
            client.chat.completions.create(model="another", messages=STORY)
