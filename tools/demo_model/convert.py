"""Conversion of the trained model to the shipped one, refused if the probabilities change.

``python -m tools.demo_model.convert --model build/demo-model``

Needs no torch: the trained folder holds the first-token probabilities of the original. Greedy text
can look right while the scale of the logits is wrong and all sampled text is noise; the
distribution of the first token shows it at once.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ctranslate2
import numpy as np
from tokenizers import Tokenizer

from parkmeter.model_server.conversion import convert

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = REPOSITORY / "src/parkmeter/model_server/demo"
REFERENCE = REPOSITORY / "tests/data/demo_model_first_token.json"
FIRST_TOKENS = "first_tokens.json"
PROMPTS = Path(__file__).with_name("first_token_prompts.txt").read_text("utf-8").splitlines()
# The largest accepted distance. 8-bit weights alone cost a few hundredths; a wrong scale costs
# more than a half.
FARTHEST = 0.1
TOP = 20
BATCH = 32
LONGEST_ANSWER = 80

# The most likely first tokens of one prompt and their probabilities.
Distribution = Mapping[str, float]


class ConvertedModel:
    """A converted model on one thread of the processor, run by the product's own engine."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._vocabulary = self._tokenizer.get_vocab()
        self._translator = ctranslate2.Translator(str(folder), device="cpu", intra_threads=1)

    def answer(self, prompts: Sequence[str], temperature: float = 0.0) -> Iterator[str]:
        """Yield one answer per prompt; temperature 0 always takes the likeliest token."""
        for start in range(0, len(prompts), BATCH):
            encodings = self._tokenizer.encode_batch(list(prompts[start : start + BATCH]))
            results = self._translator.translate_batch(
                [encoding.tokens for encoding in encodings],
                beam_size=1,
                sampling_topk=0 if temperature else 1,
                sampling_temperature=temperature or 1.0,
                max_decoding_length=LONGEST_ANSWER,
            )
            for result in results:
                tokens = result.hypotheses[0]
                yield self._tokenizer.decode([self._vocabulary[token] for token in tokens])

    def first_token(self, prompt: str) -> dict[str, float]:
        """Return the probability of every token to be the first of the answer."""
        (result,) = self._translator.translate_batch(
            [self._tokenizer.encode(prompt).tokens],
            beam_size=1,
            max_decoding_length=1,
            return_logits_vocab=True,
        )
        logits = np.array(result.logits[0][0], dtype=np.float64)
        weights = np.exp(logits - logits.max())
        names = sorted(self._vocabulary, key=lambda name: self._vocabulary[name])
        return dict(zip(names, (weights / weights.sum()).tolist(), strict=True))


def top_tokens(tokens: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    """Return the most likely tokens with their rounded probabilities, most likely first."""
    ranked = sorted(zip(tokens, probabilities, strict=True), key=lambda pair: -pair[1])
    return {token: round(probability, 5) for token, probability in ranked[:TOP]}


def distance(original: Distribution, other: Distribution) -> float:
    """Return the total variation distance; all tokens outside `original` count as one.

    `other` has probabilities for at least the tokens of `original`.
    """
    here, there = sum(original.values()), sum(other[token] for token in original)
    apart = sum(abs(probability - other[token]) for token, probability in original.items())
    return (apart + abs(here - there)) / 2


def write_reference(path: Path, distributions: Mapping[str, Distribution]) -> None:
    """Write one distribution per prompt."""
    document = {"farthest": FARTHEST, "first_tokens": distributions}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_reference(path: Path) -> dict[str, Distribution]:
    """Return the distributions by prompt that `write_reference` wrote."""
    return dict(json.loads(path.read_text(encoding="utf-8"))["first_tokens"])


def distances(converted: Path, reference: Path) -> dict[str, float]:
    """Return per prompt the distance of the converted model's first token to the original's."""
    model = ConvertedModel(converted)
    return {
        prompt: distance(original, model.first_token(prompt))
        for prompt, original in read_reference(reference).items()
    }


def main() -> int:
    """Convert, compare with the original, and only then replace the shipped model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder written by train.py")
    options = parser.parse_args()
    original = options.model / FIRST_TOKENS
    with tempfile.TemporaryDirectory() as scratch:
        converted = Path(scratch)
        convert(options.model, converted)
        measured = distances(converted, original)
        worst = max(measured, key=lambda prompt: measured[prompt])
        print(f"first token: {measured[worst]:.3f} from the original at worst, for {worst!r}")
        if measured[worst] > FARTHEST:
            print(f"more than {FARTHEST}: nothing written", file=sys.stderr)
            return 1
        shutil.copytree(converted, SHIPPED, dirs_exist_ok=True)
    shutil.copyfile(original, REFERENCE)
    size = sum(file.stat().st_size for file in SHIPPED.iterdir())
    print(f"{SHIPPED}: {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
