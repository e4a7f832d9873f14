"""Runs the converted model as the product does: CTranslate2 and tokenizers, nothing else."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import ctranslate2
import numpy as np
from tokenizers import Tokenizer

BATCH = 32
LONGEST_ANSWER = 80


class ConvertedModel:
    """A converted model on one thread of the processor."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._vocabulary = self._tokenizer.get_vocab()
        self._translator = ctranslate2.Translator(str(folder), device="cpu", intra_threads=1)

    def answer(self, prompts: Sequence[str], temperature: float = 0.0) -> Iterator[str]:
        """Yield one answer per prompt; temperature 0 takes the likeliest token every time."""
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
                yield self._tokenizer.decode(self._ids(result.hypotheses[0]))

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

    def _ids(self, tokens: Sequence[str]) -> list[int]:
        return [self._vocabulary[token] for token in tokens]
