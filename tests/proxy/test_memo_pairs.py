"""The memo of heads changes nothing that can be seen, on either side of the gateway.

Plain prompts and changed pairs of requests and answers come on one kept connection, to a data plane
with the memo and to one without. All follows from one seed: `FUZZ_SEED=7` tries others.
"""

from random import Random

import pytest

from tests.support.case_count import CASES
from tests.support.memory_plane import MemoryPlane
from tests.support.mutated_pairs import changes, pairs
from tests.support.random_input import SEED, TIMES
from tests.support.twins import check_scene, logged
from tests.support.wound_loop import on_wound_time

OF_A_SCENE = 60
"""Pairs, or changes, on one gateway."""


@pytest.fixture(autouse=True)
def _wound(monkeypatch):
    on_wound_time(monkeypatch, "parkmeter")
    with logged():
        yield


def twins() -> tuple[MemoryPlane, MemoryPlane]:
    return MemoryPlane(memo=True), MemoryPlane(memo=False)


@pytest.mark.parametrize("number", range(4))
def test_pairs_behind_plain_prompts_come_out_the_same(number, record_property):
    scenes = 12 * TIMES
    for scene in range(scenes):
        check_scene(twins, pairs(Random(f"{SEED} pairs {number} {scene}"), OF_A_SCENE))
    record_property(CASES + "pairs with and without the memo", scenes * OF_A_SCENE)


@pytest.mark.parametrize("number", range(2))
def test_changes_among_prompts_have_effect_at_once(number, record_property):
    scenes = 8 * TIMES
    for scene in range(scenes):
        check_scene(twins, changes(Random(f"{SEED} changes {number} {scene}"), OF_A_SCENE))
    record_property(CASES + "changes with and without the memo", scenes * OF_A_SCENE)
