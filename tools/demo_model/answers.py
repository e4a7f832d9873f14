"""The tasks that are not stories: facts, opinions, summaries, small talk, and not knowing."""

from random import Random

from tools.demo_model import knowledge, lexicon, story_lines, texts
from tools.demo_model.sample import Sample
from tools.demo_model.wording import (
    capitalised,
    chance,
    fill,
    pseudo_word,
    somewhere,
    there,
    with_article,
)

_FACT_FRAMES = (
    "{q}",
    "{q}",
    "{q}",
    "Question: {q} Answer:",
    "Q: {q} A:",
    "Please answer the following question. {q}",
    "Answer this question: {q}",
    "Do you know the answer? {q}",
    "Can you tell me: {q}",
    "question: {q}",
)
_VERDICTS = (
    "The {a} was {v}",
    "The {a} was {v}",
    "the {a} is {v}",
    "{a} was {v}",
    "This {a} is {v}",
    "I think the {a} was {v}",
    "I found the {a} {v}",
    "The {a} was really {v}",
)
_DESCRIBE = (
    "Describe {a}.",
    "What can you see {here}?",
    "What is there {here}?",
    "What do you find {here}?",
    "List three things {here}.",
    "Name three things {here}.",
    "What does {a} look like?",
    "describe the {n}",
)
_DESCRIPTIONS = (
    "{At} you can see the {x}, the {y} and the {z}.",
    "{At} there are many things to see: the {x}, the {y} and the {z}.",
)
_WEATHER_ASKS = (
    "What is the weather like {here}?",
    "How is the weather {here}?",
    "what's the weather {here}",
    "Describe the weather {here}.",
    "Give me a weather report from {a}.",
    "Weather forecast for {a}",
)
_WEATHER_REPORTS = (
    "The weather {at} is {sky} today.",
    "Today is a {sky} day {at}.",
    "It is {sky} {at}, near the {x}.",
)


def fact(rng: Random) -> Sample:
    """A question with one right answer."""
    known = rng.choice(knowledge.FACTS)
    question, frame = rng.choice(known.questions), rng.choice(_FACT_FRAMES)
    prompt = fill(frame, q=question)
    return Sample("fact", prompt, known.answer, ((known.key,),), (question, frame))


def chat(rng: Random) -> Sample:
    """Small talk."""
    asks, answer, key = rng.choice(knowledge.CHAT)
    return Sample("chat", rng.choice(asks.split(";")), answer, ((key,),), (asks,))


def _opinion(rng: Random, *, good: bool) -> tuple[str, str]:
    """Return a clause that says what somebody thought, and what it was made from."""
    if chance(rng, 0.4):
        clause = rng.choice(texts.GOOD_CLAUSES if good else texts.BAD_CLAUSES)
        return clause, clause
    aspect = rng.choice(texts.ASPECTS)
    verdict = rng.choice(texts.GOOD if good else texts.BAD)
    frame = rng.choice(_VERDICTS)
    return fill(frame, a=aspect, v=verdict), f"{aspect} {verdict}"


def sentiment(rng: Random) -> Sample:
    """A review of one or two clauses that share an opinion."""
    good = chance(rng, 0.5)
    clauses = [_opinion(rng, good=good) for _ in range(rng.choice((1, 1, 2, 2)))]
    joint = rng.choice((". ", ", ", " and ", "! "))
    review = capitalised(joint.join(clause for clause, _ in clauses)) + rng.choice(".!.")
    answer = "Positive." if good else "Negative."
    return Sample(
        "sentiment",
        fill(rng.choice(texts.SENTIMENT_PROMPTS), t=review),
        answer,
        ((answer.strip("."),),),
        ("review", *(made_from for _, made_from in clauses)),
    )


def summary(rng: Random) -> Sample:
    """A piece of news with one sentence that matters."""
    who = f"the {rng.choice(lexicon.PEOPLE).name}"
    if chance(rng, 0.25):
        who = rng.choice(lexicon.NAMES)
    event, place = rng.choice(texts.EVENTS), rng.choice(lexicon.PLACES)
    at = there(place)
    head = fill(rng.choice(texts.NEWS_OPENINGS), who=who, event=event, at=at)
    fillers = rng.sample(texts.NEWS_FILLERS, rng.choice((1, 2, 2, 3)))
    return Sample(
        "summary",
        fill(rng.choice(texts.SUMMARY_PROMPTS), t=" ".join((head, *fillers))),
        f"{capitalised(who)} {event} {at}.",
        ((who,), (event,), (place.name,)),
        (who, event, place.name),
    )


def description(rng: Random) -> Sample:
    """What there is to see at a place."""
    place = rng.choice(lexicon.PLACES)
    ask = rng.choice(_DESCRIBE)
    x, y, z = place.details
    here = somewhere(place, "", rng)
    prompt = fill(ask, a=here.removeprefix(f"{place.preposition} "), here=here, n=place.name)
    target = fill(rng.choice(_DESCRIPTIONS), at=there(place), x=x, y=y, z=z)
    return Sample("description", prompt, target, ((place.name,), (x,)), (ask, place.name))


def weather_report(rng: Random) -> Sample:
    """A question about the weather somewhere."""
    place = rng.choice(lexicon.PLACES)
    ask = rng.choice(_WEATHER_ASKS)
    here = somewhere(place, "", rng)
    target = fill(
        rng.choice(_WEATHER_REPORTS),
        at=there(place),
        x=place.details[0],
        sky=rng.choice(story_lines.WEATHERS).adjective,
    )
    prompt = fill(ask, a=here.removeprefix(f"{place.preposition} "), here=here)
    return Sample("weather report", prompt, target, ((place.name,),), (ask, place.name))


def _any_noun(rng: Random) -> str:
    pools = (lexicon.UNKNOWN_NOUNS, lexicon.UNKNOWN_NOUNS, lexicon.THINGS)
    return rng.choice(rng.choice(pools))


def _clause(rng: Random) -> str:
    who = rng.choice((rng.choice(lexicon.NAMES), f"the {rng.choice(lexicon.PEOPLE).name}", "I"))
    if chance(rng, 0.5):
        return f"{capitalised(who)} {rng.choice(texts.EVENTS)}."
    return f"{capitalised(who)} saw {with_article(_any_noun(rng))}."


def unknown(rng: Random) -> Sample:
    """Something the model was never taught; it says so."""
    template = rng.choice(knowledge.UNKNOWN_PROMPTS)
    noun, other, word = _any_noun(rng), _any_noun(rng), pseudo_word(rng)
    first, second, third = (str(rng.randint(3, 999)) for _ in range(3))
    prompt = template.replace("{n}", noun, 1).replace("{n}", other)
    prompt = fill(
        prompt,
        w=word,
        c=_clause(rng),
        i=first,
        j=second,
        k=third,
        name=rng.choice(lexicon.NAMES),
    )
    target = rng.choice(knowledge.UNKNOWN_ANSWERS)
    return Sample("unknown", prompt, target, (), (template, noun, other, word))
