"""The judge of the shipped model's answers."""

import pytest

from tools.demo_model.checks import WellFormedness, is_on_topic
from tools.demo_model.sample import Sample


@pytest.fixture(scope="module")
def rules():
    return WellFormedness()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("", "unfinished"),
        ("A fox lived in the", "unfinished"),
        ("a fox lived in the forest.", "a sentence begins small"),
        ("A fox lived in the forest. it was happy.", "a sentence begins small"),
        ("A fox lived in the forest. A fox lived in the forest.", "one of them twice"),
        ('"A fox lived in the forest.', "a quote stays open"),
        ("A foxlet lived in the forest.", "unknown words: foxlet"),
        ("An fox lived in the forest.", "wrong article: an fox"),
        ("A fox fox lived in the forest.", "twice the same word: fox fox"),
        ("A fox lived the of the forest.", "strange neighbours"),
    ],
)
def test_a_malformed_answer_is_refused_with_its_fault(rules, answer, fault):
    assert fault in rules.fault(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "A fox lived in the forest.",
        "Positive.",
        '"Tomorrow I will try again," thought the fox, and smiled.',
        "There are 60 minutes in an hour.",
    ],
)
def test_a_well_formed_answer_has_no_fault(rules, answer):
    assert rules.fault(answer) is None


def _asks_for(*mentions):
    return Sample("story", "prompt", "target", mentions, ())


def test_every_group_must_be_mentioned():
    sample = _asks_for(("fox",), ("forest", "wood"))
    assert is_on_topic(sample, "A fox lived in the wood.")
    assert not is_on_topic(sample, "A fox lived in the city.")


def test_a_plural_mentions_its_noun_and_a_longer_word_does_not():
    sample = _asks_for(("ant",))
    assert is_on_topic(sample, "Ants are small.")
    assert not is_on_topic(sample, "The answer is an antenna.")
