"""The words and sentences of the grammar, read from the .toml files of this folder."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace


def _read(name: str) -> SimpleNamespace:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return SimpleNamespace(**tomllib.loads(text))


WORDS = _read("words.toml")
STORIES = _read("stories.toml")
WEATHER = _read("weather.toml")
ANSWERS = _read("answers.toml")
_FACTS = _read("facts.toml")


@dataclass(frozen=True, slots=True)
class Place:
    """A place where a story can happen, with three things to see there."""

    preposition: str
    name: str
    details: tuple[str, ...]

    @property
    def has_article(self) -> bool:
        """Return false for a place that goes by its name alone: "in space"."""
        return self.name not in WORDS.bare_places

    @property
    def is_unique(self) -> bool:
        """Return true for a place that never takes "a": "the sea"."""
        return self.name in WORDS.unique_places


@dataclass(frozen=True, slots=True)
class Being:
    """A person or an animal, with its pronoun as subject, object and possessive."""

    name: str
    pronoun: str
    pronoun_as_object: str
    possessive: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A group of questions with one answer, and the word that an answer must contain."""

    questions: tuple[str, ...]
    answer: str
    key: str


PLACES = tuple(Place(preposition, name, tuple(rest)) for preposition, name, *rest in WORDS.places)
ANIMALS = tuple(Being(name, "it", "it", "its") for name in WORDS.animals)
PEOPLE = tuple(Being(name, "she", "her", "her") for name in WORDS.she) + tuple(
    Being(name, "he", "him", "his") for name in WORDS.he
)
FACT_FRAMES = _FACTS.frames
FACTS = tuple(Fact((question,), answer, key) for question, answer, key in _FACTS.single) + tuple(
    Fact(
        tuple(question.format(left=left) for question in table["questions"]),
        table["answer"].format(left=left, right=right),
        right,
    )
    for table in _FACTS.tables
    for left, right in table["pairs"]
)
