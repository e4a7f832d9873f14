"""English small change: articles, capitals, places in a phrase, and the ways people type."""

import re
from random import Random

from tools.demo_model.lexicon import (
    BARE_PLACES,
    THINGS,
    TOPICS,
    UNIQUE_PLACES,
    UNKNOWN_NOUNS,
    Place,
)

_CONSONANT_SOUNDS = ("uni", "use", "one", "ufo")
_VOWEL_SOUNDS = ("hour", "honest")
_TOO_SHORT_FOR_TYPOS = 3
_WORDS = tuple(word for word in (*THINGS, *UNKNOWN_NOUNS, *TOPICS) if word.isalpha())
_LEAD_INS = ("Please ", "please ", "Hi, ", "Hello, ", "ok ", "Now ", "Hey, ", "Question: ", "Q: ")
_ADD_ONS = (" please", " thanks", " Thank you.", " now", " for me", " in English", " ok?", " :)")


def chance(rng: Random, probability: float) -> bool:
    """Return true as often as `probability` says."""
    return rng.random() < probability


def capitalised(text: str) -> str:
    """Return `text` with its first letter in upper case, also behind an opening quote."""
    start = 1 if text.startswith('"') else 0
    return text[:start] + text[start : start + 1].upper() + text[start + 1 :]


def with_article(noun: str) -> str:
    """Return `noun` with the right one of "a" and "an"."""
    vowel = noun.startswith(_VOWEL_SOUNDS) or (
        noun[0] in "aeiou" and not noun.startswith(_CONSONANT_SOUNDS)
    )
    return f"an {noun}" if vowel else f"a {noun}"


def plural(noun: str) -> str:
    """Return the regular plural of `noun`, good enough for a prompt."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def there(place: Place, adjective: str = "") -> str:
    """Return the place as an answer speaks of it: "on the quiet island"."""
    if place.name in BARE_PLACES:
        return f"{place.preposition} {place.name}"
    return f"{place.preposition} the {adjective} {place.name}".replace("  ", " ")


def somewhere(place: Place, adjective: str, rng: Random) -> str:
    """Return the place as a prompt introduces it: "on a quiet island", or just "the sea"."""
    noun = f"{adjective} {place.name}".strip()
    if place.name in BARE_PLACES or place.name in UNIQUE_PLACES:
        return there(place, adjective)
    preposition = "in" if chance(rng, 0.08) else place.preposition
    if chance(rng, 0.65):
        return f"{preposition} {with_article(noun)}"
    return f"{preposition} the {noun}"


def fill(template: str, **values: str) -> str:
    """Fill the slots of `template`; a capital letter in a slot's name capitalises its value."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        text = values[name[0].lower() + name[1:]]
        return capitalised(text) if name[0].isupper() else text

    return re.sub(r"\{(\w+)\}", value, template)


def pseudo_word(rng: Random) -> str:
    """Return a word that means nothing, made from the beginning and the end of two others."""
    head, tail = rng.choice(_WORDS), rng.choice(_WORDS)
    return head[: rng.randint(2, 4)] + tail[-rng.randint(2, 4) :]


def as_typed(prompt: str, rng: Random) -> str:
    """Return `prompt` the way a hurried person might type it; most of the time unchanged."""
    if chance(rng, 0.15):
        prompt = rng.choice(_LEAD_INS) + prompt
    if chance(rng, 0.08):
        prompt = prompt + rng.choice(_ADD_ONS)
    if chance(rng, 0.25):
        prompt = prompt.rstrip(".?!")
    if chance(rng, 0.25):
        prompt = prompt.lower()
    elif chance(rng, 0.03):
        prompt = prompt.upper()
    if chance(rng, 0.08):
        prompt = with_typo(prompt, rng)
    return prompt


def with_typo(text: str, rng: Random) -> str:
    """Return `text` with one letter lost, doubled or swapped with the next."""
    if len(text) <= _TOO_SHORT_FOR_TYPOS:
        return text
    at = rng.randrange(1, len(text) - 2)
    match rng.randrange(3):
        case 0:
            return text[:at] + text[at + 1 :]
        case 1:
            return text[:at] + text[at] + text[at:]
        case _:
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
