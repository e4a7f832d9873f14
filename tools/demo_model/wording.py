"""English spelling and grammar: articles, plurals, phrases of place, and prompts as typed."""

import re
from random import Random

from tools.demo_model.lexicon import WORDS, Place

_CONSONANT_SOUNDS = ("uni", "use", "one", "ufo")
_VOWEL_SOUNDS = ("hour", "honest")
_TOO_SHORT_FOR_TYPOS = 3
_ROOTS = [w for w in (*WORDS.things, *WORDS.unknown_nouns, *WORDS.topics) if w.isalpha()]


def chance(rng: Random, probability: float) -> bool:
    """Return true with this probability."""
    return rng.random() < probability


def capitalised(text: str) -> str:
    """Return `text` with its first letter in upper case, also after an opening quote."""
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
    """Return the place as an answer names it: "on the quiet island"."""
    if not place.has_article:
        return f"{place.preposition} {place.name}"
    return f"{place.preposition} the {adjective} {place.name}".replace("  ", " ")


def somewhere(place: Place, adjective: str, rng: Random) -> str:
    """Return the place as a prompt introduces it: "on a quiet island", or "in the sea"."""
    noun = f"{adjective} {place.name}".strip()
    if place.is_unique or not place.has_article:
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
    """Return an invented word: the beginning of one real word and the end of another."""
    head, tail = rng.choice(_ROOTS), rng.choice(_ROOTS)
    return head[: rng.randint(2, 4)] + tail[-rng.randint(2, 4) :]


def as_typed(prompt: str, rng: Random) -> str:
    """Return `prompt` as if typed in a hurry; most of the time unchanged."""
    if chance(rng, 0.15):
        prompt = rng.choice(WORDS.lead_ins) + prompt
    if chance(rng, 0.08):
        prompt = prompt + rng.choice(WORDS.add_ons)
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
