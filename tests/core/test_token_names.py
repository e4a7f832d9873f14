"""Names of tokens that look alike are one name."""

import pytest

from parkmeter.core.token_names import is_readable, likeness


@pytest.mark.parametrize(
    "twin",
    [
        "ADA",
        "\uff41\uff44\uff41",  # fullwidth
        "\u0430d\u0430",  # Cyrillic a
        "\u03b1da",  # Greek alpha
        "\U0001d41a\U0001d41d\U0001d41a",  # mathematical bold
    ],
)
def test_twins_of_a_name_are_alike(twin):
    assert likeness(twin) == likeness("ada")


def test_blanks_and_accents_written_in_two_ways_are_alike():
    assert likeness("ada  l\u00a0b") == likeness("ada l b")
    assert likeness("ren\u00e9") == likeness("rene\u0301")


@pytest.mark.parametrize("other", ["adb", "ada2", "ad", "ren\u00e9", "\u0412\u0435\u0440\u0430"])
def test_other_names_are_not(other):
    assert likeness(other) != likeness("ada")
    assert likeness(other) != likeness("rene")


@pytest.mark.parametrize(
    "name",
    [
        "ada\u200b",  # zero width space
        "ad\u00ada",  # soft hyphen
        "\u202eada",  # right-to-left override
        "ada\ufe0f",  # variation selector
        "\u3164",  # Hangul filler
        "\u2800",  # blank braille
        "ad\u034fa",  # grapheme joiner
        "\u0301ada",  # a mark on nothing
        "",
        "a" * 65,
        "ada\tb",
    ],
)
def test_what_cannot_be_seen_is_not_readable(name):
    assert not is_readable(name)


@pytest.mark.parametrize(
    "name", ["ada", "Ren\u00e9e O'Neil", "\u0412\u0435\u0440\u0430", "\u5f20\u4f1f", "ci/cd-1"]
)
def test_names_of_people_are(name):
    assert is_readable(name)
