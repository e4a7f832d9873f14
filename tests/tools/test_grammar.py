"""The grammar that the shipped model is trained on."""

from hashlib import sha256
from itertools import islice

import pytest

from tools.demo_model.checks import WellFormedness, is_on_topic
from tools.demo_model.grammar import EXERCISE, TASKS, held_out_samples, training_samples
from tools.demo_model.lexicon import ANIMALS, PEOPLE, PLACES, WORDS

COUNT = 3000


@pytest.fixture(scope="module")
def rules():
    return WellFormedness()


@pytest.fixture(scope="module")
def trained_on():
    return list(islice(training_samples(3), COUNT))


def test_the_same_seed_gives_the_same_samples(trained_on):
    assert list(islice(training_samples(3), COUNT)) == trained_on


def test_the_samples_are_those_that_the_shipped_model_was_trained_on(trained_on):
    text = "".join(f"{sample.prompt}\n{sample.target}\n" for sample in trained_on)
    assert sha256(text.encode()).hexdigest().startswith("c2e4c32d53501854"), "train it again"


def test_another_seed_gives_other_samples(trained_on):
    assert list(islice(training_samples(4), COUNT)) != trained_on


def test_held_out_combinations_are_never_trained_on(trained_on):
    assert not [sample for sample in trained_on if sample.held_out]


@pytest.mark.parametrize("task", sorted(set(TASKS) - {"chat", "open story"}))
def test_every_task_has_combinations_that_are_held_out(task):
    samples = held_out_samples(task, 20, seed=1)
    assert all(sample.held_out for sample in samples)
    assert {sample.task for sample in samples} == {task}


def test_every_word_of_a_held_out_combination_is_trained_on_in_another(trained_on):
    trained_words = {word for sample in trained_on for word in sample.slots}
    unseen = {
        sample.slots[1]
        for sample in held_out_samples("being story", 200, seed=1)
        if sample.slots[1] not in trained_words
    }
    assert not unseen


def test_every_target_is_on_its_own_topic(trained_on):
    assert not [sample for sample in trained_on if not is_on_topic(sample, sample.target)]


def test_every_target_is_well_formed(trained_on, rules):
    # Invented words are exempt: a typo in the prompt makes them unknown words.
    samples = [sample for sample in trained_on if sample.task != EXERCISE]
    faults = [(sample.target, rules.fault(sample.target, sample.prompt)) for sample in samples]
    assert not [fault for fault in faults if fault[1]]


def test_a_task_that_is_left_out_is_never_drawn():
    samples = islice(training_samples(3, left_out=(EXERCISE,)), COUNT)
    assert EXERCISE not in {sample.task for sample in samples}


def test_an_emphasised_task_is_drawn_about_twice_as_often(trained_on):
    samples = islice(training_samples(3, emphasised=("pair story",)), COUNT)
    often = sum(sample.task == "pair story" for sample in samples)
    plain = sum(sample.task == "pair story" for sample in trained_on)
    assert 1.5 < often / plain < 2.5


def test_a_training_run_meets_every_task(trained_on):
    assert {sample.task for sample in trained_on} == set(TASKS)


def test_targets_stay_short(trained_on):
    longest = max(len(sample.target.split()) for sample in trained_on)
    assert longest <= 48


def test_no_noun_is_listed_twice():
    names = [being.name for being in (*ANIMALS, *PEOPLE)]
    names += [*WORDS.things, *WORDS.topics]
    assert sorted(set(names)) == sorted(names)


def test_every_place_has_three_things_to_see():
    assert {len(place.details) for place in PLACES} == {3}
