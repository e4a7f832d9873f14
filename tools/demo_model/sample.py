"""One training example, and the rule that keeps some combinations of words out of training."""

from dataclasses import dataclass
from hashlib import blake2b

HELD_OUT_ONE_IN = 12
# A single word is no combination.
SMALLEST_COMBINATION = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt, one good answer, and the words that any good answer must mention.

    `mentions` is a list of groups; an answer is on topic when it contains at least one word or
    phrase of every group. `slots` names the combination of words behind the sample.
    """

    task: str
    prompt: str
    target: str
    mentions: tuple[tuple[str, ...], ...]
    slots: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        """Return whether this combination is reserved for evaluation."""
        if len(self.slots) < SMALLEST_COMBINATION:
            return False
        key = "|".join((self.task, *self.slots)).encode()
        digest = blake2b(key, digest_size=4).digest()
        return int.from_bytes(digest) % HELD_OUT_ONE_IN == 0
