"""Decoding options of a payload: the search, the number of texts, the limits. Pure.

Follows Hugging Face's ``generate``, to which JumpStart's container passes the payload:

* **Sampling** is on when ``do_sample`` is true, off when it is false. When it is absent, it is on
  if ``temperature`` (above 0), ``top_k`` or ``top_p`` is sent and ``num_beams`` above 1 is not.
  Hugging Face would ignore the temperature then; but clients that send ``temperature: 0.8`` expect
  variety, as those that send ``temperature: 0.0``, also without ``do_sample``, expect none.
* ``temperature: 0`` is always greedy, and so is ``top_p: 0``.
* Sampling without ``top_k`` takes the best 50, Hugging Face's default; ``top_k: 0`` takes all.
* Sampling with more ``num_beams`` than ``num_return_sequences`` draws ``num_beams`` texts and
  returns the most probable. The engine has no beam search that samples.
* ``max_length`` counts the decoder's start token, so 50 means 49 new tokens; 1 still gives one.
  The default is 128: Hugging Face's 20 truncates most answers.
* ``early_stopping: true`` ends a beam search when ``num_beams`` texts are complete. Otherwise it
  continues until there are twice as many, in case of a better one.
* ``seed`` affects sampling only; greedy and beam search are deterministic.
"""

from dataclasses import dataclass

from parkmeter.model_server.payload import Payload

DEFAULT_MAX_LENGTH = 128
DEFAULT_TOP_K = 50
# Below this only the best token is left in float32.
MIN_TOP_P = 1e-6


@dataclass(frozen=True, slots=True)
class Decoding:
    """Options of the engine; requests with equal options can share a batch.

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
    """The work of one request: decode every prompt `samples` times, return the best `keep`.

    `seed` is set only where it makes a difference.
    """

    prompts: tuple[str, ...]
    decoding: Decoding
    samples: int = 1
    keep: int = 1
    seed: int | None = None

    @property
    def texts(self) -> int:
        """Number of texts in the answer: in the order of the prompts, those of each together."""
        return len(self.prompts) * self.keep


def plan(payload: Payload) -> Plan:
    """Return the work that `payload` requests."""
    keep = payload.num_return_sequences or 1
    beams = payload.num_beams or keep
    length = DEFAULT_MAX_LENGTH if payload.max_length is None else payload.max_length
    new_tokens = max(1, length - 1)
    repeat = payload.no_repeat_ngram_size or 0
    if uses_sampling(payload):
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


def uses_sampling(payload: Payload) -> bool:
    """Return whether tokens are drawn at random; the module's docstring has the rule."""
    if payload.temperature == 0 or (payload.top_p is not None and payload.top_p < MIN_TOP_P):
        return False
    if payload.do_sample is not None:
        return payload.do_sample
    options = (payload.temperature, payload.top_k, payload.top_p)
    return (payload.num_beams or 1) == 1 and any(value is not None for value in options)
