"""What a payload means to the engine: which search, how many texts, how long. Pure.

Hugging Face's ``generate`` is the measure, because JumpStart's container hands the payload to it:

* **Sampling** is on when ``do_sample`` is true, off when it is false. When it is absent, it is on
  if ``temperature`` (above 0), ``top_k`` or ``top_p`` is sent and ``num_beams`` above 1 is not.
  There Hugging Face would ignore the temperature; but whoever sends ``temperature: 0.8`` expects
  variety, as whoever sends ``temperature: 0.0``, without ``do_sample`` too, expects none.
* ``temperature: 0`` is greedy whatever else is sent, and so is ``top_p: 0``.
* Sampling without ``top_k`` takes the best 50, Hugging Face's default; ``top_k: 0`` takes all.
* Sampling with more ``num_beams`` than ``num_return_sequences`` draws ``num_beams`` texts and
  returns the most probable. The engine has no beam search that samples.
* ``max_length`` counts the decoder's start token, so 50 means 49 new tokens; 1 still gives one.
  Absent it is 128: Hugging Face's 20 cuts most answers off in mid-sentence.
* ``early_stopping: true`` ends a beam search when ``num_beams`` texts are complete. Otherwise it
  goes on until there are twice as many, for the chance of a better one.
* ``seed`` matters to sampling alone; greedy and beam search answer the same text anyway.
"""

from dataclasses import dataclass

from parkmeter.model_server.payload import Payload

DEFAULT_MAX_LENGTH = 128
DEFAULT_TOP_K = 50
# Below this float32 has no probability mass left to keep but the best token's.
LEAST_TOP_P = 1e-6


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the engine decodes; requests with equal values can share a batch.

    `top_k` 1 is greedy (or beam search), 0 means all tokens. `max_seconds` bounds the generation.
    """

    max_new_tokens: int
    beams: int = 1
    texts_per_row: int = 1
    patience: float = 1.0
    no_repeat_ngram_size: int = 0
    top_k: int = 1
    top_p: float = 1.0
    temperature: float = 1.0
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One request as work: every prompt is decoded `samples` times, the best `keep` are returned.

    `seed` is set only where it makes a difference.
    """

    prompts: tuple[str, ...]
    decoding: Decoding
    samples: int = 1
    keep: int = 1
    seed: int | None = None

    @property
    def texts(self) -> int:
        """How many texts the answer holds: prompts in order, the texts of each together."""
        return len(self.prompts) * self.keep


def plan(payload: Payload) -> Plan:
    """Decide how `payload` is decoded."""
    keep = payload.num_return_sequences or 1
    beams = payload.num_beams or keep
    length = DEFAULT_MAX_LENGTH if payload.max_length is None else payload.max_length
    new_tokens = max(1, length - 1)
    repeat = payload.no_repeat_ngram_size or 0
    if samples(payload):
        sampled = Decoding(
            max_new_tokens=new_tokens,
            no_repeat_ngram_size=repeat,
            top_k=DEFAULT_TOP_K if payload.top_k is None else payload.top_k,
            top_p=1.0 if payload.top_p is None else payload.top_p,
            temperature=1.0 if payload.temperature is None else payload.temperature,
            max_seconds=payload.max_time,
        )
        return Plan(payload.text_inputs, sampled, samples=beams, keep=keep, seed=payload.seed)
    searched = Decoding(
        max_new_tokens=new_tokens,
        beams=beams,
        texts_per_row=keep,
        patience=1.0 if beams == 1 or payload.early_stopping else 2.0,
        no_repeat_ngram_size=repeat,
        max_seconds=payload.max_time,
    )
    return Plan(payload.text_inputs, searched, keep=keep)


def samples(payload: Payload) -> bool:
    """Tell whether tokens are drawn at random; the module's docstring has the rule."""
    if payload.temperature == 0 or (payload.top_p is not None and payload.top_p < LEAST_TOP_P):
        return False
    if payload.do_sample is not None:
        return payload.do_sample
    asked = (payload.temperature, payload.top_k, payload.top_p)
    return (payload.num_beams or 1) == 1 and any(value is not None for value in asked)
