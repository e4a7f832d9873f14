"""Measures the shipped model on combinations it was never trained on.

``python -m tools.demo_model.evaluate``

Prints one row per task. The targets are for greedy answers, which are the same every time; sampled
ones stand beside them. Exits with 1 when a target is missed. Needs only the base install.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import ctranslate2

from tools.demo_model.checks import WellFormedness, is_on_topic
from tools.demo_model.engine import ConvertedModel
from tools.demo_model.grammar import EXERCISE, TASKS, held_out_samples
from tools.demo_model.sample import Sample
from tools.demo_model.wording import as_typed

SHIPPED = Path(__file__).resolve().parents[2] / "src/parkmeter/model_server/demo"
ON_TOPIC_TARGET = 0.90
WELL_FORMED_TARGET = 0.95
SEED = 20_000


@dataclass(frozen=True, slots=True)
class Score:
    """Shares of answers; `on_topic` is None where no topic is asked for."""

    on_topic: float | None
    well_formed: float


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer and what the checks say about it."""

    sample: Sample
    answer: str
    on_topic: bool
    fault: str | None


def judge(
    samples: Sequence[Sample], model: ConvertedModel, temperature: float, rules: WellFormedness
) -> list[Judged]:
    """Let the model answer every sample, and judge the answers."""
    answers = model.answer([sample.prompt for sample in samples], temperature)
    return [
        Judged(sample, answer, is_on_topic(sample, answer), rules.fault(answer, sample.prompt))
        for sample, answer in zip(samples, answers, strict=True)
    ]


def score(judged: Sequence[Judged]) -> Score:
    """Return the shares of answers that are on topic and that are well-formed."""
    asked = [one.on_topic for one in judged if one.sample.mentions]
    well_formed = sum(one.fault is None for one in judged) / len(judged)
    return Score(sum(asked) / len(asked) if asked else None, well_formed)


def _row(name: str, *scores: Score) -> str:
    cells = []
    for one in scores:
        cells.append("-" if one.on_topic is None else f"{one.on_topic:.3f}")
        cells.append(f"{one.well_formed:.3f}")
    return f"| {name:<22} | " + " | ".join(f"{cell:>11}" for cell in cells) + " |"


def _meets_targets(total: Score) -> bool:
    return (total.on_topic or 0) >= ON_TOPIC_TARGET and total.well_formed >= WELL_FORMED_TARGET


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED, help="converted model folder")
    parser.add_argument("--count", type=int, default=100, help="samples per task")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--show-failures", type=int, default=0, metavar="N")
    options = parser.parse_args()
    ctranslate2.set_random_seed(SEED)
    model, rules = ConvertedModel(options.model), WellFormedness()
    greedy: list[Judged] = []
    sampled: list[Judged] = []
    temperature = f"at {options.temperature}"
    heads = ("on topic", "well-formed", f"on t. {temperature}", f"w-f. {temperature}")
    print(f"| {'unseen combinations':<22} | " + " | ".join(f"{head:>11}" for head in heads) + " |")
    print(f"|{'-' * 24}|" + f"{'-' * 12}:|" * len(heads))
    samples: list[Sample] = []
    for task in (task for task in TASKS if task != EXERCISE):
        samples_of_task = held_out_samples(task, options.count, SEED)
        greedy_of_task = judge(samples_of_task, model, 0.0, rules)
        sampled_of_task = judge(samples_of_task, model, options.temperature, rules)
        print(_row(task, score(greedy_of_task), score(sampled_of_task)))
        samples += samples_of_task
        greedy += greedy_of_task
        sampled += sampled_of_task
    totals = score(greedy), score(sampled)
    print(_row("all", *totals))
    rng = Random(SEED)
    typed = [replace(sample, prompt=as_typed(sample.prompt, rng)) for sample in samples]
    print(
        _row(
            "all, hastily typed",
            score(judge(typed, model, 0.0, rules)),
            score(judge(typed, model, options.temperature, rules)),
        )
    )
    failures = [one for one in greedy if one.fault or not one.on_topic]
    for one in failures[: options.show_failures]:
        print(f"\n{one.sample.prompt}\n  {one.answer}\n  {one.fault or 'off topic'}")
    return 0 if _meets_targets(totals[0]) else 1


if __name__ == "__main__":
    sys.exit(main())
