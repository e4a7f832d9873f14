"""Articles, plurals, places and typed prompts of the grammar."""

from random import Random

import pytest

from tools.demo_model.lexicon import Place
from tools.demo_model.wording import as_typed, capitalised, fill, plural, there, with_article


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("dog", "a dog"),
        ("owl", "an owl"),
        ("unicorn", "a unicorn"),
        ("university", "a university"),
        ("umbrella", "an umbrella"),
    ],
)
def test_the_article_follows_the_sound(noun, phrase):
    assert with_article(noun) == phrase


@pytest.mark.parametrize(
    ("noun", "many"), [("dog", "dogs"), ("fox", "foxes"), ("fairy", "fairies"), ("toy", "toys")]
)
def test_plurals_are_regular(noun, many):
    assert plural(noun) == many


def test_a_capital_slot_capitalises_its_value():
    assert fill("{A} met {a}.", a="a fox") == "A fox met a fox."


def test_a_capital_goes_behind_an_opening_quote():
    assert capitalised('"stay," she said') == '"Stay," she said'


def test_space_needs_no_article():
    assert there(Place("in", "space", ())) == "in space"
    assert there(Place("on", "island", ()), "quiet") == "on the quiet island"


def test_most_prompts_are_typed_nearly_as_they_are():
    rng = Random(1)
    typed = [as_typed("Tell me a story about a fox.", rng) for _ in range(500)]
    assert sum("story about a fox" in prompt.lower() for prompt in typed) > 450
    assert len(set(typed)) > 20
