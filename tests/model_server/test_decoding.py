"""Decoding options of a payload: the rules of the docstring of `decoding`, one by one."""

import pytest

from parkmeter.model_server.decoding import DEFAULT_MAX_LENGTH, plan, uses_sampling
from parkmeter.model_server.payload import Payload


def payload(**parameters: object) -> Payload:
    return Payload(("hello",), **parameters)


@pytest.mark.parametrize(
    ("parameters", "random"),
    [
        ({}, False),
        ({"temperature": 0.0}, False),
        ({"temperature": 0.0, "do_sample": True}, False),
        ({"temperature": 0.8}, True),
        ({"temperature": 0.8, "do_sample": False}, False),
        ({"temperature": 0.8, "num_beams": 4}, False),
        ({"temperature": 0.8, "num_beams": 4, "do_sample": True}, True),
        ({"temperature": 0.8, "num_return_sequences": 3}, True),
        ({"do_sample": True}, True),
        ({"top_k": 5}, True),
        ({"top_p": 0.9}, True),
        ({"top_p": 0.0}, False),
        ({"seed": 7}, False),
        ({"num_return_sequences": 3}, False),
    ],
)
def test_sampling_is_on_when_asked_for(parameters, random):
    assert uses_sampling(payload(**parameters)) is random


def test_without_parameters_it_is_greedy_and_of_a_usual_length():
    decoding = plan(payload()).decoding
    assert (decoding.beams, decoding.top_k) == (1, 1)
    assert decoding.max_new_tokens == DEFAULT_MAX_LENGTH - 1


@pytest.mark.parametrize(("length", "new_tokens"), [(50, 49), (2, 1), (1, 1)])
def test_max_length_counts_the_start_token(length, new_tokens):
    assert plan(payload(max_length=length)).decoding.max_new_tokens == new_tokens


def test_sampling_takes_hugging_faces_defaults():
    decoding = plan(payload(do_sample=True)).decoding
    assert (decoding.top_k, decoding.top_p, decoding.temperature) == (50, 1.0, 1.0)


def test_several_samples_of_one_prompt_are_decodings_of_their_own():
    planned = plan(payload(do_sample=True, num_return_sequences=3))
    assert (planned.samples, planned.keep, planned.decoding.beams) == (3, 3, 1)


def test_more_beams_than_sequences_draw_more_samples_than_are_returned():
    planned = plan(payload(do_sample=True, num_return_sequences=2, num_beams=5))
    assert (planned.samples, planned.keep, planned.decoding.beams) == (5, 2, 1)


def test_several_sequences_without_sampling_are_the_best_of_as_many_beams():
    planned = plan(payload(num_return_sequences=3))
    assert (planned.samples, planned.decoding.beams, planned.decoding.texts_per_row) == (1, 3, 3)


@pytest.mark.parametrize(("stopping", "patience"), [(True, 1.0), (False, 2.0), (None, 2.0)])
def test_early_stopping_ends_a_beam_search_sooner(stopping, patience):
    assert plan(payload(num_beams=4, early_stopping=stopping)).decoding.patience == patience


def test_a_seed_matters_to_sampling_alone():
    assert plan(payload(seed=7, temperature=0.0)).seed is None
    assert plan(payload(seed=7, temperature=0.5)).seed == 7


def test_requests_that_differ_in_prompt_and_count_only_can_share_a_batch():
    one = plan(Payload(("a",), temperature=0.5, num_return_sequences=1))
    other = plan(Payload(("b", "c"), temperature=0.5, num_return_sequences=4))
    assert one.decoding == other.decoding
