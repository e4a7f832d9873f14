"""One loaded model: prompts to tokens, tokens to more tokens, tokens to text.

The only module that calls CTranslate2 to generate. Knows nothing of requests, queues or HTTP.
"""

import ctypes
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Lock
from typing import Any

import ctranslate2

from parkmeter.model_server.decoding import Decoding
from parkmeter.model_server.errors import CannotLoadError
from parkmeter.model_server.tokenizer import read_tokenizer

# Called with every new token (row, token id); returns whether the whole batch stops here.
Watch = Callable[[int, int], bool]

# More threads per batch are 5 to 15 times slower: OpenMP's threads spin on work this small.
THREADS_PER_BATCH = 1
FIRST_BEAM_STEPS = 8
WARM_UP_SECONDS = 60.0

# <malloc.h>
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
# The largest value that glibc accepts; larger blocks still go back to the system at once.
MAPPED_FROM_BYTES = 32 << 20
KEPT_BYTES = 64 << 20


def keep_freed_memory() -> None:
    """Make glibc keep up to `KEPT_BYTES` that the engine frees and allocates again at every token.

    Without it an answer costs some 30 page faults. Measured on one core with 32 clients: 5 to 10 %
    more answers. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


@dataclass(frozen=True, slots=True)
class Generated:
    """One decoded text as token ids, without the end token.

    `count` includes tokens without text; `complete`: the model itself ended the text; `score` is
    the mean log probability if it was requested.
    """

    tokens: tuple[int, ...]
    count: int
    complete: bool
    score: float = 0.0


class Model:
    """A CTranslate2 folder with its tokenizer.

    Args:
        folder: Contains model.bin, its config and vocabulary, and tokenizer.json.
        workers: Number of batches that can be decoded at a time.

    Raises:
        CannotLoadError: The folder is not a model this engine can run.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self.workers = workers
        self._folder = str(folder)
        self._tokenizer = read_tokenizer(folder)
        self._ids: dict[str, int] = self._tokenizer.get_vocab()
        self._tokens = {number: token for token, number in self._ids.items()}
        self._warming = Lock()
        self._end = _end_token(folder)
        self._translator = self._load(workers)

    def warm_up(self, all_drawn: Barrier) -> None:
        """Draw one token; must be called by one thread per worker.

        A thread of the engine seeds its random generator at its first draw, with the last value of
        ``set_random_seed``. So each draws once before the first request, with a seed of its own:
        the seed of a later request then affects none of them. The barrier holds every thread in its
        draw until all have drawn, or one of them might draw twice.
        """
        self._warming.acquire()
        ctranslate2.set_random_seed(int.from_bytes(os.urandom(4)))

        def drawn(_step: Any) -> bool:
            self._warming.release()
            all_drawn.wait(WARM_UP_SECONDS)
            return False

        self._translator.translate_batch(
            self.encode(["."]),
            beam_size=1,
            sampling_topk=0,
            max_decoding_length=1,
            min_decoding_length=0,
            callback=drawn,
        )

    def encode(self, prompts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each prompt."""
        # By their ids: the fast encodings have no token texts.
        encodings = self._tokenizer.encode_batch_fast(list(prompts))
        return [[self._tokens[token] for token in encoding.ids] for encoding in encodings]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens` without special tokens."""
        return self._tokenizer.decode(tokens)

    def generate(  # noqa: PLR0913 (the options of one call of the engine)
        self,
        rows: Sequence[Sequence[str]],
        decoding: Decoding,
        *,
        seed: int | None = None,
        with_scores: bool = False,
        deadline: float | None = None,
        watch: Watch | None = None,
    ) -> list[list[Generated]]:
        """Decode `rows` as one batch; return `decoding.texts_per_row` texts for each.

        Args:
            rows: Prompts as tokens.
            decoding: Options that all rows share.
            seed: Makes sampling reproducible. Two calls with a seed must not overlap: the engine's
                seed belongs to the process, and the thread of a new translator adopts it.
            with_scores: Fill in `Generated.score`.
            deadline: ``time.monotonic()`` after which the texts are returned as they are.
            watch: Called with every token; for one beam only.
        """
        translator = self._translator
        if seed is not None:
            ctranslate2.set_random_seed(seed)
            translator = self._load(workers=1)
        options = self._options(decoding)
        options["return_scores"] = with_scores
        if decoding.beams > 1 and deadline is not None:
            return self._search_until(deadline, translator, rows, options)
        if watch is not None or deadline is not None:
            options["callback"] = _callback(watch, deadline)
        return self._translate(translator, rows, options)

    def _load(self, workers: int) -> Any:
        try:
            return ctranslate2.Translator(
                self._folder, inter_threads=workers, intra_threads=THREADS_PER_BATCH
            )
        except (RuntimeError, ValueError) as error:
            raise CannotLoadError(f"the engine refuses it: {error}") from error

    def _options(self, decoding: Decoding) -> dict[str, Any]:
        return {
            "beam_size": decoding.beams,
            "num_hypotheses": decoding.texts_per_row,
            "patience": decoding.patience,
            "no_repeat_ngram_size": decoding.no_repeat_ngram_size,
            "sampling_topk": min(decoding.top_k, len(self._ids)),
            "sampling_topp": decoding.top_p,
            "sampling_temperature": decoding.temperature,
            "max_decoding_length": decoding.max_new_tokens,
            # The engine's defaults forbid an empty answer and truncate long prompts silently.
            "min_decoding_length": 0,
            "max_input_length": 0,
            "return_end_token": True,
        }

    def _translate(
        self, translator: Any, rows: Sequence[Sequence[str]], options: dict[str, Any]
    ) -> list[list[Generated]]:
        results = translator.translate_batch(rows, **options)
        return [
            [
                self._generated(tokens, result.scores[number] if result.scores else 0.0)
                for number, tokens in enumerate(result.hypotheses)
            ]
            for result in results
        ]

    def _generated(self, tokens: list[str], score: float) -> Generated:
        complete = bool(tokens) and tokens[-1] == self._end
        if complete:
            tokens = tokens[:-1]
        # Rows of the embedding past the tokenizer's vocabulary have no text.
        known = tuple(self._ids[token] for token in tokens if token in self._ids)
        return Generated(known, len(tokens), complete, score)

    def _search_until(
        self,
        deadline: float,
        translator: Any,
        rows: Sequence[Sequence[str]],
        options: dict[str, Any],
    ) -> list[list[Generated]]:
        """Search with beams until the deadline, although the engine cannot interrupt a search.

        So it searches to 8 tokens, 16, 32 and so on, as long as the next round, twice as long as
        the last, would end in time. Complete texts are the same at any limit, and all rounds
        together cost at most twice the last.
        """
        most = options["max_decoding_length"]
        steps = min(FIRST_BEAM_STEPS, most)
        while True:
            began = time.monotonic()
            found = self._translate(translator, rows, {**options, "max_decoding_length": steps})
            now = time.monotonic()
            complete = all(text.complete for texts in found for text in texts)
            if complete or steps == most or now + 2 * (now - began) > deadline:
                return found
            steps = min(2 * steps, most)


def _end_token(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_bytes()).get("eos_token", "</s>"))
    except (OSError, ValueError, AttributeError) as error:
        raise CannotLoadError(f"its config.json is not that of a model: {error}") from error


def _callback(watch: Watch | None, deadline: float | None) -> Callable[[Any], bool]:
    def on_token(step: Any) -> bool:
        late = deadline is not None and time.monotonic() >= deadline
        stop = watch is not None and watch(step.batch_id, step.token_id)
        return late or stop

    return on_token
