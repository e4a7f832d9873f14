"""Hugging Face's `generate` over one T5 folder, on one core, asked line by line on stdin.

Runs in the environment that `hugging_face` makes, where nothing of parkmeter is installed. A
question is one line of JSON, and so is its answer:

* ``{"texts": [...]}`` answers ``{"texts": [...]}``, generated one at a time;
* ``{"prompt": "...", "batch": 32, "seconds": 1.0}`` answers ``{"answers": 64, "seconds": 1.02,
  "cpu_seconds": 1.01}``: how many were generated, in batches of that size.
"""

import json
import sys
import time
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer
from transformers import T5ForConditionalGeneration
from transformers.utils import logging

# As `generate` counts: the decoder's start token is one of them.
MAX_LENGTH = 31


class Generator:
    """The model of one folder with its tokenizer."""

    def __init__(self, folder: Path) -> None:
        self._model = T5ForConditionalGeneration.from_pretrained(folder).eval()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def texts(self, prompts: list[str]) -> list[str]:
        """Generate one text for each prompt, greedily."""
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(prompts)]
        with torch.inference_mode():
            ids = torch.tensor(rows)
            found = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_length=MAX_LENGTH,
                do_sample=False,
                num_beams=1,
            )
        return self._tokenizer.decode_batch(found.tolist())

    def speed(self, prompt: str, batch: int, seconds: float) -> dict[str, float]:
        """Generate for `seconds`, at least once, with `batch` equal prompts at a time."""
        answers = 0
        began, cpu = time.perf_counter(), time.process_time()
        while not answers or time.perf_counter() - began < seconds:
            answers += len(self.texts([prompt] * batch))
        return {
            "answers": answers,
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu,
        }


def main() -> None:
    """Say hello with the versions, then answer until stdin ends."""
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    generator = Generator(Path(sys.argv[1]))
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        answer: object
        if "texts" in question:
            answer = {"texts": [generator.texts([text])[0] for text in question["texts"]]}
        else:
            answer = generator.speed(**question)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
