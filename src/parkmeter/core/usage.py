"""What the answers of an endpoint used, as their model counted it. Pure.

Tokens of the model, not those that prompts are sent with. Answers that did not say what they used
are counted as such: what is known is then a lower bound, and what a million costs an upper one.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

_MILLION = 1_000_000
_DIGITS = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Used:
    """The usage of `answers`, and the number of further ones whose usage is `unknown`."""

    answers: int = 0
    unknown: int = 0
    input: int = 0
    output: int = 0

    @property
    def tokens(self) -> int | None:
        """Return input and output together; None if no answer said what it used."""
        return self.input + self.output if self.answers else None

    def __bool__(self) -> bool:
        """Return whether there was any answer."""
        return bool(self.answers or self.unknown)

    def __add__(self, other: "Used") -> "Used":
        """Return both together."""
        return Used(
            self.answers + other.answers,
            self.unknown + other.unknown,
            self.input + other.input,
            self.output + other.output,
        )

    def __sub__(self, earlier: "Used") -> "Used":
        """Return what came after `earlier`."""
        return Used(
            self.answers - earlier.answers,
            self.unknown - earlier.unknown,
            self.input - earlier.input,
            self.output - earlier.output,
        )


NOTHING = Used()


@dataclass(frozen=True, slots=True)
class UsedAt:
    """The usage of answers that ended during the slot of time that begins `at`."""

    at: datetime
    used: Used


def per_million(cost: Decimal | None, used: Used) -> Decimal | None:
    """Return the cost of a million tokens, in dollars to $0.0001; None if it is unknown."""
    if cost is None or not used.tokens:
        return None
    return (cost * _MILLION / used.tokens).quantize(_DIGITS)
