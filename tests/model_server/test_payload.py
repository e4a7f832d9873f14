"""Validation of the payload, without a server."""

import json

import pytest

from parkmeter.model_server.checks import MAX_PROMPT_CHARACTERS, PayloadError
from parkmeter.model_server.payload import MAX_PROMPTS, Payload, parse_json, parse_text


def parse(**document: object) -> Payload:
    return parse_json(json.dumps({"text_inputs": "hello", **document}).encode())


def refusal(body: bytes | dict) -> PayloadError:
    with pytest.raises(PayloadError) as refused:
        parse_json(body if isinstance(body, bytes) else json.dumps(body).encode())
    return refused.value


def test_the_ancestors_example_is_taken_as_it_is():
    payload = parse(max_length=50, temperature=0.0, seed=321)
    assert payload == Payload(("hello",), max_length=50, temperature=0.0, seed=321)


def test_every_parameter_of_jumpstart_is_taken():
    every = {
        "max_length": 100,
        "max_time": 2.5,
        "num_return_sequences": 2,
        "num_beams": 3,
        "no_repeat_ngram_size": 2,
        "temperature": 0.7,
        "early_stopping": True,
        "do_sample": False,
        "top_k": 0,
        "top_p": 1,
        "seed": 2**32 - 1,
    }
    payload = parse(**every)
    assert {key: getattr(payload, key) for key in every} == every


def test_several_prompts_keep_their_order():
    assert parse(text_inputs=["b", "a"]).text_inputs == ("b", "a")


def test_an_integer_may_be_written_with_a_decimal_point():
    assert parse(max_length=50.0).max_length == 50


INTEGERS = ["max_length", "num_return_sequences", "num_beams", "no_repeat_ngram_size", "top_k"]
WRONG_TYPES = [True, None, "5", [5], {"value": 5}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in [*INTEGERS, "seed"] for value in [*WRONG_TYPES, 1.5]),
        *(
            (field, value)
            for field in ["temperature", "top_p", "max_time"]
            for value in [*WRONG_TYPES, 10**400]
        ),
        *(
            (field, value)
            for field in ["do_sample", "early_stopping"]
            for value in [0, 1, "true", None]
        ),
        ("max_length", 0),
        ("max_length", -1),
        ("max_length", 2049),
        ("max_time", 0),
        ("max_time", -0.5),
        ("num_return_sequences", 0),
        ("num_return_sequences", 33),
        ("num_beams", 0),
        ("num_beams", 33),
        ("no_repeat_ngram_size", 1),
        ("no_repeat_ngram_size", 0),
        ("no_repeat_ngram_size", 2049),
        ("temperature", -0.1),
        ("top_k", -1),
        ("top_p", -0.01),
        ("top_p", 1.01),
        ("seed", -1),
        ("seed", 2**32),
        ("text_inputs", None),
        ("text_inputs", 5),
        ("text_inputs", {"text": "hello"}),
        ("text_inputs", ""),
        ("text_inputs", " \n\t"),
        ("text_inputs", []),
        ("text_inputs", ["hello", ""]),
        ("text_inputs", ["hello", 5]),
        ("text_inputs", [["hello"]]),
        ("text_inputs", ["hello"] * (MAX_PROMPTS + 1)),
        ("text_inputs", "x" * (MAX_PROMPT_CHARACTERS + 1)),
        ("text_inputs", "half a \ud83d"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_the_name_of_its_field(field, value):
    refused = refusal({"text_inputs": "hello", field: value})
    assert refused.field == field
    assert field in refused.detail


HUGE = ["1e30", str(2**63), str(10**400)]


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("field", [name for name in [*INTEGERS, "seed"] if name != "top_k"])
def test_an_integer_larger_than_any_engine_takes_is_refused_by_the_name_of_its_field(field, value):
    refused = refusal(f'{{"text_inputs": "hello", "{field}": {value}}}'.encode())
    assert refused.field == field
    assert field in refused.detail


@pytest.mark.parametrize("value", HUGE)
def test_a_choice_among_more_tokens_than_there_are_is_one_among_all(value):
    payload = parse_json(f'{{"text_inputs": "hello", "top_k": {value}}}'.encode())
    assert payload.top_k == (int(1e30) if value == "1e30" else int(value))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"max_length": "fifty"}, 'max_length must be an integer, 1 to 2048; got "fifty".'),
        ({"top_p": 2}, "top_p must be a number, 0 to 1; got 2."),
        ({"max_time": 0}, "max_time must be a number of seconds above 0; got 0."),
        ({"do_sample": 1}, "do_sample must be true or false; got 1."),
        ({"text_inputs": ["a", 1]}, "text_inputs[1] must be a string; got 1."),
        ({"text_inputs": []}, f"text_inputs must contain 1 to {MAX_PROMPTS} strings; got 0."),
    ],
)
def test_a_refusal_names_what_is_allowed_and_what_was_sent(document, expected):
    assert refusal({"text_inputs": "hello", **document}).detail == expected


def test_a_quoted_value_is_truncated():
    assert len(refusal({"text_inputs": "hello", "seed": "x" * 10_000}).detail) < 200


def test_an_unknown_key_is_refused_with_the_list_of_valid_ones():
    refused = refusal({"text_inputs": "hello", "max_new_tokens": 5})
    assert refused.field == "max_new_tokens"
    assert "max_length, max_time, num_return_sequences" in refused.detail


def test_missing_text_inputs_are_named():
    assert refusal({"max_length": 5}).field == "text_inputs"


def test_fewer_beams_than_sequences_are_refused():
    refused = refusal({"text_inputs": "hello", "num_return_sequences": 3, "num_beams": 2})
    assert refused.field == "num_beams"
    assert "at least num_return_sequences (3)" in refused.detail


def test_too_many_texts_together_are_refused():
    assert refusal({"text_inputs": ["hello"] * 100, "num_beams": 32}).field == "text_inputs"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'"hello"',
        b"null",
        b"\xff\xfe\x00",
        b'{"text_inputs": "a", "temperature": NaN}',
        b'{"text_inputs": "a", "temperature": -Infinity}',
        b"[" * 100_000,
        b'{"seed": ' + b"1" * 10_000 + b"}",
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(body):
    assert refusal(body).field is None


def test_a_number_too_large_for_json_is_refused_by_the_name_of_its_field():
    assert refusal(b'{"text_inputs": "a", "temperature": 1e999}').field == "temperature"


def test_raw_text_is_the_prompt_itself():
    assert parse_text("déjà vu".encode()) == Payload(("déjà vu",))


@pytest.mark.parametrize("body", [b"", b"  ", b"\xff", b"x" * (MAX_PROMPT_CHARACTERS + 1)])
def test_raw_text_that_is_no_prompt_is_refused(body):
    with pytest.raises(PayloadError):
        parse_text(body)
