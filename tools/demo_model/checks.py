"""Checks of an answer: on topic, and well-formed English.

Well-formed means: whole sentences with capital letters and final marks, quotes that close, the
right "a" or "an", no repeated sentence or word, only words of the grammar, and outside of nouns,
names and adjectives only pairs of neighbours that the grammar produces.
"""

import re
from collections.abc import Iterable
from itertools import islice, pairwise

from tools.demo_model.grammar import EXERCISE, training_samples
from tools.demo_model.lexicon import ANIMALS, FACTS, PEOPLE, PLACES, WORDS
from tools.demo_model.sample import Sample
from tools.demo_model.wording import with_article

MOST_SENTENCES = 5
_WORD = re.compile(r"[A-Za-z0-9'-]+")
_SENTENCE = re.compile(r'.+?[.!?]"?(?=\s+["A-Z0-9]|$)')
_SMALL_BEGINNING = re.compile(r"[.!?] +[a-z]|^[a-z]")
_SAMPLES_READ = 40_000


def is_on_topic(sample: Sample, answer: str) -> bool:
    """Return whether `answer` mentions everything that the sample asks for."""
    return all(
        any(re.search(rf"\b{re.escape(word)}(s|es)?\b", answer, re.IGNORECASE) for word in group)
        for group in sample.mentions
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _slot_words() -> Iterable[str]:
    phrases = [being.name for being in (*ANIMALS, *PEOPLE)]
    for place in PLACES:
        phrases += [place.preposition, place.name, *place.details]
    phrases += [*WORDS.things, *WORDS.topics, *WORDS.names, *WORDS.objects, *WORDS.unknown_nouns]
    phrases += [*WORDS.being_adjectives, *WORDS.thing_adjectives, *WORDS.place_adjectives]
    for phrase in phrases:
        yield from _words(phrase)


class WellFormedness:
    """The words of the grammar and their neighbours, as rules for an answer."""

    def __init__(self) -> None:
        self._slots = frozenset(_slot_words()) - {"a", "an", "of", "the", "without"}
        self._words: set[str] = set(self._slots)
        self._neighbours: set[tuple[str, str]] = set()
        # Invented nouns are no vocabulary: they are valid only if the prompt contains them.
        samples = islice(training_samples(0, left_out=(EXERCISE,)), _SAMPLES_READ)
        targets = [sample.target for sample in samples]
        targets += [fact.answer for fact in FACTS]
        for target in targets:
            for sentence in _SENTENCE.findall(target):
                words = _words(sentence)
                self._words.update(words)
                self._neighbours.update(pairwise(words))

    def fault(self, answer: str, prompt: str = "") -> str | None:
        """Return the first fault of `answer`, or None if it is well-formed.

        Words of the prompt are valid even if the grammar does not have them.
        """
        given = frozenset(_words(prompt)) - self._words
        sentences = [sentence.strip() for sentence in _SENTENCE.findall(answer)]
        if not sentences or " ".join(sentences) != answer:
            return "unfinished"
        if _SMALL_BEGINNING.search(answer):
            return "a sentence begins small"
        if len(sentences) > MOST_SENTENCES or len(set(sentences)) < len(sentences):
            return "too many sentences, or one of them twice"
        if answer.count('"') % 2:
            return "a quote stays open"
        faults = (self._fault_of_words(_words(sentence), given) for sentence in sentences)
        return next((fault for fault in faults if fault), None)

    def _fault_of_words(self, words: list[str], given: frozenset[str]) -> str | None:
        unknown = [word for word in words if word not in self._words | given]
        if unknown:
            return f"unknown words: {', '.join(unknown)}"
        for left, right in pairwise(words):
            pair = f"{left} {right}"
            if left in {"a", "an"} and with_article(right) != pair:
                return f"wrong article: {pair}"
            if left == right:
                return f"twice the same word: {pair}"
            known = (left, right) in self._neighbours
            if not known and not {left, right} & (self._slots | given):
                return f"strange neighbours: {pair}"
        return None
