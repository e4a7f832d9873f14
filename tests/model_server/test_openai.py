"""OpenAI's routes of the embedded server, asked with OpenAI's own client."""

import openai
import pytest

from parkmeter.model_server.batch_queue import Text
from parkmeter.model_server.openai_payload import Question, read_chat, read_completion
from parkmeter.model_server.openai_reply import OpenAIReply
from parkmeter.model_server.payload import Payload
from tests.support.model_server_process import ServerProcess

PROMPT = "write a story about a fox."


@pytest.fixture(scope="module")
def server():
    with ServerProcess("--model", "demo") as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0
    ) as one:
        yield one


def chat(client: openai.OpenAI, text: str = PROMPT, **parameters):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="demo", messages=messages, **parameters)


def test_a_chat_is_answered_as_the_same_prompt_at_invocations(server, client):
    answer = chat(client)
    assert answer.model == "demo"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert [answer.choices[0].message.content] == server.texts(PROMPT)


def test_the_pieces_of_a_streamed_chat_add_up_to_the_whole_and_its_use_comes_last(client):
    whole = chat(client)
    *chunks, last = chat(client, stream=True, stream_options={"include_usage": True})
    assert len(chunks) > 3
    written = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert written == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage == whole.usage
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert whole.usage.prompt_tokens > 0
    assert whole.usage.completion_tokens > 0


def test_a_stream_tells_no_use_unless_it_is_asked_for(client):
    assert all(chunk.choices and chunk.usage is None for chunk in chat(client, stream=True))


def test_completions_of_several_prompts_come_in_their_order(server, client):
    prompts = [PROMPT, "write a story about a river."]
    answer = client.completions.create(model="demo", prompt=prompts)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert [choice.text for choice in answer.choices] == server.texts(prompts)
    streamed = ["", ""]
    for chunk in client.completions.create(model="demo", prompt=prompts, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].text
    assert streamed == [choice.text for choice in answer.choices]


def test_a_text_that_is_cut_by_max_tokens_says_so(client):
    answer = chat(client, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3
    assert chat(client, max_completion_tokens=3).choices == answer.choices


def test_a_seed_draws_the_same_texts_again(client):
    parameters = {"temperature": 1.5, "seed": -7, "n": 2}
    first, again = (chat(client, **parameters) for _ in range(2))
    assert [choice.message for choice in first.choices] == [
        choice.message for choice in again.choices
    ]
    assert len(first.choices) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_ends_before_a_stop_string(client, stream):
    whole = chat(client).choices[0].message.content
    stop = whole[len(whole) // 2 :][:5]
    answer = chat(client, stop=[stop], stream=stream)
    if stream:
        chunks = list(answer)
        written = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        finish = chunks[-1].choices[0].finish_reason
    else:
        written, finish = answer.choices[0].message.content, answer.choices[0].finish_reason
    assert written == whole[: whole.index(stop)]
    assert finish == "stop"


def test_the_models_are_one(client):
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").object == "model"
    with pytest.raises(openai.NotFoundError, match="The model here is demo"):
        client.models.retrieve("gpt-4o")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format is not supported"),
        ({"n": 0}, "n must be an integer, 1 to 32"),
        ({"temperature": -1}, "temperature must be"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client, parameters, said):
    with pytest.raises(openai.BadRequestError, match=said) as refused:
        chat(client, **parameters)
    assert refused.value.param == next(iter(parameters))


def test_a_prompt_that_is_too_long_is_refused_in_the_words_of_the_client(client):
    said = r"messages has \d+ tokens; at most"
    with pytest.raises(openai.BadRequestError, match=said) as refused:
        chat(client, "fox 7, " * 2500)
    assert refused.value.param == "messages"


def test_of_a_conversation_the_last_message_of_the_user_is_read():
    question = read_chat(
        b'{"messages": [{"role": "system", "content": "Be brief."},'
        b'{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},'
        b'{"role": "user", "content": [{"type": "text", "text": "three"}]}], "new_key": 1}'
    )
    assert question.payload == Payload(text_inputs=("three",))
    assert not question.streams


def test_tokens_are_drawn_only_where_a_temperature_asks_for_it():
    assert read_completion(b'{"prompt": "a", "temperature": 0.5}').payload.top_k == 0
    assert read_completion(b'{"prompt": "a", "temperature": 0}').payload.top_k is None


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_a_stop_string_is_found_across_pieces(size):
    text, stop = "aaab aab abab aaaab", ("abac", "aaaa")
    question = Question(Payload(text_inputs=("x",)), streams=True, usage=False, stop=stop)
    reply = OpenAIReply(question, "demo", chat=False)
    pieces = [text[begin : begin + size] for begin in range(0, len(text), size)]
    events = b"".join(reply.piece(0, piece) for piece in pieces)
    events += reply.closing([Text(text, 1, 9, "length")])
    assert events.endswith(b"data: [DONE]\n\n")
    parts = [part.partition(b'"text":"')[2].partition(b'"')[0] for part in events.split(b"\n\n")]
    assert b"".join(parts).decode() == "aaab aab abab "
    assert b'"finish_reason":"stop"' in events
