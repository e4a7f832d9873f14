"""Stories and poems: which words are drawn, how they are asked for, and what is told."""

from dataclasses import dataclass
from random import Random

from tools.demo_model import asks, lexicon, story_lines
from tools.demo_model.lexicon import Being, Place
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

_OBJECT_FORMS = {"it": "it", "she": "her", "he": "him"}
_POSSESSIVES = {"it": "its", "she": "her", "he": "his"}
_DAYS = ("day", "day", "morning", "evening", "night")
_TROPICAL_PLACES = frozenset({"island", "beach", "forest", "sea", "bay"})
_THING_PLOT = (
    story_lines.THING_OPENINGS,
    story_lines.THING_MIDDLES,
    story_lines.THING_ENDINGS,
)
_SKIES = tuple(weather.adjective for weather in story_lines.WEATHERS)


def _ask(topic: str, rng: Random, kinds: tuple[str, ...] = asks.KINDS) -> str:
    if kinds is asks.KINDS and chance(rng, 0.08):
        return fill(rng.choice(asks.SHORT_ASKS), topic=topic)
    prompt = fill(
        rng.choice(asks.ASKS), kind=rng.choice(kinds), about=rng.choice(asks.ABOUT), topic=topic
    )
    return prompt + rng.choice(asks.ADD_ONS) if chance(rng, 0.06) else prompt


