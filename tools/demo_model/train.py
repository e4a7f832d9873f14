"""Training of the tiny T5 on the grammar, saved as an ordinary Hugging Face folder.

``python -m tools.demo_model.train --out build/demo-model --bfloat16``
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from transformers import T5Config, T5ForConditionalGeneration

from tools.demo_model.convert import FIRST_TOKENS, PROMPTS, top_tokens, write_reference
from tools.demo_model.grammar import EXERCISE, STRAYED, training_samples
from tools.demo_model.sample import Sample
from tools.demo_model.tokenizer import EOS_ID, PAD_ID, VOCABULARY_SIZE, train_tokenizer

BATCH = 32
# The number of batches drawn at once and sorted by length: far less padding to compute.
BATCHES_PER_POOL = 48
WARM_UP_STEPS = 200
LONGEST_PROMPT = 128
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Round:
    """A part of the training, with a learning rate that falls to zero.

    Words of the prompt are what an answer must get right, while the sentence around them is free;
    in the loss they count `weight_of_prompted` times.
    """

    steps: int
    learning_rate: float
    seed: int
    weight_of_prompted: float
    left_out: tuple[str, ...]
    emphasised: tuple[str, ...] = ()


# The first round copies invented words, which teaches copying; the second learns to leave such
# words alone, since long ones still come out wrong, and emphasises the tasks learnt last.
ROUNDS = (
    Round(4500, 2.0e-3, seed=7, weight_of_prompted=4.0, left_out=(STRAYED,)),
    Round(
        3000,
        1.5e-3,
        seed=8,
        weight_of_prompted=2.0,
        left_out=(EXERCISE,),
        emphasised=("pair story", "sentiment"),
    ),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids of one step, padded."""

    prompts: torch.Tensor
    attention: torch.Tensor
    labels: torch.Tensor


def tiny_t5(*, tied: bool) -> T5ForConditionalGeneration:
    """Return an untrained model; untied is the layout of T5 v1.1 and Flan-T5."""
    config = T5Config(
        vocab_size=VOCABULARY_SIZE,
        d_model=160,
        d_kv=32,
        num_heads=5,
        d_ff=384,
        num_layers=3,
        num_decoder_layers=3,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=tied,
        dropout_rate=0.0,
        decoder_start_token_id=PAD_ID,
        pad_token_id=PAD_ID,
        eos_token_id=EOS_ID,
    )
    return T5ForConditionalGeneration(config)


def untied(model: T5ForConditionalGeneration) -> T5ForConditionalGeneration:
    """Return the same model with a separate output layer, as in T5 v1.1.

    A tied model scales its outputs, an untied one does not: the scale moves into the layer.
    """
    weights = model.state_dict()
    weights["lm_head.weight"] = model.shared.weight * model.config.d_model**-0.5
    twin = tiny_t5(tied=False)
    twin.load_state_dict(weights)
    return twin


def _padded(rows: list[list[int]], padding: int) -> torch.Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([row + [padding] * (width - len(row)) for row in rows])


def _shifted(labels: torch.Tensor) -> torch.Tensor:
    """Return the decoder's input for each label: the labels before it."""
    shifted = torch.nn.functional.pad(labels, (1, -1), value=PAD_ID)
    return shifted.masked_fill(shifted == IGNORED, PAD_ID)


