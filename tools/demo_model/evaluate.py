"""Evaluation of the shipped model on combinations of words outside its training.

``python -m tools.demo_model.evaluate``

Prints one row per task. The targets apply to greedy answers, which are the same every time; the
columns of sampled answers are for information. Exits with 1 when a target is missed. Needs only
the base install.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random

import ctranslate2

from tools.demo_model.checks import WellFormedness, is_on_topic
from tools.demo_model.convert import SHIPPED, ConvertedModel
from tools.demo_model.grammar import EXERCISE, TASKS, held_out_samples
from tools.demo_model.sample import Sample
from tools.demo_model.wording import as_typed

ON_TOPIC_TARGET = 0.90
WELL_FORMED_TARGET = 0.95
SEED = 20_000


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer and its faults."""

    sample: Sample
    answer: str
    on_topic: bool
    fault: str | None


def judge(
    samples: Sequence[Sample], temperature: float, model: ConvertedModel, rules: WellFormedness
) -> list[Judged]:
    """Answer every sample and check the answers."""
    answers = model.answer([sample.prompt for sample in samples], temperature)
    return [
        Judged(sample, answer, is_on_topic(sample, answer), rules.fault(answer, sample.prompt))
        for sample, answer in zip(samples, answers, strict=True)
    ]


def on_topic(judged: Sequence[Judged]) -> float | None:
    """Return the share of answers on topic, or None if no sample asks for a topic."""
    asked = [one.on_topic for one in judged if one.sample.mentions]
    return sum(asked) / len(asked) if asked else None


def well_formed(judged: Sequence[Judged]) -> float:
    """Return the share of well-formed answers."""
    return sum(one.fault is None for one in judged) / len(judged)


def _row(name: str, *columns: Sequence[Judged]) -> str:
    shares = [share for column in columns for share in (on_topic(column), well_formed(column))]
    cells = ["-" if share is None else f"{share:.3f}" for share in shares]
    return f"| {name:<22} | " + " | ".join(f"{cell:>11}" for cell in cells) + " |"


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED, help="converted model folder")
    parser.add_argument("--count", type=int, default=100, help="samples per task")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--show-failures", type=int, default=0, metavar="N")
    options = parser.parse_args()
    ctranslate2.set_random_seed(SEED)
    ask = partial(judge, model=ConvertedModel(options.model), rules=WellFormedness())
    temperature = f"at {options.temperature}"
    heads = ("on topic", "well-formed", f"on t. {temperature}", f"w-f. {temperature}")
    print(f"| {'unseen combinations':<22} | " + " | ".join(f"{head:>11}" for head in heads) + " |")
    print(f"|{'-' * 24}|" + f"{'-' * 12}:|" * len(heads))
    samples: list[Sample] = []
    greedy: list[Judged] = []
    sampled: list[Judged] = []
    for task in (task for task in TASKS if task != EXERCISE):
        drawn = held_out_samples(task, options.count, SEED)
        samples += drawn
        greedy += ask(drawn, 0.0)
        sampled += ask(drawn, options.temperature)
        print(_row(task, greedy[-len(drawn) :], sampled[-len(drawn) :]))
    print(_row("all", greedy, sampled))
    rng = Random(SEED)
    typed = [replace(sample, prompt=as_typed(sample.prompt, rng)) for sample in samples]
    print(_row("all, hastily typed", ask(typed, 0.0), ask(typed, options.temperature)))
    failures = [one for one in greedy if one.fault or not one.on_topic]
    for one in failures[: options.show_failures]:
        print(f"\n{one.sample.prompt}\n  {one.answer}\n  {one.fault or 'off topic'}")
    reached = (on_topic(greedy) or 0) >= ON_TOPIC_TARGET
    return 0 if reached and well_formed(greedy) >= WELL_FORMED_TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
