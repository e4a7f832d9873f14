"""Stories and poems: draw the words, then fill a prompt and one line of each part of the plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from tools.demo_model.lexicon import ANIMALS, PEOPLE, PLACES, STORIES, WEATHER, WORDS, Being, Place
from tools.demo_model.sample import Sample
from tools.demo_model.wording import (
    chance,
    fill,
    plural,
    pseudo_word,
    somewhere,
    there,
    with_article,
)

# Lines to choose from for the opening, the middle and the ending, in this order.
Plot = Mapping[str, Sequence[str]]

_DAYS = ("day", "day", "morning", "evening", "night")
_TROPICAL_PLACES = frozenset({"island", "beach", "forest", "sea", "bay"})
_SKIES = [weather["adjective"] for weather in WEATHER.kinds]
_SKY_OPENINGS = [line for line in STORIES.being_openings if "{sky}" in line]


def _ask(topic: str, rng: Random, kinds: Sequence[str] | None = None) -> str:
    if kinds is None and chance(rng, 0.08):
        return fill(rng.choice(STORIES.short_asks), topic=topic)
    ask = rng.choice(STORIES.asks)
    kind, about = rng.choice(kinds or STORIES.kinds), rng.choice(STORIES.about)
    prompt = fill(ask, kind=kind, about=about, topic=topic)
    return prompt + rng.choice(STORIES.add_ons) if chance(rng, 0.06) else prompt


def _described(adjectives: Sequence[str], noun: str, rng: Random) -> str:
    return f"{rng.choice(adjectives)} {noun}" if chance(rng, 0.5) else noun


@dataclass(frozen=True, slots=True)
class _Scene:
    """The place and weather of a story; `asked` and `sky` are empty if the prompt has none."""

    place: Place
    asked: str
    at: str
    sky: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.place.name,) if self.asked else ()

    @property
    def mentions(self) -> tuple[tuple[str, ...], ...]:
        return tuple((word,) for word in (*self.names, self.sky) if word)

    def ask(self, topic: str, rng: Random, kinds: Sequence[str] | None = None) -> str:
        where = f" {self.asked}" if self.asked else ""
        when = f" on {with_article(self.sky)} {rng.choice(_DAYS)}" if self.sky else ""
        return _ask(f"{topic}{where}{when}", rng, kinds)


def _scene(rng: Random, asked_for: float, sky_asked_for: float = 0.0) -> _Scene:
    """Return a scene; the probabilities say how often the prompt names the place and the sky."""
    place = rng.choice(PLACES)
    sky = rng.choice(_SKIES) if chance(rng, sky_asked_for) else ""
    if not chance(rng, asked_for):
        return _Scene(place, "", there(place), sky)
    adjective = rng.choice(WORDS.place_adjectives) if chance(rng, 0.25) else ""
    asked = adjective
    if place.name in _TROPICAL_PLACES and chance(rng, 0.35):
        adjective, asked = "tropical", rng.choice(("tropical", "topical"))
    return _Scene(place, somewhere(place, asked, rng), there(place, adjective), sky)


def _being(rng: Random, but: str = "") -> Being:
    being = rng.choice(PEOPLE if chance(rng, 0.5) else ANIMALS)
    return being if being.name != but else _being(rng, but)


def _tell(plot: Plot, rng: Random, scene: _Scene, **words: str) -> str:
    """Draw one line from each part of the plot and fill it in."""
    places = (scene.at, there(scene.place), there(scene.place))
    details = rng.sample(scene.place.details, len(plot))
    return " ".join(
        fill(
            rng.choice(lines),
            at=at,
            detail=detail,
            sky=scene.sky or rng.choice(_SKIES),
            object=rng.choice(WORDS.objects),
            **words,
        )
        for lines, at, detail in zip(plot.values(), places, details, strict=True)
    )


def _tell_of(
    being: Being, rng: Random, scene: _Scene, hero: str = "", friend: Being | None = None
) -> str:
    """Tell a story of `being`, introduced as `hero`, with a friend or alone."""
    rest = STORIES.friend if friend else STORIES.find if chance(rng, 0.5) else STORIES.alone
    return _tell(
        {"openings": _SKY_OPENINGS if scene.sky else STORIES.being_openings, **rest},
        rng,
        scene,
        a=hero or with_article(being.name),
        s=f"the {being.name}",
        b=with_article(friend.name) if friend else "",
        p=being.pronoun,
        o=being.pronoun_as_object,
        h=being.possessive,
    )


def weather_story(rng: Random) -> Sample:
    """Return a story about the weather, nearly always in a named place."""
    weather = rng.choice(WEATHER.kinds)
    scene = _scene(rng, 0.9)
    plot = {"openings": weather["openings"], **WEATHER.moods[weather["mood"]]}
    return Sample(
        "weather story",
        scene.ask(rng.choice(weather["phrases"]), rng),
        _tell(plot, rng, scene, p=with_article(_being(rng).name)),
        (tuple(weather["mentions"]), *scene.mentions),
        (weather["phrases"][0], *scene.names),
    )


def being_story(rng: Random) -> Sample:
    """Return a story about one animal or person, alone or with a friend met on the way."""
    being = _being(rng)
    friend = _being(rng, but=being.name) if chance(rng, 0.5) else None
    scene = _scene(rng, 0.75, sky_asked_for=0.12)
    noun = _described(WORDS.being_adjectives, being.name, rng)
    topic = hero = with_article(noun)
    named: tuple[tuple[str, ...], ...] = ()
    match rng.choices(("one", "many", "the one", "named"), (72, 10, 6, 12))[0]:
        case "many":
            topic = rng.choice((plural(noun), f"two {plural(noun)}"))
        case "the one":
            topic = f"the {noun}"
        case "named":
            name = rng.choice(WORDS.names)
            topic = f"{hero} {rng.choice(('named', 'called', 'with the name'))} {name}"
            hero = f"{hero} named {name}"
            named = ((name,),)
    if chance(rng, 0.12):
        topic = f"{topic} {rng.choice(STORIES.clauses)}"
    return Sample(
        "being story",
        scene.ask(topic, rng),
        _tell_of(being, rng, scene, hero, friend),
        ((being.name,), *named, *scene.mentions),
        (being.name, *scene.names),
    )


def pair_story(rng: Random) -> Sample:
    """Return a story about two characters who meet."""
    first = _being(rng)
    second = _being(rng, but=first.name)
    scene = _scene(rng, 0.4)
    a = with_article(_described(WORDS.being_adjectives, first.name, rng))
    b = with_article(second.name)
    meeting = rng.choice(STORIES.meetings)
    topic = fill(meeting, a=a, b=b, h=first.possessive, second=second.name)
    return Sample(
        "pair story",
        scene.ask(topic, rng),
        _tell(STORIES.pair, rng, scene, a=a, b=b),
        ((first.name,), (second.name,), *scene.mentions),
        (first.name, second.name),
    )


def thing_story(rng: Random) -> Sample:
    """Return a story about a thing and the character who finds it."""
    thing = rng.choice(WORDS.things)
    finder = with_article(_being(rng).name)
    scene = _scene(rng, 0.7)
    noun = _described(WORDS.thing_adjectives, thing, rng)
    return Sample(
        "thing story",
        scene.ask(plural(noun) if chance(rng, 0.1) else with_article(noun), rng),
        _tell(STORIES.thing, rng, scene, a=with_article(noun), b=finder, s=f"the {thing}"),
        ((thing,), *scene.mentions),
        (thing, *scene.names),
    )


def topic_story(rng: Random) -> Sample:
    """Return a story about an abstract noun."""
    topic = rng.choice(WORDS.topics)
    hero = rng.choice(PEOPLE)
    a, b = with_article(hero.name), with_article(_being(rng, but=hero.name).name)
    scene = _scene(rng, 0.5)
    return Sample(
        "topic story",
        scene.ask(topic, rng),
        _tell(STORIES.topic, rng, scene, a=a, b=b, p=hero.pronoun, topic=topic),
        ((topic,), *scene.mentions),
        (topic, *scene.names),
    )


def place_story(rng: Random) -> Sample:
    """Return a story about a place and a character who lives there."""
    place, adjective = rng.choice(PLACES), rng.choice(WORDS.place_adjectives)
    being = _being(rng)
    friend = _being(rng, but=being.name) if chance(rng, 0.5) else None
    at = there(place, adjective)
    topic = at.removeprefix(f"{place.preposition} ")
    if place.has_article and not place.is_unique and chance(rng, 0.6):
        topic = with_article(topic.removeprefix("the "))
    return Sample(
        "place story",
        _ask(topic, rng),
        _tell_of(being, rng, _Scene(place, topic, at), friend=friend),
        ((place.name,),),
        (adjective, place.name),
    )


def unheard_of_story(rng: Random) -> Sample:
    """Return a story about a noun outside the grammar, treated as a thing."""
    scene = _scene(rng, 0.5)
    unheard = rng.choice(WORDS.unknown_nouns) if chance(rng, 0.3) else pseudo_word(rng)
    a = with_article(_described(WORDS.thing_adjectives, unheard, rng))
    finder = with_article(_being(rng).name)
    return Sample(
        "unheard of",
        scene.ask(a, rng),
        _tell(STORIES.thing, rng, scene, a=a, b=finder, s=f"the {unheard}"),
        ((unheard,), *scene.mentions),
        (unheard, scene.place.name),
    )


def strayed_story(rng: Random) -> Sample:
    """Return a prompt about a noun outside the grammar, with a story about a known character."""
    scene = _scene(rng, 0.5)
    unheard = rng.choice(WORDS.unknown_nouns) if chance(rng, 0.4) else pseudo_word(rng)
    topic = rng.choice((unheard, with_article(unheard), plural(unheard), unheard.capitalize()))
    return Sample(
        "strayed",
        scene.ask(topic, rng),
        _tell_of(_being(rng), rng, scene),
        scene.mentions,
        (unheard, scene.place.name),
    )


def open_story(rng: Random) -> Sample:
    """Return a story for a prompt that names no subject."""
    scene = _scene(rng, 0)
    ask = rng.choice(STORIES.open_asks)
    return Sample("open story", ask, _tell_of(_being(rng), rng, scene), (), (ask,))


def poem(rng: Random) -> Sample:
    """Return two rhyming lines, sometimes four."""
    scene = _scene(rng, 0.5)
    if chance(rng, 0.3):
        noun = x = topic = rng.choice(WORDS.topics)
    else:
        noun = _being(rng).name if chance(rng, 0.7) else rng.choice(WORDS.things)
        x, topic = f"the {noun}", rng.choice((with_article(noun), plural(noun), f"the {noun}"))
    lines = [fill(rng.choice(STORIES.couplets), x=x)]
    if scene.asked:
        lines.append(fill(rng.choice(STORIES.place_couplets), at=scene.at))
    return Sample(
        "poem",
        scene.ask(topic, rng, STORIES.poem_kinds),
        " ".join(lines),
        ((noun,), *scene.mentions),
        (noun, *scene.names),
    )
