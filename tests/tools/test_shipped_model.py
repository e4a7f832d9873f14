"""The shipped tiny model, in the form it is shipped in."""

from itertools import pairwise
from pathlib import Path

import pytest

from tools.demo_model.checks import WellFormedness
from tools.demo_model.convert import (
    FARTHEST,
    PROMPTS,
    REFERENCE,
    SHIPPED,
    TOP,
    ConvertedModel,
    distance,
    distances,
    read_reference,
)

CANONICAL = "write a story about beautiful weather on a topical island."


@pytest.fixture(scope="module")
def model():
    return ConvertedModel(SHIPPED)


def test_its_first_tokens_are_as_likely_as_in_the_original():
    measured = distances(SHIPPED, REFERENCE)
    assert len(measured) == len(PROMPTS)
    assert max(measured.values()) <= FARTHEST


def test_a_model_with_wrongly_scaled_logits_would_be_noticed():
    reference = read_reference(REFERENCE)[CANONICAL]
    scaled = {token: probability ** (160**-0.5) for token, probability in reference.items()}
    whole = sum(scaled.values())
    flattened = {token: probability / whole for token, probability in scaled.items()}
    assert distance(reference, flattened) > FARTHEST


def test_the_reference_lists_the_likeliest_tokens_first():
    for distribution in read_reference(REFERENCE).values():
        assert len(distribution) == TOP
        assert all(left >= right for left, right in pairwise(distribution.values()))


def test_it_writes_about_the_weather_on_an_island(model):
    (answer,) = model.answer([CANONICAL])
    assert WellFormedness().fault(answer) is None
    assert "island" in answer


def test_it_answers_in_whole_sentences_whatever_it_is_asked(model):
    prompts = ["?", "ümläut 你好", "x" * 300, "SELECT 1;", "write a haiku about tax law"]
    for answer in model.answer(prompts):
        assert answer[-1] in '.!?"'


def test_it_is_small():
    assert sum(file.stat().st_size for file in Path(SHIPPED).iterdir()) < 5_000_000