def batches(tokenizer: Tokenizer, samples: Iterator[Sample], seed: int) -> Iterator[Batch]:
    """Yield batches without end, each of samples of about the same length."""
    rng = Random(seed)
    while True:
        drawn = list(islice(samples, BATCH * BATCHES_PER_POOL))
        prompts = tokenizer.encode_batch([sample.prompt for sample in drawn])
        targets = tokenizer.encode_batch([sample.target for sample in drawn])
        pairs = [
            ([*prompt.ids[:-1][: LONGEST_PROMPT - 1], EOS_ID], target.ids)
            for prompt, target in zip(prompts, targets, strict=True)
        ]
        pairs.sort(key=lambda pair: (len(pair[1]) // 4, len(pair[0])))
        starts = list(range(0, len(pairs), BATCH))
        rng.shuffle(starts)
        for start in starts:
            chunk = pairs[start : start + BATCH]
            padded = _padded([prompt for prompt, _ in chunk], PAD_ID)
            labels = _padded([target for _, target in chunk], IGNORED)
            yield Batch(padded, (padded != PAD_ID).long(), labels)


def learning_rate(plan: Round, step: int) -> float:
    """Return the rate for a step: a short warm-up, then half a cosine down to zero."""
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    return plan.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * step / plan.steps))


def loss_of(logits: torch.Tensor, batch: Batch, weight_of_prompted: float) -> torch.Tensor:
    """Return the mean cross-entropy, in which words of the prompt count several times."""
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(),
        batch.labels.flatten(),
        ignore_index=IGNORED,
        reduction="none",
    )
    prompted = (batch.labels.unsqueeze(2) == batch.prompts.unsqueeze(1)).any(2).flatten()
    weights = torch.where(prompted, weight_of_prompted, 1.0) * (batch.labels.flatten() != IGNORED)
    return (losses * weights).sum() / weights.sum()


def train(
    model: T5ForConditionalGeneration, tokenizer: Tokenizer, plan: Round, *, bfloat16: bool
) -> None:
    """Train `model` in place for one round; its weights stay in fp32, with `bfloat16` too."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    model.train()
    started = time.monotonic()
    recent = 0.0
    samples = training_samples(plan.seed, plan.emphasised, plan.left_out)
    for step, batch in enumerate(islice(batches(tokenizer, samples, plan.seed), plan.steps)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(plan, step)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            logits = model(
                input_ids=batch.prompts,
                attention_mask=batch.attention,
                decoder_input_ids=_shifted(batch.labels),
            ).logits
        loss = loss_of(logits, batch, plan.weight_of_prompted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent = loss.item() if step == 0 else 0.98 * recent + 0.02 * loss.item()
        if step % 100 == 0 or step == plan.steps - 1:
            passed = time.monotonic() - started
            print(f"step {step:5d}/{plan.steps}  loss {recent:.3f}  {passed:5.0f} s", flush=True)


def first_tokens(
    model: T5ForConditionalGeneration, tokenizer: Tokenizer
) -> dict[str, dict[str, float]]:
    """Return the original's first-token probabilities, the reference for the conversion."""
    vocabulary = tokenizer.get_vocab()
    names = sorted(vocabulary, key=lambda name: vocabulary[name])
    found = {}
    for prompt in PROMPTS:
        with torch.no_grad():
            logits = model(
                input_ids=torch.tensor([tokenizer.encode(prompt).ids]),
                decoder_input_ids=torch.tensor([[PAD_ID]]),
            ).logits[0, 0]
        found[prompt] = top_tokens(names, logits.softmax(-1).tolist())
    return found


def save(model: T5ForConditionalGeneration, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the model, its configuration, its tokenizer and its first-token probabilities."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_reference(folder / FIRST_TOKENS, first_tokens(model, tokenizer))


def main() -> None:
    """Train from scratch and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="faster where supported")
    options = parser.parse_args()
    torch.manual_seed(ROUNDS[0].seed)
    torch.set_num_threads(options.threads)
    tokenizer = train_tokenizer(ROUNDS[0].seed)
    # One table for reading and writing words: a word that was read can be written at once, and
    # copying the nouns of a prompt is most of the work.
    model = tiny_t5(tied=True)
    for number, plan in enumerate(ROUNDS, start=1):
        print(f"round {number} of {len(ROUNDS)}", flush=True)
        train(model, tokenizer, plan, bfloat16=options.bfloat16)
    save(untied(model).eval(), tokenizer, options.out)


if __name__ == "__main__":
    main()
