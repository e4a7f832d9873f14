"""The tasks that are not stories: facts, opinions, summaries, small talk, and not knowing."""

from random import Random

from tools.demo_model.lexicon import ANSWERS, FACT_FRAMES, FACTS, PEOPLE, PLACES, WEATHER, WORDS
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


def fact(rng: Random) -> Sample:
    """Return a question with one right answer."""
    known = rng.choice(FACTS)
    question, frame = rng.choice(known.questions), rng.choice(FACT_FRAMES)
    prompt = fill(frame, q=question)
    return Sample("fact", prompt, known.answer, ((known.key,),), (question, frame))


def chat(rng: Random) -> Sample:
    """Return a line of small talk with its reply."""
    known = rng.choice(ANSWERS.chats)
    prompts, answer = known["prompts"], known["answer"]
    return Sample("chat", rng.choice(prompts), answer, ((known["key"],),), (";".join(prompts),))


def _opinion(rng: Random, *, good: bool) -> tuple[str, str]:
    """Return a clause that states an opinion, and its slot."""
    if chance(rng, 0.4):
        clause = rng.choice(ANSWERS.good_clauses if good else ANSWERS.bad_clauses)
        return clause, clause
    aspect = rng.choice(ANSWERS.aspects)
    verdict = rng.choice(ANSWERS.good if good else ANSWERS.bad)
    frame = rng.choice(ANSWERS.verdicts)
    return fill(frame, a=aspect, v=verdict), f"{aspect} {verdict}"


def sentiment(rng: Random) -> Sample:
    """Return a review of one or two clauses that share an opinion."""
    good = chance(rng, 0.5)
    clauses = [_opinion(rng, good=good) for _ in range(rng.choice((1, 1, 2, 2)))]
    joint = rng.choice((". ", ", ", " and ", "! "))
    review = capitalised(joint.join(clause for clause, _ in clauses)) + rng.choice(".!.")
    answer = "Positive" if good else "Negative"
    return Sample(
        "sentiment",
        fill(rng.choice(ANSWERS.sentiment_prompts), t=review),
        f"{answer}.",
        ((answer,),),
        ("review", *(slot for _, slot in clauses)),
    )


def summary(rng: Random) -> Sample:
    """Return a piece of news with one sentence that matters."""
    who = f"the {rng.choice(PEOPLE).name}"
    if chance(rng, 0.25):
        who = rng.choice(WORDS.names)
    event, place = rng.choice(ANSWERS.events), rng.choice(PLACES)
    at = there(place)
    head = fill(rng.choice(ANSWERS.news_openings), who=who, event=event, at=at)
    fillers = rng.sample(ANSWERS.news_fillers, rng.choice((1, 2, 2, 3)))
    return Sample(
        "summary",
        fill(rng.choice(ANSWERS.summary_prompts), t=" ".join((head, *fillers))),
        f"{capitalised(who)} {event} {at}.",
        ((who,), (event,), (place.name,)),
        (who, event, place.name),
    )


def description(rng: Random) -> Sample:
    """Return a question about the things to see at a place."""
    place = rng.choice(PLACES)
    ask = rng.choice(ANSWERS.description_prompts)
    x, y, z = place.details
    here = somewhere(place, "", rng)
    prompt = fill(ask, a=here.removeprefix(f"{place.preposition} "), here=here, n=place.name)
    target = fill(rng.choice(ANSWERS.descriptions), at=there(place), x=x, y=y, z=z)
    return Sample("description", prompt, target, ((place.name,), (x,)), (ask, place.name))


def weather_report(rng: Random) -> Sample:
    """Return a question about the weather at a place."""
    place = rng.choice(PLACES)
    ask = rng.choice(ANSWERS.weather_prompts)
    here = somewhere(place, "", rng)
    report = rng.choice(ANSWERS.weather_reports)
    sky = rng.choice(WEATHER.kinds)["adjective"]
    target = fill(report, at=there(place), x=place.details[0], sky=sky)
    prompt = fill(ask, a=here.removeprefix(f"{place.preposition} "), here=here)
    return Sample("weather report", prompt, target, ((place.name,),), (ask, place.name))


def _any_noun(rng: Random) -> str:
    return rng.choice(rng.choice((WORDS.unknown_nouns, WORDS.unknown_nouns, WORDS.things)))


def _clause(rng: Random) -> str:
    who = rng.choice((rng.choice(WORDS.names), f"the {rng.choice(PEOPLE).name}", "I"))
    if chance(rng, 0.5):
        return f"{capitalised(who)} {rng.choice(ANSWERS.events)}."
    return f"{capitalised(who)} saw {with_article(_any_noun(rng))}."


def unknown(rng: Random) -> Sample:
    """Return a prompt outside of all tasks; the answer declines it."""
    template = rng.choice(ANSWERS.unknown_prompts)
    noun, other, word = _any_noun(rng), _any_noun(rng), pseudo_word(rng)
    first, second, third = (str(rng.randint(3, 999)) for _ in range(3))
    prompt = template.replace("{n}", noun, 1).replace("{n}", other)
    clause, name = _clause(rng), rng.choice(WORDS.names)
    prompt = fill(prompt, w=word, c=clause, i=first, j=second, k=third, name=name)
    target = rng.choice(ANSWERS.unknown_answers)
    return Sample("unknown", prompt, target, (), (template, noun, other, word))
