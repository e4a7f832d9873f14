"""First-token probabilities, the one number that shows whether a conversion kept the model.

Greedy text can look right while the scale of the logits is wrong and every sampled text is noise;
the distribution of the first token shows it at once.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

# How far apart two distributions may be before the conversion counts as broken. 8-bit weights
# alone cost a few hundredths; a wrong scale costs more than a half.
FARTHEST = 0.1
TOP = 20

PROMPTS = (
    "write a story about beautiful weather on a topical island.",
    "Write a short story about a dog in the mountains.",
    "Tell me a story about a brave fox in the forest.",
    "Tell me a story about a little robot.",
    "Please write a tale about a storm in the harbour.",
    "Can you write a story about snow in a mountain village?",
    "Write a bedtime story about a cat and a mouse.",
    "Write a story about a girl named Mia on a farm.",
    "Give me a few sentences about friendship.",
    "Write a poem about the sea.",
    "a story about an old clock in the attic",
    "What is the capital of France?",
    "What is the opposite of hot?",
    "How many legs does a spider have?",
    "Is this review positive or negative: The food was great and I loved it.",
    "sentiment: The room was dirty. We will not come back.",
    "summarize: Yesterday the baker found a silver coin in the harbour. Many people came to look.",
    "Describe an island.",
    "What is the weather like in the city?",
    "Translate to German: The dog found the key.",
    "Hello!",
)

# The most likely first tokens of one prompt and their probabilities.
Distribution = Mapping[str, float]


def top_tokens(tokens: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    """Return the most likely tokens with their probabilities, rounded, most likely first."""
    ranked = sorted(zip(tokens, probabilities, strict=True), key=lambda pair: -pair[1])
    return {token: round(probability, 5) for token, probability in ranked[:TOP]}


def distance(original: Distribution, other: Distribution) -> float:
    """Return the total variation distance, taking all tokens not in `original` as one.

    Args:
        original: The most likely tokens of the original model.
        other: The probabilities of at least these tokens in the converted model.
    """
    here, there = sum(original.values()), sum(other[token] for token in original)
    apart = sum(abs(probability - other[token]) for token, probability in original.items())
    return (apart + abs(here - there)) / 2


def write(path: Path, distributions: Mapping[str, Distribution]) -> None:
    """Write the reference data: one distribution per prompt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"farthest": FARTHEST, "first_tokens": distributions}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Distribution]:
    """Return what `write` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return dict(document["first_tokens"])