def _described(adjectives: tuple[str, ...], noun: str, rng: Random) -> str:
    return f"{rng.choice(adjectives)} {noun}" if chance(rng, 0.5) else noun


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where and in what weather a story happens, as far as the prompt says so."""

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

    def ask(self, topic: str, rng: Random, kinds: tuple[str, ...] = asks.KINDS) -> str:
        where = f" {self.asked}" if self.asked else ""
        when = f" on {with_article(self.sky)} {rng.choice(_DAYS)}" if self.sky else ""
        return _ask(f"{topic}{where}{when}", rng, kinds)


def _scene(rng: Random, asked_for: float, sky_asked_for: float = 0.0) -> _Scene:
    """Return a scene; `asked_for` is how often the prompt names the place."""
    place = rng.choice(lexicon.PLACES)
    sky = rng.choice(_SKIES) if chance(rng, sky_asked_for) else ""
    if not chance(rng, asked_for):
        return _Scene(place, "", there(place), sky)
    adjective = rng.choice(lexicon.PLACE_ADJECTIVES) if chance(rng, 0.25) else ""
    asked = adjective
    if place.name in _TROPICAL_PLACES and chance(rng, 0.35):
        adjective, asked = "tropical", rng.choice(("tropical", "topical"))
    return _Scene(place, somewhere(place, asked, rng), there(place, adjective), sky)


def _someone(rng: Random, but: str = "") -> Being:
    beings = lexicon.PEOPLE if chance(rng, 0.5) else lexicon.ANIMALS
    being = rng.choice(beings)
    return being if being.name != but else _someone(rng, but)


def _tell(plot: tuple[tuple[str, ...], ...], rng: Random, scene: _Scene, **words: str) -> str:
    """Draw one line from each part of the plot and fill it in."""
    places = (scene.at, there(scene.place), there(scene.place))
    details = rng.sample(scene.place.details, len(plot))
    return " ".join(
        fill(
            rng.choice(lines),
            at=at,
            detail=detail,
            sky=scene.sky or rng.choice(_SKIES),
            object=rng.choice(lexicon.OBJECTS),
            **words,
        )
        for lines, at, detail in zip(plot, places, details, strict=True)
    )


def _tell_of(
    being: Being, rng: Random, scene: _Scene, hero: str = "", friend: Being | None = None
) -> str:
    """Tell what happened to `being`, first mentioned as `hero`, with a friend or alone."""
    if friend:
        rest = (story_lines.FRIEND_MIDDLES, story_lines.FRIEND_ENDINGS)
    elif chance(rng, 0.5):
        rest = (story_lines.FIND_MIDDLES, story_lines.FIND_ENDINGS)
    else:
        rest = (story_lines.ALONE_MIDDLES, story_lines.ALONE_ENDINGS)
    return _tell(
        (story_lines.SKY_OPENINGS if scene.sky else story_lines.BEING_OPENINGS, *rest),
        rng,
        scene,
        a=hero or with_article(being.name),
        s=f"the {being.name}",
        b=with_article(friend.name) if friend else "",
        p=being.pronoun,
        o=_OBJECT_FORMS[being.pronoun],
        h=_POSSESSIVES[being.pronoun],
    )


def weather_story(rng: Random) -> Sample:
    """A story about the weather, nearly always somewhere."""
    weather = rng.choice(story_lines.WEATHERS)
    scene = _scene(rng, 0.9)
    plot = (
        weather.openings,
        story_lines.WEATHER_MIDDLES[weather.mood],
        story_lines.WEATHER_ENDINGS[weather.mood],
    )
    return Sample(
        "weather story",
        scene.ask(rng.choice(weather.phrases), rng),
        _tell(plot, rng, scene, p=with_article(_someone(rng).name)),
        (weather.mentions, *scene.mentions),
        (weather.phrases[0], *scene.names),
    )


def being_story(rng: Random) -> Sample:
    """A story about one animal or person, alone or with a friend met on the way."""
    being = _someone(rng)
    friend = _someone(rng, but=being.name) if chance(rng, 0.5) else None
    scene = _scene(rng, 0.75, sky_asked_for=0.12)
    noun = _described(lexicon.BEING_ADJECTIVES, being.name, rng)
    hero = with_article(noun)
    topic = hero
    named: tuple[tuple[str, ...], ...] = ()
    match rng.choices(("one", "many", "the one", "named"), (72, 10, 6, 12))[0]:
        case "many":
            topic = rng.choice((plural(noun), f"two {plural(noun)}"))
        case "the one":
            topic = f"the {noun}"
        case "named":
            name = rng.choice(lexicon.NAMES)
            topic = f"{hero} {rng.choice(('named', 'called', 'with the name'))} {name}"
            hero = f"{hero} named {name}"
            named = ((name,),)
    if chance(rng, 0.12):
        topic = f"{topic} {rng.choice(asks.WHO)}"
    return Sample(
        "being story",
        scene.ask(topic, rng),
        _tell_of(being, rng, scene, hero, friend),
        ((being.name,), *named, *scene.mentions),
        (being.name, *scene.names),
    )


def pair_story(rng: Random) -> Sample:
    """A story about two who meet."""
    first = _someone(rng)
    second = _someone(rng, but=first.name)
    scene = _scene(rng, 0.4)
    a = with_article(_described(lexicon.BEING_ADJECTIVES, first.name, rng))
    b = with_article(second.name)
    topic = fill(
        rng.choice(asks.MEETINGS), a=a, b=b, h=_POSSESSIVES[first.pronoun], second=second.name
    )
    plot = (story_lines.PAIR_OPENINGS, story_lines.PAIR_MIDDLES, story_lines.PAIR_ENDINGS)
    return Sample(
        "pair story",
        scene.ask(topic, rng),
        _tell(plot, rng, scene, a=a, b=b),
        ((first.name,), (second.name,), *scene.mentions),
        (first.name, second.name),
    )


def thing_story(rng: Random) -> Sample:
    """A story about a thing and whoever finds it."""
    thing = rng.choice(lexicon.THINGS)
    finder = with_article(_someone(rng).name)
    scene = _scene(rng, 0.7)
    noun = _described(lexicon.THING_ADJECTIVES, thing, rng)
    return Sample(
        "thing story",
        scene.ask(plural(noun) if chance(rng, 0.1) else with_article(noun), rng),
        _tell(_THING_PLOT, rng, scene, a=with_article(noun), b=finder, s=f"the {thing}"),
        ((thing,), *scene.mentions),
        (thing, *scene.names),
    )


def topic_story(rng: Random) -> Sample:
    """A story about something one cannot touch."""
    topic = rng.choice(lexicon.TOPICS)
    hero = rng.choice(lexicon.PEOPLE)
    friend = with_article(_someone(rng, but=hero.name).name)
    scene = _scene(rng, 0.5)
    plot = (story_lines.TOPIC_OPENINGS, story_lines.TOPIC_MIDDLES, story_lines.TOPIC_ENDINGS)
    return Sample(
        "topic story",
        scene.ask(topic, rng),
        _tell(plot, rng, scene, a=with_article(hero.name), b=friend, p=hero.pronoun, topic=topic),
        ((topic,), *scene.mentions),
        (topic, *scene.names),
    )


def place_story(rng: Random) -> Sample:
    """A story about a place, whoever may live there."""
    place, adjective = rng.choice(lexicon.PLACES), rng.choice(lexicon.PLACE_ADJECTIVES)
    being = _someone(rng)
    friend = _someone(rng, but=being.name) if chance(rng, 0.5) else None
    at = there(place, adjective)
    topic = at.removeprefix(f"{place.preposition} ")
    if place.name not in lexicon.UNIQUE_PLACES | lexicon.BARE_PLACES and chance(rng, 0.6):
        topic = with_article(topic.removeprefix("the "))
    return Sample(
        "place story",
        _ask(topic, rng),
        _tell_of(being, rng, _Scene(place, topic, at), friend=friend),
        ((place.name,),),
        (adjective, place.name),
    )


def unheard_of_story(rng: Random) -> Sample:
    """A story about something the grammar has no word for; it is taken for a thing."""
    scene = _scene(rng, 0.5)
    unheard = rng.choice(lexicon.UNKNOWN_NOUNS) if chance(rng, 0.3) else pseudo_word(rng)
    noun = _described(lexicon.THING_ADJECTIVES, unheard, rng)
    finder = with_article(_someone(rng).name)
    return Sample(
        "unheard of",
        scene.ask(with_article(noun), rng),
        _tell(_THING_PLOT, rng, scene, a=with_article(noun), b=finder, s=f"the {unheard}"),
        ((unheard,), *scene.mentions),
        (unheard, scene.place.name),
    )


def strayed_story(rng: Random) -> Sample:
    """A story about something the grammar has no word for, told well about somebody else."""
    scene = _scene(rng, 0.5)
    unheard = rng.choice(lexicon.UNKNOWN_NOUNS) if chance(rng, 0.4) else pseudo_word(rng)
    topic = rng.choice((unheard, with_article(unheard), plural(unheard), unheard.capitalize()))
    return Sample(
        "strayed",
        scene.ask(topic, rng),
        _tell_of(_someone(rng), rng, scene),
        scene.mentions,
        (unheard, scene.place.name),
    )


def open_story(rng: Random) -> Sample:
    """A story about anything."""
    scene = _scene(rng, 0)
    ask = rng.choice(asks.OPEN_ASKS)
    return Sample("open story", ask, _tell_of(_someone(rng), rng, scene), (), (ask,))


def poem(rng: Random) -> Sample:
    """Two rhyming lines, sometimes four."""
    scene = _scene(rng, 0.5)
    if chance(rng, 0.3):
        noun = x = topic = rng.choice(lexicon.TOPICS)
    else:
        noun = _someone(rng).name if chance(rng, 0.7) else rng.choice(lexicon.THINGS)
        x, topic = f"the {noun}", rng.choice((with_article(noun), plural(noun), f"the {noun}"))
    lines = [fill(rng.choice(story_lines.COUPLETS), x=x)]
    if scene.asked:
        lines.append(fill(rng.choice(story_lines.PLACE_COUPLETS), at=scene.at))
    return Sample(
        "poem",
        scene.ask(topic, rng, asks.POEM_KINDS),
        " ".join(lines),
        ((noun,), *scene.mentions),
        (noun, *scene.names),
    )
