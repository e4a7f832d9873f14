"""The whole grammar: an endless, reproducible stream of training or evaluation samples."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from random import Random

from tools.demo_model import answers, stories
from tools.demo_model.sample import Sample
from tools.demo_model.wording import as_typed

Maker = Callable[[Random], Sample]

# Copying an invented word is practice for copying real ones; the finished model need not do it.
EXERCISE = "unheard of"
# The opposite, for the finished model: leave the unknown word alone.
STRAYED = "strayed"
# The weight of each task in a draw: tasks with many words to learn have more.
TASKS: dict[str, tuple[Maker, int]] = {
    "weather story": (stories.weather_story, 12),
    "being story": (stories.being_story, 20),
    "pair story": (stories.pair_story, 9),
    "thing story": (stories.thing_story, 12),
    "topic story": (stories.topic_story, 6),
    "place story": (stories.place_story, 5),
    EXERCISE: (stories.unheard_of_story, 8),
    STRAYED: (stories.strayed_story, 8),
    "open story": (stories.open_story, 1),
    "poem": (stories.poem, 5),
    "fact": (answers.fact, 10),
    "chat": (answers.chat, 2),
    "sentiment": (answers.sentiment, 7),
    "summary": (answers.summary, 9),
    "description": (answers.description, 3),
    "weather report": (answers.weather_report, 2),
    "unknown": (answers.unknown, 5),
}

_WITHOUT_COMBINATIONS = frozenset({"open story", "chat"})


def training_samples(
    seed: int, emphasised: Collection[str] = (), left_out: Collection[str] = ()
) -> Iterator[Sample]:
    """Yield samples without end, with prompts as typed by people, none of them held out.

    Tasks in `emphasised` are drawn twice as often, tasks in `left_out` never.
    """
    rng = Random(seed)
    makers = [maker for maker, _ in TASKS.values()]
    weights = [
        0 if task in left_out else weight * (1 + (task in emphasised))
        for task, (_, weight) in TASKS.items()
    ]
    while True:
        sample = rng.choices(makers, weights)[0](rng)
        if not sample.held_out:
            yield replace(sample, prompt=as_typed(sample.prompt, rng))


def held_out_samples(task: str, count: int, seed: int) -> list[Sample]:
    """Return `count` samples of `task` whose combinations of words are never trained on.

    A task without combinations, for example small talk, gives ordinary samples.
    """
    rng = Random(f"{task} {seed}")
    maker = TASKS[task][0]
    samples: list[Sample] = []
    while len(samples) < count:
        sample = maker(rng)
        if sample.held_out or task in _WITHOUT_COMBINATIONS:
            samples.append(sample)
    return samples
